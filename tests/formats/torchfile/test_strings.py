"""Bytes that are kept as text, and arrays of numpy in every way that they were pickled."""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats import tensor_data
from modelhub.formats.pickles import Held, scalars
from modelhub.formats.torchfile import open_torch, strings
from modelhub.formats.torchfile.strings import LatinText


@given(st.binary(max_size=500), st.integers(0, 520), st.integers(0, 520), st.integers(1, 40))
def test_text_gives_the_bytes_that_it_stands_for(
    data: bytes, offset: int, count: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strings, "_BLOCK", block)
        text = LatinText(Held(data.decode("latin-1").encode()))
        assert text.size == len(data)
        assert text.read(offset, count) == data[offset : offset + count]


@given(st.binary(max_size=300), st.integers(1, 40))
def test_bytes_that_are_no_such_text_are_refused_or_read(data: bytes, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strings, "_BLOCK", block)
        text = LatinText(Held(data))
        with contextlib.suppress(FormatError):
            assert len(text.read(0, 1000)) == text.size


@pytest.mark.parametrize("data", [b"a\xff", b"\xc3", "Ω".encode(), b"\x80" * 5 + b"a\xc3a"])
def test_a_damaged_text_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"damaged text|beyond Latin-1"):
        LatinText(Held(data)).read(0, 10)


def values(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """All arrays of a pickle."""
    file = open_torch(path)
    found = {}
    with path.open("rb") as opened:
        for one in tensor_data.of_torch(file):
            pieces = tensor_data.read_values(opened.fileno(), one)
            found[one.name] = (one.dtype, one.shape, b"".join(bytes(piece) for piece in pieces))
    return found


GENERATOR = np.random.default_rng(0)
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "F32": GENERATOR.standard_normal((7, 5)).astype("<f4"),
    "F16": GENERATOR.standard_normal((7, 5)).astype("<f2"),
    "F64": GENERATOR.standard_normal((2, 3, 4)).astype("<f8"),
    "I64": np.arange(-5, 5, dtype="<i8"),
    "U16": np.arange(10, dtype="<u2"),
    "U8": np.arange(256, dtype="u1"),
    "BOOL": np.array([[True, False]]),
    "C64": (GENERATOR.standard_normal(6) + 1j).astype("<c8"),
    "C128": (GENERATOR.standard_normal(6) + 1j).astype("<c16"),
}
ODD: dict[str, np.ndarray[Any, Any]] = {
    "big": ARRAYS["F32"].astype(">f4"),
    "big complex": ARRAYS["C64"].astype(">c8"),
    "Fortran": np.asfortranarray(ARRAYS["F64"]),
    "big Fortran": np.asfortranarray(ARRAYS["F32"].astype(">f4")),
    "permuted": ARRAYS["F64"].transpose(1, 2, 0),
    "strided": ARRAYS["F64"][:, ::2],
    "empty": np.zeros((0, 3), "<f4"),
    "scalar": np.array(7, "<i4"),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("skipped", [False, True])
def test_arrays_come_out_of_every_protocol(tmp_path: Path, protocol: int, skipped: bool) -> None:
    arrays = ARRAYS | ODD
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol))
    with pytest.MonkeyPatch.context() as patch:
        if skipped and protocol > 1:  # older ones have lines, which are never left in the file
            patch.setattr(scalars, "_SHORT", 16)
            patch.setattr(scalars, "MAX_INLINE", 32)
            patch.setattr(strings, "_BLOCK", 11)
            # Of names, none is that long.
        found = values(path)
    for name, array in arrays.items():
        little = array.astype(array.dtype.newbyteorder("<"))
        assert found[name][1:] == (array.shape, little.tobytes()), name
        assert name in ODD or found[name][0] == name


def test_an_array_of_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    state = b"(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    data = np.array([1.5, -2], "<f4").tobytes()
    text = "".join(f"\\x{byte:02x}" for byte in data).encode()
    path.write_bytes(
        b"(dS'w'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        + state + b"S'" + text + b"'\ntbs."
    )  # fmt: skip
    assert values(path) == {"w": ("F32", (2,), data)}


def test_long_arrays_in_a_deflated_pickle_are_taken_from_there(tmp_path: Path) -> None:
    array = np.arange(2000, dtype="<f4")
    path = tmp_path / "a.pt"
    for protocol in (2, 4):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("m/data.pkl", pickle.dumps({"w": array}, protocol))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scalars, "MAX_INLINE", 2000)
            assert values(path) == {"w": ("F32", (2000,), array.tobytes())}
        path.unlink()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("inline", [1 << 20, 100])
def test_an_array_of_too_few_or_many_bytes_is_refused(
    tmp_path: Path, protocol: int, inline: int
) -> None:
    path = tmp_path / "a.pkl"
    whole = pickle.dumps({"w": np.zeros(200, "<f4")}, protocol)
    for count in (199, 201):
        changed = whole.replace((200).to_bytes(1, "little") + b"\x85", bytes([count]) + b"\x85")
        assert changed != whole
        path.write_bytes(changed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scalars, "_SHORT", min(inline, 1024))
            patch.setattr(scalars, "MAX_INLINE", inline)
            if protocol == 2 and inline == 100 and count == 199:
                # A text of one byte a letter may stand for half as many: it is read, and cut.
                assert values(path)["w"][1] == (199,)
                continue
            with pytest.raises(FormatError, match=r"bytes, not|ends within its values"):
                values(path)


def test_arrays_of_no_plain_numbers_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    arrays = {
        "objects": np.array([{}, []], dtype=object),
        "text": np.array(["a", "b"]),
        "times": np.array([0], dtype="datetime64[s]"),
        "records": np.zeros(2, dtype=[("x", "<f4"), ("y", "<i4")]),
        "long": np.zeros(2, dtype=np.longdouble),
        "w": np.ones(2, "<f4"),
    }
    path.write_bytes(pickle.dumps(arrays))
    assert list(values(path)) == ["w"]


def test_numbers_of_numpy_are_told_as_plain_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    numbers = {"a": np.float32(0.5), "b": np.int64(-3), "c": np.bool_(True)}
    path.write_bytes(pickle.dumps({"w": np.ones(2, "<f4"), **numbers}))
    assert open_torch(path).metadata == {"a": "0.5", "b": "-3", "c": "True"}


class Sharing:
    """Pickles as an array whose bytes may be those of another one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[object, ...]:
        reduced: Any = np.zeros(len(self._data), "u1").__reduce__()
        return reduced[0], reduced[1], (*reduced[2][:-1], self._data)


def test_one_text_under_many_arrays_is_brought_to_bytes_once(tmp_path: Path) -> None:
    data = bytes(range(256)) * 2000
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({str(number): Sharing(data) for number in range(500)}, 2))
    tensors = open_torch(path).tensors
    assert len(tensors) == 500
    assert len({id(one.content) for one in tensors.values()}) == 1
    assert tensors["499"].content == data


def _array_of(content: bytes, count: int) -> bytes:
    """A pickle of protocol 2 of an array whose bytes are what `content` pushes."""
    state = b"(K\1K" + bytes([count]) + b"\x85cnumpy\ndtype\n(X\2\0\0\0u1K\0K\1tR\x89"
    return (
        b"\x80\2}X\1\0\0\0wcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85"
        b"C\1btR" + state + content + b"tbs."
    )


def test_an_array_of_a_bytearray_is_read_and_one_of_many_within_each_other_is_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(_array_of(b"cbuiltins\nbytearray\nC\2ab\x85R", 2))
    assert values(path) == {"w": ("U8", (2,), b"ab")}
    depth = 50_000
    calls = b"cbuiltins\nbytearray\n" * depth + b"C\2ab" + b"\x85R" * depth
    path.write_bytes(_array_of(calls, 2))
    assert values(path) == {}


def test_scales_that_are_quantised_themselves_without_end_are_not_followed(tmp_path: Path) -> None:
    depth = 20_000
    storage = b"((X\7\0\0\0storagectorch\nQInt8Storage\nX\1\0\0\x000X\3\0\0\0cpuK\1tQ"
    start = b"ctorch._utils\n_rebuild_qtensor\n" + storage + b"K\0K\1\x85K\1\x85"
    scheme = b"(ctorch\nper_channel_affine\n"
    end = b"NK\0t\x89Nt" + b"R"
    tree = b"\x80\2}X\1\0\0\0w" + (start + scheme) * depth + b"N" + end * depth + b"s."
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", tree)
        archive.writestr("m/data/0", b"\1")
    found = open_torch(path).tensors["w"]
    assert (found.dtype, found.quantizer) == ("QINT8", None)
