"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modelhub.formats.magic import TORCH_MAGIC, oddities, sniff
from modelhub.formats.tensors import FileFormat
from tests.formats.written import GgufWriter, safetensors_file


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def tarred(name: str, form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def image(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, kind)
    return buffer.getvalue()


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def onnx(*fields: bytes) -> bytes:
    """ModelProto: ir_version 8, then what is given."""
    return b"\x08\x08" + b"".join(fields)


PRODUCER = b"\x12\x07pytorch\x1a\x052.1.0"
GRAPH = b"\x3a\x05\x0a\x03abc"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(safetensors_file({"a": ("F16", (2,))}), FileFormat.SAFETENSORS, id="st"),
        pytest.param(
            (1 << 63).to_bytes(8, "little") + b'{"a', FileFormat.SAFETENSORS, id="st, absurd length"
        ),
        pytest.param(GgufWriter().file(), FileFormat.GGUF, id="gguf"),
        pytest.param(zipped("archive/data.pkl"), FileFormat.TORCH_ZIP, id="torch zip"),
        pytest.param(
            zipped("m/.format_version", "m/data.pkl"), FileFormat.TORCH_ZIP, id="torch zip, later"
        ),
        pytest.param(zipped("a.png"), FileFormat.ZIP, id="zip"),
        pytest.param(zipped(), FileFormat.ZIP, id="empty zip"),
        pytest.param(arrays(), FileFormat.NUMPY, id="npz"),
        pytest.param(array(), FileFormat.NUMPY, id="npy"),
        pytest.param(pickle.dumps(TORCH_MAGIC, 2), FileFormat.TORCH_LEGACY, id="legacy"),
        pytest.param(pickle.dumps(TORCH_MAGIC, 4), FileFormat.TORCH_LEGACY, id="legacy, proto 4"),
        pytest.param(tarred("storages"), FileFormat.TORCH_LEGACY, id="older than legacy"),
        pytest.param(pickle.dumps({"a": 1}, 2), FileFormat.PICKLE, id="pickle 2"),
        pytest.param(pickle.dumps({"a": list(range(9000))}, 5), FileFormat.PICKLE, id="pickle 5"),
        pytest.param(pickle.dumps({"a": 1}, 0), FileFormat.PICKLE, id="pickle 0"),
        pytest.param(pickle.dumps({"a": 1}, 1), FileFormat.PICKLE, id="pickle 1"),
        pytest.param(b"cos\nsystem\n(S'id'\ntR.", FileFormat.PICKLE, id="an attack in text"),
        pytest.param(b"(S'code'\ni__builtin__\nexec\n.", FileFormat.PICKLE, id="an instance"),
        pytest.param(
            b"Vos\np2\n0Vsystem\np3\n0g2\ng3\n\x93(Vid\ntR.\n\n",
            FileFormat.PICKLE,
            id="from the memo",
        ),
        pytest.param(
            pickle.dumps([str(n) for n in range(30_000)], 0),
            FileFormat.PICKLE,
            id="a long pickle 0",
        ),
        pytest.param(b"I am no pickle.\n", FileFormat.TEXT, id="a sentence"),
        pytest.param(b"N.", FileFormat.TEXT, id="a pickle of nothing"),
        pytest.param(onnx(PRODUCER, GRAPH), FileFormat.ONNX, id="onnx"),
        pytest.param(onnx(b"\x42\x02\x10\x11", GRAPH), FileFormat.ONNX, id="onnx, opset first"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(9), FileFormat.HDF5, id="hdf5"),
        pytest.param(bytes(512) + b"\x89HDF\r\n\x1a\n", FileFormat.HDF5, id="hdf5, user block"),
        pytest.param(b"7z\xbc\xaf\x27\x1c\x00\x04", FileFormat.SEVEN_ZIP, id="7z"),
        pytest.param(b"Rar!\x1a\x07\x01\x00", FileFormat.RAR, id="rar"),
        pytest.param(gzip.compress(b"x"), FileFormat.GZIP, id="gzip"),
        pytest.param(tarred("a.png"), FileFormat.TAR, id="tar"),
        pytest.param(tarred("a.png", tarfile.GNU_FORMAT), FileFormat.TAR, id="gnu tar"),
        *(
            pytest.param(image(kind), FileFormat.IMAGE, id=kind)
            for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
        ),
        pytest.param(b"\n <!DOCTYPE html><html>", FileFormat.HTML, id="html"),
        pytest.param(b"\xef\xbb\xbf<html lang=en>", FileFormat.HTML, id="html with a BOM"),
        pytest.param(b"<!-- hi -->\n<HTML>", FileFormat.HTML, id="html behind a comment"),
        pytest.param(b'{"error": "Unauthorized"}', FileFormat.JSON, id="json"),
        pytest.param(b"[1, 2]", FileFormat.JSON, id="json list"),
        pytest.param("Étiquettes: très, bien\n".encode(), FileFormat.TEXT, id="text"),
        pytest.param(b"", FileFormat.EMPTY, id="empty"),
        pytest.param(bytes(70_000), FileFormat.UNKNOWN, id="zeroes"),
        pytest.param(b"\x08\x01\x99\x12\x34", FileFormat.UNKNOWN, id="no onnx"),
        pytest.param(b"\x01\x02\x03", FileFormat.UNKNOWN, id="three bytes"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(data: bytes, expected: FileFormat) -> None:
    assert sniff(data[: 64 << 10], len(data)) is expected


def test_a_letter_cut_in_two_by_the_end_of_what_was_read_is_still_text() -> None:
    data = "é".encode() * 40_000
    assert sniff(data[:65_535], len(data)) is FileFormat.TEXT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!doctype html><title>Sign in</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (bytes(4096), "never filled"),
        (b"lmgg" + bytes(9) + b"\x01", "GGML"),
        (b"\xfd7zXZ\x00\x00\x04", "xz archive"),
        (b"\x01\x02\x03", "only 3 bytes"),
    ],
)
def test_what_is_no_model_is_explained(data: bytes, words: str) -> None:
    found = sniff(data, len(data))
    assert words in " ".join(oddities(data, len(data), found))


@pytest.mark.parametrize("text", [rb"C:\models\d.ckpt", rb"caf\xe9", rb"\400"])
def test_what_a_string_of_a_pickle_escapes_is_no_matter(text: bytes) -> None:
    data = b"](S'" + text + b"'\ne."
    assert sniff(data, len(data)) is FileFormat.PICKLE


def test_nothing_odd_is_said_of_an_image_or_an_unknown_format() -> None:
    assert oddities(image("PNG"), 100, FileFormat.IMAGE) == ()
    assert oddities(b"\x01" * 99, 99, FileFormat.UNKNOWN) == ()


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=700), size=st.integers(0, 1 << 40))
def test_any_bytes_have_a_format(data: bytes, size: int) -> None:
    assert sniff(data, max(size, len(data))) in FileFormat
