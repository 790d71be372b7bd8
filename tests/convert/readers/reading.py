"""What tests of readers share: all values of a source, and files that are made by hand."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from modelhub.convert.readers import open_source
from modelhub.convert.values import Values


def bytes_of(values: Values) -> bytes:
    """All of them; each piece is copied before the next one is asked for."""
    whole = b"".join(bytes(piece) for piece in values.pieces())
    assert len(whole) == values.nbytes
    return whole


def read(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of every tensor of a model."""
    with open_source(path) as source:
        return {name: (one.dtype, one.shape, bytes_of(one)) for name, one in source.tensors.items()}


def member(data: bytes, compression: int = zipfile.ZIP_STORED) -> tuple[bytes, int]:
    return data, compression


def write_zip(path: Path, members: Mapping[str, tuple[bytes, int]]) -> Path:
    """An archive of these members, below ``m/``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, (data, compression) in members.items():
            archive.writestr(zipfile.ZipInfo(f"m/{name}"), data, compress_type=compression)
    return path


def view_pickle(
    views: Iterable[tuple[str, int, tuple[int, ...], tuple[int, ...]]], numel: int
) -> bytes:
    """The pickle of a state dict whose tensors are views of one FloatStorage.

    :param views: name, offset, shape and stride in elements.
    """
    entries = []
    for name, offset, shape, stride in views:
        entries.append(
            b"X" + struct.pack("<I", len(name)) + name.encode()
            + b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
            + b"X\x01\0\0\x000X\x03\0\0\0cpu" + _int(numel) + b"tQ" + _int(offset)
            + b"".join(b"(" + b"".join(map(_int, one)) + b"t" for one in (shape, stride))
            + b"\x89ccollections\nOrderedDict\n)RtR"
        )  # fmt: skip
    return b"\x80\x02}(" + b"".join(entries) + b"u."


def _int(number: int) -> bytes:
    data = number.to_bytes(8, "little", signed=True)
    return b"\x8a\x08" + data


def write_views(
    path: Path,
    views: Iterable[tuple[str, int, tuple[int, ...], tuple[int, ...]]],
    storage: bytes,
    numel: int | None = None,
) -> Path:
    """A checkpoint of views of one storage of fp32."""
    tree = view_pickle(views, len(storage) // 4 if numel is None else numel)
    return write_zip(path, {"data.pkl": member(tree), "data/0": member(storage)})
