from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub, Fault, random_bytes
from modelhub.demo.published import PublishedFile, PublishedModel, PublishedVersion
from modelhub.errors import (
    ArchivedModel,
    DownloadsDisabled,
    EarlyAccess,
    HashMismatch,
    KeyRefused,
    LoginRequired,
    MalformedReference,
    NoFilesPublished,
    NoMatchingFile,
    UnknownModel,
    UnsafeFileError,
)
from modelhub.progress import Outcome, Stage, StageEntered, TaskFinished
from modelhub.services.pull import FailedPull, PulledFile

from .conftest import Puller

SAKUSHIMIX = "checkpoints/sakushimixFinished_sakushimixFinal.safetensors"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest().upper()


def test_an_id_becomes_a_verified_placed_and_catalogued_file(library: Puller) -> None:
    pulled = library.one("78056")

    assert pulled.outcome is Outcome.DONE
    assert pulled.path == library.root / SAKUSHIMIX
    assert pulled.verified_by == "SHA256"
    assert pulled.sha256 == sha256(pulled.path)
    assert pulled.fetched == pulled.size == pulled.path.stat().st_size
    row = library.catalog.list_files("sakushimix")[0]
    assert (row.file, row.sha256, row.type) == (pulled.path, pulled.sha256, "checkpoint")
    assert (row.model_id, row.version_id, row.base) == (78056, 133274, "SD 1.5")
    details = library.catalog.show(row.id)
    assert {"SHA256", "BLAKE3", "CRC32", "AutoV2", "AutoV3"} <= set(details.hashes)
    assert [event.kind for event in details.events] == ["pulled"]


def test_the_stages_are_told_in_their_order(library: Puller) -> None:
    library.one("78056")

    stages = [event.stage for event in library.events if isinstance(event, StageEntered)]
    order = [Stage.RESOLVE, Stage.CHECK_SPACE, Stage.DOWNLOAD, Stage.VERIFY, Stage.PLACE]
    assert [stage for stage in stages if stage in order][:5] == order
    assert isinstance(library.events[-1], TaskFinished)


def test_the_choice_of_the_file_is_told_with_its_reason(library: Puller) -> None:
    pulled = library.one("78056")

    assert pulled.reason == "the published primary file"
    assert any(pulled.reason in notice for notice in library.notices)


@pytest.mark.parametrize(
    "reference",
    [
        "107842@428028",
        "https://civitai.com/models/107842?modelVersionId=428028",
        "https://civitai.com/models/107842/aniverse?modelVersionId=428028&utm_source=x#y",
        "https://civitai.com/api/download/models/428028?type=Model&format=SafeTensor",
        "civitai.com/model-versions/428028",
        "urn:air:sd1:checkpoint:civitai:107842@428028",
        "AniVerse (428028)",
        "107842",
    ],
)
def test_every_form_of_reference_leads_to_the_same_version(library: Puller, reference: str) -> None:
    pulled = library.one(reference, dry_run=True)

    assert (pulled.model_id, pulled.version_id) == (107842, 428028)


@pytest.mark.parametrize("kind", ["sha256", "autov2", "blake3", "crc32", "autov3"])
def test_a_hash_finds_the_file_that_has_it(library: Puller, hub: DemoHub, kind: str) -> None:
    hashes = hub.stored(97_302).hashes
    prefix = "crc32:" if kind == "crc32" else ""

    pulled = library.one(prefix + str(getattr(hashes, kind)), dry_run=True)

    assert pulled.file_id == 97_302


def test_a_version_is_chosen_by_its_name(library: Puller) -> None:
    assert library.one("107842", version="v1.0", dry_run=True).version_id == 116002
    error = library.error("107842", version="V9", dry_run=True)
    assert isinstance(error, UnknownModel)
    assert "V2.0 (428028)" in error.hint


def test_a_file_is_chosen_by_precision_name_or_id(library: Puller) -> None:
    assert library.one("78056", precision="fp32", dry_run=True).file_id == 97_302
    assert library.one("78056", file="97302", dry_run=True).file_id == 97_302
    assert isinstance(library.error("78056", precision="nf4"), NoMatchingFile)
    assert isinstance(library.error("78056", file="other.safetensors"), NoMatchingFile)


def test_a_dry_run_says_where_it_would_go_and_writes_nothing(library: Puller) -> None:
    pulled = library.one("78056", dry_run=True)

    assert pulled.planned
    assert pulled.path == library.root / SAKUSHIMIX
    assert pulled.size > 0
    assert library.files() == []
    assert library.catalog.count() == 0


def test_pulling_again_fetches_nothing(library: Puller, hub: DemoHub) -> None:
    first = library.one("78056")
    sent = hub.bytes_sent("storage")

    again = library.one("78056")

    assert again.outcome is Outcome.PRESENT
    assert again.path == first.path
    assert hub.bytes_sent("storage") == sent


def test_a_file_that_lies_there_uncatalogued_is_recognised_by_its_hash(
    library: Puller, hub: DemoHub
) -> None:
    path = library.root / SAKUSHIMIX
    path.parent.mkdir(parents=True)
    path.write_bytes(hub.stored(97_301).path.read_bytes())

    pulled = library.one("78056")

    assert pulled.outcome is Outcome.PRESENT
    assert hub.bytes_sent("storage") == 0
    assert library.catalog.list_files("sakushimix")[0].file == path


def test_a_file_of_the_same_name_is_never_touched(library: Puller) -> None:
    path = library.root / SAKUSHIMIX
    path.parent.mkdir(parents=True)
    path.write_bytes(b"the user's own")

    pulled = library.one("78056")

    assert path.read_bytes() == b"the user's own"
    assert pulled.path.name == "sakushimixFinished_sakushimixFinal (133274).safetensors"
    assert library.one("78056").path == pulled.path


def test_the_same_content_elsewhere_is_linked(library: Puller, hub: DemoHub) -> None:
    first = library.one("78056")
    library.set("library", layout="flat")
    hub.forget_requests()

    second = library.one("78056")

    assert second.outcome is Outcome.LINKED
    assert second.path == library.root / first.path.name
    assert second.path.read_bytes() == first.path.read_bytes()
    assert hub.bytes_sent("storage") == 0
    assert library.catalog.list_files("sakushimix")[0].copies == 2


def test_the_same_content_elsewhere_is_only_reported_if_so_configured(library: Puller) -> None:
    first = library.one("78056")
    library.set("library", layout="flat", same_content="report")

    assert library.one("78056").path == first.path


def test_a_published_hash_that_does_not_fit_leaves_nothing_behind(
    library: Puller, hub: DemoHub
) -> None:
    file = hub.publish_bytes("wrong.safetensors", random_bytes(200_000, seed=7))
    hub.faults.add(Fault(kind="wrong_hash", times=None))

    error = library.error(f"https://civitai.com/model-versions/{file.version_id}")

    assert isinstance(error, HashMismatch)
    assert not [name for name in library.files() if not name.endswith(".lock")]
    assert library.catalog.count() == 0


def test_unpublished_hashes_are_said_and_what_was_computed_is_recorded(
    library: Puller, hub: DemoHub
) -> None:
    file = hub.publish_bytes("nohash.safetensors", random_bytes(150_000, seed=8))
    hub.faults.add(Fault(kind="missing_hashes", times=None))
    reference = f"https://civitai.com/model-versions/{file.version_id}"

    pulled = library.one(reference)

    assert pulled.verified_by is None
    assert pulled.sha256 == sha256(pulled.path)
    assert any("no hash" in notice.lower() for notice in library.notices)
    assert library.one(reference).outcome is Outcome.PRESENT


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("99999999", UnknownModel),
        ("78056@99999999", UnknownModel),
        ("78056@428028", UnknownModel),
        ("what is this?", MalformedReference),
        ("910008@910108", NoFilesPublished),
        ("910008", NoFilesPublished),
        ("910007", ArchivedModel),
        ("910005", LoginRequired),
        ("910006", EarlyAccess),
        ("910009", DownloadsDisabled),
        ("910004", UnsafeFileError),
    ],
)
def test_what_cannot_be_had_is_an_error_of_its_own(
    library: Puller, reference: str, error: type[Exception]
) -> None:
    found = library.error(reference)

    assert type(found) is error
    assert found.hint
    assert library.catalog.count() == 0


def test_a_file_that_needs_a_login_comes_with_a_key(library: Puller, hub: DemoHub) -> None:
    library.key = hub.key
    assert library.one("910005").outcome is Outcome.DONE
    storage = [request for request in hub.requests if request.server == "storage"]
    assert storage
    assert not any("authorization" in map(str.lower, seen.headers) for seen in storage)


def test_a_key_that_is_refused_is_said(library: Puller) -> None:
    library.key = "not-the-key"
    error = library.error("910005")
    assert isinstance(error, KeyRefused | LoginRequired)
    assert "not-the-key" not in error.message + error.hint


def test_a_dangerous_file_is_pulled_only_when_asked_for(library: Puller) -> None:
    pulled = library.one("910004", allow_unsafe=True)

    assert pulled.path.suffix == ".ckpt"
    assert library.catalog.list_files("unsafe:yes")[0].file == pulled.path


def test_hostile_names_stay_inside_the_root_under_clean_names(
    library: Puller, hub: DemoHub
) -> None:
    with library.hub_client() as client:
        files = client.version(910110).value.files
    outcomes = [library.one("910010@910110", file=str(file.id)) for file in files]

    for pulled in outcomes:
        assert pulled.path.is_relative_to(library.root)
        assert pulled.path.is_file()
        assert len(pulled.path.name.encode()) <= 255
        assert pulled.path.name.isprintable()
    assert len({pulled.path for pulled in outcomes}) == len({file.hashes.sha256 for file in files})


def test_names_that_differ_only_in_case_do_not_meet(library: Puller, hub: DemoHub) -> None:
    def publish(name: str, seed: int) -> str:
        file = PublishedFile(name=name, content=random_bytes(50_000, seed=seed))
        version = PublishedVersion(name="v1", files=[file])
        model = hub.publish(PublishedModel(name=f"case {seed}", versions=[version]))
        return str(model.id)

    first = library.one(publish("Same.safetensors", 21))
    second = library.one(publish("same.safetensors", 22))

    assert first.path.name.casefold() != second.path.name.casefold()


def test_a_companion_vae_goes_to_the_vae_folder(library: Puller) -> None:
    pulled = library.one("107842", file_type="VAE")

    assert pulled.path.parent == library.root / "vae"


def test_sidecars_and_preview_are_written_beside_the_model(library: Puller) -> None:
    library.set("sidecars", preview=True, write=["civitai.info", "a1111"], max_nsfw="PG")

    pulled = library.one("910001")

    assert pulled.path == library.root / "loras" / "ink-wash-lines.safetensors"
    info = json.loads((pulled.path.with_suffix(".civitai.info")).read_text())
    assert (info["id"], info["modelId"]) == (910101, 910001)
    settings = json.loads(pulled.path.with_suffix(".json").read_text())
    assert "inkwash style" in settings["activation text"]
    assert any(".preview." in name for name in library.files())
    row = library.catalog.list_files("inkwash")[0]
    assert any(preview.file for preview in library.catalog.show(row.id).previews)


def test_a_preview_that_cannot_be_had_is_a_remark_and_no_failure(
    library: Puller, hub: DemoHub
) -> None:
    library.set("sidecars", preview=True)
    hub.faults.add(Fault(kind="server_error", path="/image", server="storage", times=None))

    assert library.one("910002").outcome is Outcome.DONE


def test_several_are_pulled_at_once_and_one_failure_stops_no_other(library: Puller) -> None:
    outcomes = library.all("78056", "99999999", "910001", "910002")

    assert [type(outcome) for outcome in outcomes] == [
        PulledFile,
        FailedPull,
        PulledFile,
        PulledFile,
    ]
    assert library.catalog.count() == 3


def test_what_the_user_wrote_survives_a_new_pull(library: Puller) -> None:
    pulled = library.one("910001")
    row = library.catalog.list_files("inkwash")[0]
    library.catalog.tag([row.id], ["mine"])
    library.catalog.note([row.id], "at 0.7")
    pulled.path.unlink()

    library.one("910001")

    details = library.catalog.show(library.catalog.list_files("tag:mine")[0].id)
    assert details.note == "at 0.7"
    assert details.row.file.exists()
