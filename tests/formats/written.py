"""Model files written from plain descriptions, for the tests of their readers."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from modelhub.formats.safetensors import DTYPE_BITS

Described = Mapping[str, tuple[str, Sequence[int]]]
"""By the name of a tensor: its dtype and shape."""


def safetensors_header(tensors: Described, metadata: Mapping[str, str] | None = None) -> bytes:
    """The JSON of a header whose data lie one after the other."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    start = 0
    for name, (dtype, shape) in tensors.items():
        end = start + prod(shape) * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    return json.dumps(header, separators=(",", ":")).encode()


def data_size(tensors: Described) -> int:
    """How many bytes the data of all tensors take."""
    return sum(prod(shape) * DTYPE_BITS[dtype] // 8 for dtype, shape in tensors.values())


def around(header: bytes, data: bytes = b"") -> bytes:
    """A file with this header."""
    return len(header).to_bytes(8, "little") + header + data


def safetensors_file(tensors: Described, metadata: Mapping[str, str] | None = None) -> bytes:
    """A whole file; its data are zeroes."""
    return around(safetensors_header(tensors, metadata), bytes(data_size(tensors)))


class GgufWriter:
    """Puts a GGUF file together, right or wrong.

    :param version: 1 to 3; version 1 has counts of 4 bytes.
    :param order: ``<`` or ``>``.
    """

    SCALARS: Mapping[str, int] = {
        "B": 0,
        "b": 1,
        "H": 2,
        "h": 3,
        "I": 4,
        "i": 5,
        "f": 6,
        "?": 7,
        "Q": 10,
        "q": 11,
        "d": 12,
    }

    def __init__(self, version: int = 3, order: str = "<") -> None:
        self.order = order
        self.version = version
        self.count = "I" if version == 1 else "Q"
        self.pairs: list[bytes] = []
        self.tensors: list[bytes] = []

    def pack(self, form: str, *values: object) -> bytes:
        return struct.pack(self.order + form, *values)

    def text(self, value: str) -> bytes:
        data = value.encode()
        return self.pack(self.count, len(data)) + data

    def scalar(self, key: str, code: str, value: object) -> GgufWriter:
        self.pairs.append(self.text(key) + self.pack("I" + code, self.SCALARS[code], value))
        return self

    def string(self, key: str, value: str) -> GgufWriter:
        self.pairs.append(self.text(key) + self.pack("I", 8) + self.text(value))
        return self

    def strings(self, key: str, values: Sequence[str]) -> GgufWriter:
        head = self.pack("II" + self.count, 9, 8, len(values))
        self.pairs.append(self.text(key) + head + b"".join(map(self.text, values)))
        return self

    def numbers(self, key: str, code: str, values: Sequence[float]) -> GgufWriter:
        head = self.pack("II" + self.count, 9, self.SCALARS[code], len(values))
        self.pairs.append(self.text(key) + head + self.pack(f"{len(values)}{code}", *values))
        return self

    def tensor(self, name: str, dims: Sequence[int], kind: int, offset: int) -> GgufWriter:
        extents = self.pack(f"{len(dims)}{self.count}", *dims)
        self.tensors.append(
            self.text(name) + self.pack("I", len(dims)) + extents + self.pack("IQ", kind, offset)
        )
        return self

    def file(self, data: int = 0, alignment: int = 32) -> bytes:
        counts = self.pack(self.count * 2, len(self.tensors), len(self.pairs))
        head = b"GGUF" + self.pack("I", self.version) + counts
        head += b"".join(self.pairs) + b"".join(self.tensors)
        return head + bytes(-len(head) % alignment) + bytes(data)
