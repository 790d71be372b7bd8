"""Headers of files as they lie on a disk: every kind, every obstacle, nothing that blocks."""

from __future__ import annotations

import os
import pickle
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats import reading
from modelhub.formats.reading import read_header, read_model
from modelhub.formats.tensors import FileFormat
from tests.formats.written import GgufWriter, around, safetensors_file

SMALL = safetensors_file({"a": ("F16", (2, 2))}, {"k": "v"})


def test_a_file_is_read_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(SMALL)
    header = read_header(path)
    assert (header.format, list(header.tensors)) == (FileFormat.SAFETENSORS, ["a"])


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(SMALL)
    (tmp_path / "model.safetensors").symlink_to("blob")
    assert read_header(tmp_path / "model.safetensors").size == len(SMALL)


def test_a_gguf_with_a_large_vocabulary_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = GgufWriter().strings("tokenizer.ggml.tokens", ["x" * 40] * 50_000)
    path.write_bytes(writer.tensor("a", [32], 0, 0).file(128))
    assert read_header(path).tensors["a"].shape == (32,)


def test_a_pickle_is_read_and_nothing_in_it_is_called(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path}/called",)

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Attack()))
    assert read_header(path).format is FileFormat.PICKLE
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("data", "found", "words"),
    [
        (b"", FileFormat.EMPTY, "empty"),
        (b"<!doctype html><html>Sign in", FileFormat.HTML, "web page"),
        (bytes(5000), FileFormat.UNKNOWN, "never filled"),
        (b"\x01\x02\x03\x04" * 99, FileFormat.UNKNOWN, "named .safetensors"),
        (b"just words", FileFormat.TEXT, "named .safetensors, but its content is text"),
    ],
)
def test_what_is_no_model_is_an_answer_that_says_so(
    tmp_path: Path, data: bytes, found: FileFormat, words: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    header = read_header(path)
    assert header.format is found
    assert not header.tensors
    assert words in header.notices[0]


def test_a_sparse_download_is_told_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(50 << 30)
    assert "never filled" in read_header(path).notices[0]


def test_a_damaged_file_is_named_with_the_offset(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SMALL[:-3])
    with pytest.raises(FormatError) as caught:
        read_header(path)
    assert caught.value.path == path
    assert caught.value.offset == len(SMALL) - 3
    assert str(path) in caught.value.message


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fifo, "a FIFO"),
        (listening, "a socket"),
        (a_link_to_a_device, "a device"),
        (Path.mkdir, "a folder"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
    ],
)
def test_what_is_no_regular_file_is_refused_and_never_waited_for(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "model.safetensors"
    make(path)
    with pytest.raises(FileUnreadable, match=words):
        read_header(path)


@pytest.mark.timeout(10)
def test_a_fifo_that_takes_a_files_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SMALL)
    status = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(reading, "require_regular", lambda _: status)
    with pytest.raises(FileUnreadable, match="a FIFO"):
        read_header(path)


def test_a_file_without_the_right_to_read_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SMALL)
    path.chmod(0)
    if os.access(path, os.R_OK):
        # The superuser may read everything: the refusal is the kernel's, so it is played here.
        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileUnreadable, match="Permission denied"):
        read_header(path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_a_name_that_no_file_can_have_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileUnreadable):
        read_header(tmp_path / name)


def test_a_name_that_is_no_utf8_is_read_and_told(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.safetensors"))
    path.write_bytes(SMALL)
    assert read_header(path).tensors
    path.write_bytes(SMALL[:20])
    with pytest.raises(FormatError):
        read_header(path)


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SMALL)
    real = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        found = real(descriptor, length, offset)
        with path.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(FileUnreadable, match="changed while"):
        read_header(path)


def test_a_file_that_shrinks_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SMALL)
    real = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        os.truncate(path, 10)
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(FileUnreadable, match="changed while"):
        read_header(path)


def test_a_file_being_written_over_and_over_gives_an_answer_or_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    contents = [SMALL, safetensors_file({f"t{n}": ("F32", (9,)) for n in range(400)})]
    path.write_bytes(SMALL)
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn = 1 - turn
            path.write_bytes(contents[turn])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            with suppress(FileUnreadable, FormatError):
                assert len(read_header(path).tensors) in (0, 1, 400)
    finally:
        stop.set()
        writer.join()


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    before = set(Path("/proc/self/fd").iterdir())
    for data in (SMALL, SMALL[:-1], b"", GgufWriter().file(), pickle.dumps({"a": 1}), around(b"{")):
        path.write_bytes(data)
        with suppress(FormatError):
            read_header(path)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_single_file_is_a_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "portrait-of-a-cat.safetensors"
    path.write_bytes(SMALL)
    assert read_model(path) == read_header(path)
