"""What our own scan finds in a file that Civitai's scan let through."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from modelhub.catalog import FileState
from modelhub.demo.hub import DemoHub
from modelhub.errors import UnsafeFileError
from modelhub.progress import Outcome, Stage, StageEntered
from modelhub.services.scan import release_file

from .conftest import Puller

_NUMBERS = itertools.count()


@pytest.fixture
def evil(hub: DemoHub) -> str:
    """A reference to a checkpoint of its own that runs a command when it is unpickled."""
    return _publish(hub, b"cos\nsystem\n(S'true %d'\ntR." % next(_NUMBERS))


@pytest.fixture
def odd(hub: DemoHub) -> str:
    """A reference to one that names what nobody knows."""
    return _publish(hub, b"cunheard.of\nThing%d\n." % next(_NUMBERS))


def _publish(hub: DemoHub, content: bytes) -> str:
    file = hub.publish_bytes(f"evil{next(_NUMBERS)}.ckpt", content)
    return f"https://civitai.com/model-versions/{file.version_id}"


def held(library: Puller) -> Path:
    [row] = library.catalog.list_files("state:quarantined")
    return row.file


def test_a_dangerous_file_gets_no_place(library: Puller, evil: str) -> None:
    library.set("sidecars", preview=True)
    error = library.error(evil)
    assert isinstance(error, UnsafeFileError)
    path = held(library)
    assert path.is_relative_to(library.root / ".modelhub" / "quarantine")
    assert path.name.endswith(".ckpt.quarantined")
    assert library.files() == [str(path.relative_to(library.root))]
    assert "os.system" in error.message
    assert str(path) in error.message
    assert f"--release '{path}'" in error.hint
    [row] = library.catalog.list_files("verdict:dangerous")
    assert (row.state, row.type, row.sha256 is not None) == (
        FileState.QUARANTINED,
        "checkpoint",
        True,
    )
    assert library.catalog.show(row.id).events[0].kind == "quarantined"
    assert Stage.SCAN in [one.stage for one in library.events if isinstance(one, StageEntered)]


def test_pulled_again_it_is_refused_without_a_download(
    library: Puller, hub: DemoHub, evil: str
) -> None:
    library.error(evil)
    hub.forget_requests()
    assert isinstance(library.error(evil), UnsafeFileError)
    assert isinstance(library.error(evil, dry_run=True), UnsafeFileError)
    assert [one for one in hub.requests if one.server == "storage"] == []


def test_allowed_it_gets_its_place_with_a_warning(library: Puller, evil: str) -> None:
    pulled = library.one(evil, allow_unsafe=True)
    assert pulled.outcome is Outcome.DONE
    assert pulled.path.suffix == ".ckpt"
    assert pulled.verdict == "dangerous"
    assert any("dangerous" in text for text in library.notices)
    assert library.catalog.list_files("verdict:dangerous state:hashed")


def test_allowed_later_it_comes_out_of_quarantine_without_a_download(
    library: Puller, hub: DemoHub, evil: str
) -> None:
    library.error(evil)
    hub.forget_requests()
    pulled = library.one(evil, allow_unsafe=True)
    assert pulled.outcome is Outcome.PRESENT
    assert pulled.path.parent == library.root / "checkpoints"
    assert [one for one in hub.requests if one.server == "storage"] == []
    assert library.catalog.list_files("state:quarantined") == []


def test_released_it_is_where_the_pull_would_have_put_it(library: Puller, evil: str) -> None:
    library.error(evil)
    there = release_file(library.catalog, held(library))
    assert there.parent == library.root / "checkpoints"
    row = library.catalog.find_local_by_path(there)
    assert row is not None
    assert (row.state, row.verdict, row.version_id is not None) == (
        FileState.HASHED,
        "dangerous",
        True,
    )


def test_a_suspicious_file_gets_its_place_unless_the_user_is_strict(
    library: Puller, odd: str, hub: DemoHub
) -> None:
    pulled = library.one(odd)
    assert pulled.verdict == "suspicious"
    assert any("suspicious" in text for text in pulled.notices)
    library.set("pull", quarantine="suspicious")
    stranger = _publish(hub, b"cunheard.of\nOther\n.")
    assert isinstance(library.error(stranger), UnsafeFileError)


def test_never_quarantined_it_is_only_marked(library: Puller, evil: str) -> None:
    library.set("pull", quarantine="never")
    assert library.one(evil).verdict == "dangerous"
    assert library.catalog.list_files("unsafe:yes state:hashed")


def test_dangerous_content_is_not_linked_to_another_folder(
    library: Puller, evil: str, tmp_path: Path
) -> None:
    library.one(evil, allow_unsafe=True)
    other = tmp_path / "other"
    other.mkdir()
    library.set("library", root=str(other))
    error = library.error(evil)
    assert "not linked" in error.message
    assert list(other.rglob("*.ckpt")) == []


def test_a_folder_on_another_disk_has_a_quarantine_of_its_own(
    library: Puller, evil: str, tmp_path: Path
) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    import tempfile

    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        (library.root / "checkpoints").symlink_to(folder)
        assert isinstance(library.error(evil), UnsafeFileError)
        path = held(library)
        assert path.parent == library.root / "checkpoints/.modelhub/quarantine"
        assert release_file(library.catalog, path).parent == library.root / "checkpoints"


def test_a_safe_pickle_is_placed_in_silence(library: Puller, hub: DemoHub) -> None:
    data = Path(__file__).parents[2] / "data" / "torch" / "zip.pt"
    file = hub.publish_bytes("fine.ckpt", data.read_bytes())
    pulled = library.one(f"https://civitai.com/model-versions/{file.version_id}")
    assert (pulled.verdict, pulled.notices) == ("safe", [])
