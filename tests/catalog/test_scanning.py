"""What a scan records: new files in bulk, changed ones, moved ones, parts of models, faults."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from modelhub.catalog import (
    BlobRecord,
    Catalog,
    FileState,
    Found,
    Hashed,
    encode_path,
    prepare,
)
from modelhub.catalog import known as known_rows

from .processes import output
from .scans import LORA, NOW, hashed, known, row_of, scan, scanned
from .shelf import Shelf, blob, sha256_of


def test_a_new_file_is_listed_and_found_by_all_that_its_header_told(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, scanned("loras/ink.safetensors", found=LORA), scanned("other.ckpt"))
    row = row_of(catalog, "loras/ink.safetensors")
    assert (row.state, row.type, row.base, row.architecture) == (
        FileState.NEW,
        "lora",
        "illustrious",
        "sdxl",
    )
    assert (row.adapter, row.family, row.parameters, row.variants) == (
        "locon",
        "illustrious",
        12_000_000,
        ("v-prediction",),
    )
    for query in (
        "type:lora", "type:locon", "adapter:locon", "arch:sdxl", "family:illustrious", "fp:fp16",
        'trigger:"ink wash"', "variant:vpred", "params>10M", "params:12M", "unsafe:no", "ink",
        "state:new -fault:yes", "path:loras/", "base:illustrious", "added:2024-06",
    ):  # fmt: skip
        assert shelf.found(query) == {"loras/ink.safetensors"} | (
            {"other.ckpt"} if query in ("state:new -fault:yes", "added:2024-06") else set()
        ), query
    assert catalog.check(thorough=True).ok


def test_what_is_prepared_travels_between_processes() -> None:
    prepared = prepare(scanned("a.safetensors", found=LORA), NOW)
    assert pickle.loads(pickle.dumps(prepared)) == prepared


def test_preparing_imports_no_database() -> None:
    script = """
import sys
for name in [name for name in sys.modules if name.startswith(("sqlalchemy", "modelhub"))]:
    del sys.modules[name]
from modelhub.catalog.scanning import prepare
print("sqlalchemy" in sys.modules)
"""
    assert output(script) == "False\n"


def test_the_row_written_in_bulk_is_the_row_made_anew(catalog: Catalog, root: int) -> None:
    files = [
        scanned("loras/ink.safetensors", found=LORA),
        scanned("Ünïcode/墨絵 one.ckpt", found=Found(format="ckpt", pickle_verdict="dangerous")),
        scanned("broken.safetensors", fault="cut short at 7"),
    ]
    scan(catalog, root, *files)
    before = catalog.list_files(limit=None)
    with catalog._store.write() as writer:
        tables = ("search_text",) if writer.backend == "sqlite" else ("search_vectors",)
        texts = [writer.connection.exec_driver_sql(f"SELECT * FROM {t}").all() for t in tables]
        writer.files_changed(row.id for row in before)
        writer.flush()
        again = [writer.connection.exec_driver_sql(f"SELECT * FROM {t}").all() for t in tables]
    assert catalog.list_files(limit=None) == before
    assert [sorted(map(tuple, rows)) for rows in again] == [
        sorted(map(tuple, rows)) for rows in texts
    ]


def test_a_file_that_cannot_be_read_says_why(catalog: Catalog, root: int, shelf: Shelf) -> None:
    scan(catalog, root, scanned("a.safetensors", fault="the header is damaged at offset 8"))
    assert shelf.found("fault:yes") == {"a.safetensors"}
    assert row_of(catalog, "a.safetensors").fault == "the header is damaged at offset 8"
    [waiting] = catalog.unhashed(10)
    assert waiting.fault == "the header is damaged at offset 8"
    scan(catalog, root, scanned("a.safetensors", mtime_ns=6, found=LORA))
    assert shelf.found("fault:no") == {"a.safetensors"}
    assert row_of(catalog, "a.safetensors").fault is None


@pytest.mark.parametrize("fault", [None, "damaged"])
def test_a_fault_is_kept_by_hashing_when_the_hasher_says_so(
    catalog: Catalog, root: int, fault: str | None
) -> None:
    scan(catalog, root, scanned("a.safetensors", fault="damaged"))
    assert hashed(catalog, known(catalog, root)["a.safetensors"], "x", fault=fault)
    assert row_of(catalog, "a.safetensors").fault == fault


def test_known_files_come_in_the_byte_order_of_their_paths(
    catalog: Catalog, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_rows, "PAGE", 2)
    names = ["a/b.pt", "a-b.pt", "a.pt", "Z.pt", "é.pt", "a/ä.pt", "漢.pt", "\U0001f600.pt"]
    odd = encode_path(Path("x\udcff.pt"))
    scan(catalog, root, *(scanned(name) for name in [*names, odd]))
    other = catalog.add_root(Path("/other"))
    scan(catalog, other, scanned("b.pt"))
    paths = [one.path for one in catalog.known_files(root)]
    assert paths == sorted([*names, odd], key=str.encode)
    assert [one.path for one in catalog.known_files(root, "a")] == ["a/b.pt", "a/ä.pt"]
    assert [one.path for one in catalog.known_files(root, "none")] == []


def test_single_files_are_looked_up_by_their_paths(catalog: Catalog, root: int) -> None:
    scan(catalog, root, *(scanned(one) for one in ("b.pt", "a/ä.pt", "a.pt")))
    found = catalog.files_at(root, ["b.pt", "a/ä.pt", "none.pt"])
    assert [one.path for one in found] == ["a/ä.pt", "b.pt"]
    assert found == [one for one in catalog.known_files(root) if one.path != "a.pt"]
    assert catalog.files_at(root, []) == []
    assert catalog.count_waiting() == 3


def test_words_learnt_changed_and_deleted_together_leave_the_index_in_step(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, *(scanned(f"{n}.pt", found=LORA) for n in range(50)))
    files = known(catalog, root)
    with catalog.transaction():
        scan(catalog, root, scanned("new.pt"), scanned("0.pt", size=2000))
        catalog.forget([files["1.pt"].id, files["2.pt"].id])
        scan(catalog, root, scanned("new.pt", found=LORA))
    assert catalog.check(thorough=True).ok
    assert len(shelf.found("type:lora")) == 48
    assert "new.pt" in shelf.found("type:lora")
    assert "0.pt" not in shelf.found("type:lora")


def test_known_files_can_be_read_while_others_are_recorded(
    catalog: Catalog, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_rows, "PAGE", 2)
    scan(catalog, root, *(scanned(f"{number}.pt") for number in range(5)))
    seen = []
    for one in catalog.known_files(root):
        seen.append(one.path)
        scan(catalog, root, scanned(f"{one.path}.more"))
    assert [name for name in seen if not name.endswith(".more")] == [f"{n}.pt" for n in range(5)]


def test_a_changed_file_keeps_its_content_until_it_is_hashed_anew(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, scanned("a.pt", found=LORA))
    assert hashed(catalog, known(catalog, root)["a.pt"], "first")
    catalog.tag("a", ["mine"])
    vae = Found(format="safetensors", kind="vae")
    scan(catalog, root, scanned("a.pt", size=2000, found=vae))
    row = row_of(catalog, "a.pt")
    assert (row.state, row.sha256, row.type) == (FileState.CHANGED, sha256_of("first"), "vae")
    assert shelf.found("type:vae state:changed tag:mine") == {"a.pt"}
    assert hashed(catalog, known(catalog, root)["a.pt"], "second")
    row = row_of(catalog, "a.pt")
    assert (row.state, row.sha256, row.type, row.tags) == (
        FileState.HASHED,
        sha256_of("second"),
        "vae",
        (),
    )
    assert catalog.check(thorough=True).ok


def test_an_unchanged_file_that_is_seen_again_stays_what_it_is(catalog: Catalog, root: int) -> None:
    scan(catalog, root, scanned("a.pt", found=LORA))
    file = known(catalog, root)["a.pt"]
    assert hashed(catalog, file, "x")
    catalog.set_state([file.id], FileState.MISSING)
    scan(catalog, root, scanned("a.pt", found=LORA))
    assert row_of(catalog, "a.pt").state is FileState.HASHED
    assert row_of(catalog, "a.pt").adapter == "locon"


def test_what_was_found_in_a_file_is_its_contents_once_it_is_hashed(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, scanned("a.safetensors", found=LORA))
    assert hashed(catalog, known(catalog, root)["a.safetensors"], "x")
    shelf.put("copy.safetensors", "x")
    assert shelf.found("adapter:locon variant:vpred params>10M trigger:ink") == {
        "a.safetensors",
        "copy.safetensors",
    }
    details = catalog.show(row_of(catalog, "copy.safetensors").id)
    assert details.header["metadata"] == {"ss_seed": "1"}
    with catalog._store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM findings").scalar() == 0


def test_a_hash_of_bytes_that_are_others_by_now_is_refused(catalog: Catalog, root: int) -> None:
    scan(catalog, root, scanned("a.pt"), scanned("b.pt"))
    files = known(catalog, root)
    scan(catalog, root, scanned("a.pt", mtime_ns=6))
    a, b = files["a.pt"], files["b.pt"]
    assert catalog.record_hashed_many(
        [
            Hashed(a.id, a.size, a.mtime_ns, blob("x")),
            Hashed(b.id, b.size, b.mtime_ns, blob("y")),
            Hashed(999, 1, 1, blob("z")),
        ]
    ) == [False, True, False]
    assert row_of(catalog, "a.pt").sha256 is None
    assert row_of(catalog, "b.pt").sha256 == sha256_of("y")


def test_a_hard_link_has_the_content_without_being_read(catalog: Catalog, root: int) -> None:
    scan(catalog, root, scanned("a.pt", found=LORA))
    assert hashed(catalog, known(catalog, root)["a.pt"], "x")
    scan(catalog, root, scanned("link.pt", found=LORA))
    [match] = [m for m in catalog.find_by_inode([(7, 1000, 5)]) if m.state == "hashed"]
    link = known(catalog, root)["link.pt"]
    assert match.blob_id is not None
    assert catalog.record_same_content(link.id, match.blob_id, size=1000, mtime_ns=5)
    assert row_of(catalog, "link.pt").sha256 == sha256_of("x")
    assert row_of(catalog, "a.pt").copies == 2
    assert not catalog.record_same_content(link.id, match.blob_id, size=1000, mtime_ns=6)
    assert not catalog.record_same_content(link.id, 12345, size=1000, mtime_ns=5)


def test_files_are_found_by_inode_only_when_size_and_mtime_agree(
    catalog: Catalog, root: int
) -> None:
    high = 2**64 - 5
    scan(catalog, root, scanned("a.pt"), scanned("b.pt", inode=high), scanned("c.pt", inode=None))
    asked = [(7, 1000, 5), (high, 1000, 5), (7, 999, 5), (7, 1000, 6), (8, 1000, 5)]
    found = {one.path: one for one in catalog.find_by_inode(asked)}
    assert set(found) == {"a.pt", "b.pt"}
    assert found["a.pt"].root_id == root
    assert catalog.find_by_inode([]) == []


def test_the_newest_files_wait_first_and_of_these_the_smallest(
    catalog: Catalog, root: int, clock: Callable[[], datetime]
) -> None:
    hour = 3_600 * 10**9
    now = int(NOW.timestamp()) * 10**9
    ages = {
        "minutes-small": (1, 0), "minutes-large": (9, 0), "day": (1, 5), "week": (1, 48),
        "month": (1, 400), "old-small": (1, 5_000), "old-large": (9, 9_000),
    }  # fmt: skip
    scan(
        catalog,
        root,
        *(
            scanned(f"{name}.pt", size=size, mtime_ns=now - hours * hour)
            for name, (size, hours) in reversed(ages.items())
        ),
    )
    waiting = catalog.unhashed(100)
    assert [one.path.removesuffix(".pt") for one in waiting] == list(ages)
    assert waiting[0].file == Path("/library/minutes-small.pt")
    rest = catalog.unhashed(2, without=[waiting[0].id])
    assert [one.id for one in rest] == [one.id for one in waiting[1:3]]
    assert catalog.unhashed(5, root_id=root + 1) == []
    catalog.set_state([waiting[0].id], FileState.MISSING)
    assert catalog.unhashed(1)[0].id == waiting[1].id


def test_a_touched_file_is_what_it_was(catalog: Catalog, root: int, shelf: Shelf) -> None:
    scan(catalog, root, scanned("a.pt"), scanned("b.pt"))
    files = known(catalog, root)
    assert hashed(catalog, files["a.pt"], "x")
    scan(catalog, root, scanned("a.pt", mtime_ns=6))
    assert shelf.found("state:changed") == {"a.pt"}
    catalog.touch([(files["a.pt"].id, 1000, 6, 9), (files["b.pt"].id, 1000, 7, None)])
    assert shelf.found("state:hashed") == {"a.pt"}
    now = known(catalog, root)
    assert (now["a.pt"].mtime_ns, now["a.pt"].inode) == (6, 9)
    assert (now["b.pt"].mtime_ns, now["b.pt"].state) == (7, "new")


def test_a_blob_record_is_made_of_what_was_found_and_the_hashes() -> None:
    from modelhub.formats.hashes import ContentHashes

    hashes = ContentHashes(sha256=sha256_of("x"), crc32="00000001")
    record = BlobRecord.of(LORA, hashes, 5)
    assert (record.sha256, record.size, record.crc32) == (sha256_of("x"), 5, "00000001")
    assert (record.adapter, record.header) == ("locon", LORA.header)
    assert BlobRecord.of(None, hashes, 5).kind is None


def test_a_pulled_file_is_what_the_pull_says_not_what_a_scan_found_before(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, scanned("a.safetensors", found=LORA))
    shelf.put("a.safetensors", kind="vae")
    assert shelf.found("type:vae") == {"a.safetensors"}
    assert shelf.found("type:lora") == set()


def test_a_file_given_twice_is_recorded_once(catalog: Catalog, root: int) -> None:
    scan(catalog, root, scanned("a.pt", size=1), scanned("a.pt", size=2))
    assert [one.size for one in catalog.known_files(root)] == [2]


def test_every_copy_knows_how_many_there_are_however_they_came(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    def take(*names: str) -> None:
        scan(catalog, root, *(scanned(name, inode=None, found=LORA) for name in names))
        files = known(catalog, root)
        one_by_one = [(files[name], blob("x")) for name in names]
        catalog.record_hashed_many(
            [Hashed(file.id, file.size, file.mtime_ns, content) for file, content in one_by_one]
        )

    names: list[str] = []
    for more in (["a.pt"], ["b.pt", "c.pt"], ["d.pt"], ["e.pt", "f.pt"]):
        take(*more)
        names += more
        assert [row_of(catalog, name).copies for name in names] == [len(names)] * len(names)
        assert shelf.found("dup:yes") == (set(names) if len(names) > 1 else set())
    assert catalog.check(thorough=True).ok


def test_what_is_new_about_a_content_reaches_all_its_copies(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, *(scanned(name, inode=None) for name in ("a.pt", "b.pt", "c.pt")))
    files = known(catalog, root)
    for name in ("a.pt", "b.pt"):
        assert hashed(catalog, files[name], "x")
    assert shelf.found("type:lora") == set()
    scan(catalog, root, scanned("c.pt", inode=None, mtime_ns=6, found=LORA))
    assert hashed(catalog, known(catalog, root)["c.pt"], "x")
    assert shelf.found("type:lora") == {"a.pt", "b.pt", "c.pt"}
