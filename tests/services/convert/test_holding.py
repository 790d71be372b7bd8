from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, FileUnreadable
from modelhub.progress import Event, Notice, StageEntered
from modelhub.services.convert.locking import sole_writer
from modelhub.services.convert.source_hash import UNKNOWN, SourceHash, SourceHashes

NEVER = threading.Event()

HOLDER = """
import sys, threading
from pathlib import Path
from modelhub.progress import silent
from modelhub.services.convert.locking import sole_writer
with sole_writer(Path(sys.argv[1]), "0", silent, threading.Event()):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))


def locks(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "home" / "cache" / "conversions").iterdir())


def test_a_second_process_waits_for_the_name_and_says_so(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    holder = [sys.executable, "-c", HOLDER, str(target)]
    told: list[Event] = []
    with subprocess.Popen(
        holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"

        def let_go(event: Event) -> None:
            told.append(event)
            if isinstance(event, Notice):
                assert process.stdin is not None
                process.stdin.close()

        with sole_writer(target, "0", let_go, NEVER):
            assert not list(tmp_path.glob("*.lock"))
    [stage, notice] = told
    assert isinstance(stage, StageEntered)
    assert isinstance(notice, Notice)
    assert str(target) in notice.text
    assert locks(tmp_path) == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    holder = [sys.executable, "-c", HOLDER, str(target)]
    with subprocess.Popen(
        holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    told: list[Event] = []
    with sole_writer(target, "0", told.append, NEVER):
        pass
    assert told == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_waiting_ends_with_ctrl_c(tmp_path: Path) -> None:
    target, cancel = tmp_path / "out.safetensors", threading.Event()

    def stop(event: Event) -> None:
        cancel.set()

    with (
        sole_writer(target, "0", stop, NEVER),
        pytest.raises(Cancelled, match="waiting for another conversion"),
        sole_writer(target, "1", stop, cancel),
    ):
        pass


def test_the_hash_of_one_file_is_its_sha256(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"model" * 1000)
    with SourceHash([file], folder=tmp_path) as one:
        assert one.value(NEVER) == hashlib.sha256(b"model" * 1000).hexdigest().upper()


def test_the_hash_of_several_files_is_that_of_what_sha256sum_prints(tmp_path: Path) -> None:
    files = [tmp_path / "b" / "2.bin", tmp_path / "a.bin"]
    files[0].parent.mkdir()
    for file in files:
        file.write_bytes(file.name.encode())
    printed = subprocess.run(
        ["sha256sum", "a.bin", "b/2.bin"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    with SourceHash(files, folder=tmp_path) as whole:
        assert whole.value(NEVER) == hashlib.sha256(printed).hexdigest().upper()


def test_a_hash_that_is_known_is_not_computed(tmp_path: Path) -> None:
    with SourceHash([tmp_path / "gone"], folder=tmp_path, known="AB" * 32) as one:
        assert one.value(NEVER) == "AB" * 32


def test_a_file_that_cannot_be_read_is_an_error_where_the_hash_is_wanted(tmp_path: Path) -> None:
    with SourceHash([tmp_path / "gone"], folder=tmp_path) as one:
        one.start()
        with pytest.raises(FileUnreadable, match="gone"):
            one.value(NEVER)


def test_what_is_not_known_yet_has_a_place_of_its_length(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"1")
    hashes = SourceHashes(
        [SourceHash([file], folder=tmp_path), SourceHash([], folder=tmp_path, known="AB" * 32)]
    )
    assert hashes.shown == (UNKNOWN, "ab" * 32)
    with hashes:
        found = hashes.provenance(NEVER)
    assert found == {
        "modelhub.source_sha256": hashlib.sha256(b"1").hexdigest(),
        "modelhub.with_sha256": "ab" * 32,
    }
    assert len(found["modelhub.source_sha256"]) == len(UNKNOWN)


def test_a_hash_that_is_stopped_ends_with_its_block(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    with file.open("wb") as stream:
        stream.truncate(1 << 34)
    with SourceHash([file], folder=tmp_path) as one:
        one.start()
    assert one.known is None
    assert not [thread for thread in threading.enumerate() if thread.name == "source-hash"]
