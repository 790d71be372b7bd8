"""What is recorded, on each database: it stays, it is completed, and nothing known is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from modelhub.catalog import (
    Catalog,
    EventRecord,
    FileState,
    LocalFileRecord,
    ModelRecord,
    PreviewRecord,
    RemoteFileRecord,
    RenderRecord,
    VersionRecord,
)
from modelhub.catalog.tables import models
from modelhub.errors import NameTaken, UnknownFile

from .shelf import NOW, ROOT, Shelf, blob, local, sha256_of

MODEL = ModelRecord(
    id=78056,
    name="SakushiMix",
    type="Checkpoint",
    fetched_at=NOW,
    creator="saku",
    nsfw=False,
    tags=("anime",),
    raw='{"id": 78056}',
)
VERSION = VersionRecord(
    id=133274,
    model_id=78056,
    name="Final",
    fetched_at=NOW,
    base_model="SD 1.5",
    trained_words=("1girl", "solo"),
    previews=(PreviewRecord(url="https://image.test/1.jpeg", nsfw_level=1, meta='{"seed": 1}'),),
    raw='{"id": 133274}',
)
FILE = RemoteFileRecord(id=9, version_id=133274, name="saku.safetensors", primary=True, fp="fp16")


def test_recording_the_same_twice_changes_nothing(shelf: Shelf) -> None:
    catalog = shelf.catalog
    for _ in range(2):
        catalog.record_published(MODEL, [VERSION], [FILE])
        number = shelf.put("saku.safetensors", "saku")
    details = catalog.show(number)
    catalog.record_published(MODEL, [VERSION], [FILE])
    assert shelf.put("saku.safetensors", "saku") == number
    assert catalog.show(number) == details
    assert catalog.count() == 1


def test_what_is_not_said_stays_known(shelf: Shelf) -> None:
    catalog = shelf.catalog
    file = replace(FILE, sha256=sha256_of("saku"))
    catalog.record_published(MODEL, [VERSION], [file])
    number = shelf.put("a.safetensors", "saku", architecture="sd1", header='{"a": 1}', ema=True)
    before = catalog.show(number)
    later = NOW + timedelta(days=1)
    catalog.record_published(
        ModelRecord(id=78056, name="SakushiMix", type="Checkpoint", fetched_at=later),
        [VersionRecord(id=133274, model_id=78056, name="Final", fetched_at=later)],
        [RemoteFileRecord(id=9, version_id=133274, name="saku.safetensors", primary=True)],
    )
    shelf.put("a.safetensors", "saku")
    assert catalog.show(number) == before
    assert before.trigger_words == ("1girl", "solo")
    assert before.header == {"a": 1}
    assert catalog.raw_answer(model_id=78056) == ('{"id": 78056}', later)
    assert catalog.raw_answer(version_id=133274) == ('{"id": 133274}', later)


def test_a_model_that_is_back_from_the_archive_is_archived_no_more(catalog: Catalog) -> None:
    modes = []
    for mode in ("Archived", None):
        catalog.record_published(replace(MODEL, mode=mode))
        with catalog._store.read() as connection:
            modes.append(connection.scalar(select(models.c.mode)))
    assert modes == ["Archived", None]


def test_new_trigger_words_replace_the_published_ones_only(shelf: Shelf) -> None:
    shelf.publish(1, "A", content="a", words=("old", "both"))
    number = shelf.put("a.pt", "a")
    shelf.catalog.set_trigger_words([number], ["mine"])
    shelf.publish(1, "A", content="a", words=("both", "new", "", "new"))
    details = shelf.catalog.show(number)
    assert details.trigger_words == ("both", "new")
    assert details.own_trigger_words == ("mine",)
    assert shelf.found("old") == set()
    assert shelf.found("mine") == shelf.found("new") == {"a.pt"}


def test_a_file_is_known_as_its_publication_whichever_comes_first(shelf: Shelf) -> None:
    shelf.put("first.pt", "one")
    assert shelf.found("model:Late") == set()
    shelf.publish(1, "Late", content="one")
    assert shelf.found("model:Late") == {"first.pt"}
    shelf.publish(2, "Early", content="two")
    shelf.put("second.pt", "two")
    assert shelf.found("model:Early") == {"second.pt"}


def test_a_file_is_linked_by_blake3_where_no_sha256_was_published(shelf: Shelf) -> None:
    shelf.publish(1, "Blake", file={"blake3": "ab" * 32})
    number = shelf.put("b.pt", "b", blake3="AB" * 32)
    assert [one.model_name for one in shelf.catalog.show(number).publications] == ["Blake"]


def test_a_pulled_file_is_linked_even_without_published_hashes(shelf: Shelf) -> None:
    shelf.publish(1, "Hashless")
    number = shelf.catalog.record_local_file(local("x.pt"), blob=blob("x"), remote_file_id=100)
    row = shelf.catalog.show(number).row
    assert (row.model_name, row.version_id) == ("Hashless", 10)
    assert [one.id for one in shelf.catalog.find_local_by_version(10)] == [number]


def test_content_that_was_published_twice_is_named_as_it_was_pulled(shelf: Shelf) -> None:
    shelf.publish(1, "Original", content="same", creator="first")
    shelf.publish(2, "Reupload", content="same", creator="second")
    unpulled = shelf.put("found.pt", "same")
    pulled = shelf.catalog.record_local_file(
        local("pulled.pt"), blob=blob("same"), remote_file_id=200
    )
    assert shelf.catalog.show(unpulled).row.model_name == "Original"
    details = shelf.catalog.show(pulled)
    assert details.row.model_name == "Reupload"
    assert [one.model_name for one in details.publications] == ["Reupload", "Original"]
    assert shelf.found("original") == shelf.found("reupload") == {"found.pt", "pulled.pt"}


def test_a_vae_on_the_page_of_a_checkpoint_is_a_vae(shelf: Shelf) -> None:
    shelf.publish(1, "Check", content="vae", file={"type": "VAE"})
    assert shelf.catalog.show(shelf.put("v.pt", "vae")).row.type == "vae"


def test_a_model_that_is_gone_stays_described(shelf: Shelf) -> None:
    shelf.publish(1, "Deleted", content="d", creator="c")
    number = shelf.put("d.pt", "d")
    shelf.catalog.record_gone(model_id=1)
    details = shelf.catalog.show(number)
    assert details.row.model_name == "Deleted"
    gone_at = details.publications[0].gone_at
    assert gone_at is not None
    shelf.catalog.record_gone(model_id=1)
    assert shelf.catalog.show(number).publications[0].gone_at == gone_at
    shelf.publish(1, "Deleted", content="d")
    assert shelf.catalog.show(number).publications[0].gone_at is None


def test_text_that_no_database_stores_is_recorded_without_it(shelf: Shelf) -> None:
    shelf.publish(1, "Nul\0 and \ud800", content="n", words=("bad\0word",), tags=("t\0",))
    number = shelf.put("n.pt", "n")
    row = shelf.catalog.show(number).row
    assert row.model_name == "Nul\ufffd and \ufffd"
    shelf.catalog.note([number], "a\0b")
    assert shelf.catalog.show(number).note == "a\ufffdb"


def test_numbers_that_no_column_holds_are_left_out_and_ids_refused(catalog: Catalog) -> None:
    catalog.record_published(MODEL, [VERSION], [replace(FILE, size=2**70)])
    with pytest.raises(ValueError, match="cannot be an id"):
        catalog.record_published(replace(MODEL, id=2**63))
    with pytest.raises(ValueError, match="cannot be an id"):
        catalog.record_published(replace(MODEL, id=-1))


@pytest.mark.parametrize(
    "name", [b"caf\xe9.pt", b"\xff/\xfe.pt", b"a\n\t.pt", "絵🎨.pt".encode(), b"\xed\xa0\x80.pt"]
)
def test_a_file_name_of_any_bytes_is_kept(shelf: Shelf, name: bytes) -> None:
    path = Path(os.fsdecode(name))
    number = shelf.catalog.record_local_file(
        LocalFileRecord(root=ROOT, path=path, size=1, mtime_ns=1, inode=2**64 - 1)
    )
    row = shelf.catalog.show(number).row
    assert os.fsencode(row.file) == b"/library/" + name
    found = shelf.catalog.find_local_by_path(ROOT / path)
    assert found is not None
    assert found.id == number
    row.path.encode()


@pytest.mark.parametrize("path", ["../x.pt", "/x.pt", ".", "a/../../x.pt"])
def test_a_path_out_of_its_root_is_refused(catalog: Catalog, path: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        catalog.record_local_file(local(path))


def test_a_file_that_changed_on_disk_is_said_to_have(shelf: Shelf) -> None:
    number = shelf.put("a.pt", "one", size=5)

    def seen(size: int, mtime_ns: int) -> FileState:
        shelf.seen("a.pt", size=size, mtime_ns=mtime_ns)
        return shelf.catalog.show(number).row.state

    assert seen(5, 1) is FileState.HASHED
    assert seen(6, 1) is FileState.CHANGED
    assert shelf.put("a.pt", "two", size=6) == number
    assert shelf.catalog.show(number).row.sha256 == sha256_of("two")
    shelf.missing(number)
    assert shelf.catalog.show(number).row.state is FileState.MISSING
    assert seen(6, 1) is FileState.HASHED
    assert shelf.catalog.record_local_file(local("b.pt")) != number
    assert shelf.found("state:new") == {"b.pt"}


def test_a_moved_file_keeps_its_number_and_its_words_follow(shelf: Shelf) -> None:
    number = shelf.put("old/name.pt", "a")
    shelf.catalog.record_moved(number, root=Path("/other"), path=Path("new/title.pt"))
    row = shelf.catalog.show(number).row
    assert row.file == Path("/other/new/title.pt")
    assert shelf.found("title path:new/") == {"new/title.pt"}
    assert shelf.found("name:name") == set()


def test_a_file_is_not_moved_onto_another_unless_that_is_gone(shelf: Shelf) -> None:
    first, second = shelf.put("a.pt"), shelf.put("b.pt")
    with pytest.raises(NameTaken):
        shelf.catalog.record_moved(first, root=ROOT, path=Path("b.pt"))
    shelf.missing(second)
    shelf.catalog.record_moved(first, root=ROOT, path=Path("b.pt"))
    assert [row.id for row in shelf.catalog.list_files()] == [first]
    with pytest.raises(UnknownFile):
        shelf.catalog.record_moved(second, root=ROOT, path=Path("c.pt"))


def test_forgotten_files_leave_no_trace_in_the_search(shelf: Shelf) -> None:
    ids = [shelf.put(f"{number}.pt") for number in range(3)]
    shelf.catalog.forget(ids[:2])
    assert shelf.found("pt") == {"2.pt"}
    assert shelf.catalog.check(thorough=True).ok
    assert shelf.put("4.pt") not in ids


def test_identification_comes_later(shelf: Shelf) -> None:
    number = shelf.put("a.safetensors", "a")
    shelf.catalog.record_blob(blob("a", kind="lora", architecture="sdxl", parameters=5))
    details = shelf.catalog.show(number)
    assert (details.row.type, details.row.base, details.parameters) == ("lora", "sdxl", 5)
    assert shelf.found("arch:sdxl type:lora") == {"a.safetensors"}


def test_a_transaction_that_fails_records_nothing(shelf: Shelf) -> None:
    def fail() -> None:
        shelf.put("a.pt")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), shelf.catalog.transaction():
        fail()
    assert shelf.catalog.count() == 0
    shelf.put("b.pt")
    assert shelf.found("") == {"b.pt"}


def test_an_unknown_publication_is_a_mistake_of_the_caller(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="not recorded"):
        catalog.record_local_file(local("a.pt"), version_id=5)
    with pytest.raises(ValueError, match="not recorded"):
        catalog.record_local_file(local("a.pt"), remote_file_id=5)
    with pytest.raises(ValueError, match="not a SHA256"):
        catalog.record_local_file(local("a.pt"), blob=replace(blob("a"), sha256="12"))


def test_roots_are_one_a_folder(catalog: Catalog) -> None:
    first = catalog.add_root(Path("/models/"), layout="comfyui")
    assert catalog.add_root(Path("/models/x/.."), watched=True) == first
    assert catalog.add_root(Path("/other")) != first
    root = catalog.roots()[0]
    assert (root.folder, root.layout, root.watched) == (Path("/models"), "comfyui", True)


def test_renders_keep_all_that_made_them(shelf: Shelf) -> None:
    number = shelf.put("a.pt", "a")
    at = datetime(2024, 1, 1, tzinfo=UTC)
    render = RenderRecord(
        sha256=sha256_of("a"),
        file=Path("/renders/1.png"),
        parameters={"steps": 20},
        prompt="a cat",
        seed=2**64 - 1,
        created_at=at,
    )
    shelf.catalog.record_render(render)
    details = shelf.catalog.show(number)
    assert [(one.seed, one.prompt, one.parameters) for one in details.renders] == [
        (2**64 - 1, "a cat", {"steps": 20})
    ]
    assert details.row.used_at == at
    with pytest.raises(UnknownFile):
        shelf.catalog.record_render(replace(render, sha256="0" * 64))


def test_renders_are_listed_by_file_the_latest_first_and_forgotten(shelf: Shelf) -> None:
    catalog = shelf.catalog
    one, other = shelf.put("a.pt", "a"), shelf.put("b.pt", "b")
    made = [
        catalog.record_render(
            RenderRecord(
                sha256=sha256_of(content),
                file=Path(f"/renders/{number}.png"),
                parameters={},
                also_used=(sha256_of("b"), "0" * 64),
            )
        )
        for number, content in enumerate("aab")
    ]
    assert [row.id for row in catalog.renders()] == made[::-1]
    assert [row.id for row in catalog.renders([one])] == [made[1], made[0]]
    assert [row.sha256 for row in catalog.renders([other])] == [sha256_of("b")]
    assert [row.id for row in catalog.renders(limit=1, before=made[2])] == [made[1]]
    assert catalog.count("used:ever") == 2, "what took part was used, too"
    assert catalog.forget_render(made[0])
    assert not catalog.forget_render(made[0])
    assert catalog.render(made[0]) is None
    assert catalog.render(2**70) is None
    assert catalog.renders([]) == []


def test_the_history_is_in_order_and_pages(catalog: Catalog) -> None:
    ids = [
        catalog.record_event(EventRecord(kind="pulled", text=f"{n}", detail={"n": n}))
        for n in range(5)
    ]
    catalog.record_event(EventRecord(kind="moved", text="m", sha256="ab" * 32))
    assert [event.text for event in catalog.events(limit=2)] == ["m", "4"]
    assert [event.detail for event in catalog.events(before=ids[2])] == [{"n": 1}, {"n": 0}]
    assert [event.sha256 for event in catalog.events(kinds=["moved"])] == ["AB" * 32]
    assert all(event.at.tzinfo is not None for event in catalog.events())


def test_versions_of_a_model_are_known(catalog: Catalog) -> None:
    catalog.record_published(MODEL, [VERSION, replace(VERSION, id=5)])
    assert catalog.known_versions(78056) == [133274, 5]
    assert catalog.known_versions(1) == []
    assert catalog.raw_answer(model_id=1) is None


def test_previews_come_with_what_was_published_of_them(shelf: Shelf) -> None:
    preview = PreviewRecord(url="https://image.test/2.jpeg", meta="not json", file=Path("/p.png"))
    long = PreviewRecord(url="https://image.test/" + "x" * 5000)
    version = replace(VERSION, previews=(*(VERSION.previews or ()), preview, long))
    file = replace(FILE, sha256=sha256_of("p"))
    shelf.catalog.record_published(MODEL, [version], [file])
    previews = shelf.catalog.show(shelf.put("p.pt", "p")).previews
    assert [(one.url[-6:], one.meta, one.file) for one in previews] == [
        ("1.jpeg", {"seed": 1}, None),
        ("2.jpeg", "not json", "/p.png"),
    ]
