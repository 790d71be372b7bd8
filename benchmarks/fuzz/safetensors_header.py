"""Fuzz the safetensors reader: an answer or a FormatError, and the reference's verdict.

    python benchmarks/fuzz/safetensors_header.py [--seconds 60] [--seed 1] [INPUT]

Where the `safetensors` package is installed, what it refuses must be refused here too.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import safetensors
from _fuzz import fuzz

from modelhub.errors import FormatError
from modelhub.formats.safetensors import read_safetensors

_ONE = b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
PIECES = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"-", b"\n", b"\0", b"\xff"),
    *(b"1e3", b"1.0", b"-0", b"null", b"true", b"18446744073709551616", b"\\u0061", b"\\ud83d"),
    *(_ONE, _ONE + b",", b'"dtype":"F4"', b'"dtype":"F16",', b'"shape":[0],', b"[[[[[[[["),
    *(b'"__metadata__":{"a":"b"},', b'"__metadata__":null,', b'"}, "', b'\\"},"'),
]


def file(header: dict[str, object], size: int) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


GOOD = [
    file({}, 0),
    file({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, 1),
    file(
        {
            "__metadata__": {"ss_tag_frequency": '{"a": {"b": 1}}', "folder": "C:\\"},
            "w": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]},
            "b-0": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
            "é": {"dtype": "I64", "shape": [0, 7], "data_offsets": [16, 16]},
        },
        16,
    ),
]


def check(data: bytes) -> bool:
    try:
        header = read_safetensors(io.BytesIO(data), len(data))
    except FormatError:
        return False
    theirs = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    assert theirs.keys() == header.tensors.keys()
    for name, tensor in header.tensors.items():
        assert tuple(theirs[name]["shape"]) == tensor.shape
        begin, end = tensor.data_offsets
        assert bytes(theirs[name]["data"]) == data[header.data_start :][begin:end]
    return True


if __name__ == "__main__":
    sys.exit(fuzz(Path(__file__).stem, GOOD, PIECES, check))
