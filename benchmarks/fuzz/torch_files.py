"""Fuzz the reader of torch files in all their forms: a header, or a FormatError with its place.

python -m benchmarks.fuzz.torch_files --seconds 60
"""

from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path

from _fuzz import fuzz

from modelhub.errors import FormatError
from modelhub.formats.torchfile import read_torch

_FILES = Path(__file__).parents[2] / "tests" / "data" / "torch"
_PIECES = [
    *(b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7"),
    *(b"\0\0\x08\x08", b"\x08\0", b"\1\0\x10\0"),
    *(b"data.pkl", b"data/0", b"../", b"ustar\0"),
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n"),
    *(b"ctorch\nHalfStorage\n", b"ctorch\nUntypedStorage\n", b"ctorch\nfloat8_e5m2\n"),
    *(b"\x8a\x09" + b"\xff" * 9, b"tQ", b"tR", b"state_dict", b"string_to_param", b"_parameters"),
    zlib.compress(b"]" * 5000)[2:-4],
]


def good() -> list[bytes]:
    """Files that torch wrote."""
    return [path.read_bytes() for path in sorted(_FILES.iterdir()) if path.suffix != ".md"]


def check(data: bytes) -> bool:
    """Whether `data` has a header."""
    try:
        found = read_torch(io.BytesIO(data), len(data))
    except FormatError as error:
        if not 0 <= error.offset <= max(len(data), 1):
            raise AssertionError(f"an offset of {error.offset}") from error
        return False
    for name, tensor in found.tensors.items():
        name.encode()
        if tensor.data_offsets[1] > max(len(data), 1 << 16):
            raise AssertionError(f"{name} is longer than the file")
    return True


if __name__ == "__main__":
    sys.exit(fuzz("torch files", good(), _PIECES, check))
