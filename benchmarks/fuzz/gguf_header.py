"""Fuzz the GGUF reader: an answer that is true of the file's size, or a FormatError.

python benchmarks/fuzz/gguf_header.py [--seconds 60] [--seed 1] [INPUT]
"""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

from _fuzz import fuzz

from modelhub.errors import FormatError
from modelhub.formats.gguf import read_gguf


def text(value: bytes, count: str, order: str) -> bytes:
    return struct.pack(f"{order}{count}", len(value)) + value


def file(version: int, order: str) -> bytes:
    """A file with a value of each kind and two tensors."""
    count = "I" if version == 1 else "Q"
    head = b"GGUF" + struct.pack(f"{order}I{count}{count}", version, 2, 5)
    for key, kind, value in (
        (b"general.architecture", 8, text(b"flux", count, order)),
        (b"general.alignment", 4, struct.pack(f"{order}I", 32)),
        (b"scale", 12, struct.pack(f"{order}d", 0.5)),
        (b"tokens", 9, struct.pack(f"{order}I{count}", 8, 2) + text(b"a", count, order) * 2),
        (
            b"comfy.gguf.orig_shape.w",
            9,
            struct.pack(f"{order}I{count}3i", 5, 3, 4, 8, 8),
        ),
    ):
        head += text(key, count, order) + struct.pack(f"{order}I", kind) + value
    for name, dims, kind, offset in ((b"w", (256, 1), 12, 0), (b"b", (4,), 0, 160)):
        head += text(name, count, order) + struct.pack(f"{order}I", len(dims))
        head += struct.pack(f"{order}{len(dims)}{count}IQ", *dims, kind, offset)
    return head + bytes(-len(head) % 32) + bytes(176)


GOOD = [file(version, order) for version in (1, 2, 3) for order in "<>"]
PIECES = [
    b"GGUF",
    b"general.alignment",
    struct.pack("<II", 9, 8),
    struct.pack("<Q", 1 << 40),
    struct.pack("<IQ", 12, 1 << 61),
    struct.pack("<QQ", 1 << 63, 1 << 63),
    struct.pack("<I", 31),
]


def check(data: bytes) -> bool:
    try:
        header = read_gguf(io.BytesIO(data), len(data))
    except FormatError:
        return False
    for tensor in header.tensors.values():
        begin, end = tensor.data_offsets
        assert 0 <= begin <= end
        assert header.data_start + end <= len(data)
    return True


if __name__ == "__main__":
    sys.exit(fuzz(Path(__file__).stem, GOOD, PIECES, check))
