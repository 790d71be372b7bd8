"""Fuzz the machine that follows pickles: a value, or a FormatError that names a place in the file.

python -m benchmarks.fuzz.pickle_opcodes --seconds 60
"""

from __future__ import annotations

import collections
import pickle
import pickletools
import sys
from pathlib import Path

from _fuzz import fuzz

from modelhub.errors import FormatError
from modelhub.formats.pickles import Held, Machine

_CORPUS = Path(__file__).parents[2] / "tests" / "data" / "pickles"
_VALUE = {
    "numbers": [1, 2.5, 1 << 40, 1 << 90, True, None, -3],
    "texts": ("a", "é", b"bytes", bytearray(b"array"), "x" * 3000),
    "sets": [{1, 2}, frozenset("ab"), complex(1, 2)],
    "calls": collections.OrderedDict([("a", [1]), ("b", collections.Counter("ab"))]),
}


def good() -> list[bytes]:
    """Pickles of all protocols, and the corpus."""
    corpus = [path.read_bytes() for path in sorted(_CORPUS.iterdir()) if path.suffix != ".md"]
    return [pickle.dumps(_VALUE, protocol) for protocol in range(6)] + corpus


def check(data: bytes) -> bool:
    """Whether all pickles in `data` were read."""
    machine = Machine(Held(data))
    try:
        while machine.position < machine.source.size:
            machine.load()
    except FormatError as error:
        if not 0 <= error.offset <= len(data):
            raise AssertionError(f"an offset of {error.offset}") from error
        return False
    return True


if __name__ == "__main__":
    opcodes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    names = [b"cos\nsystem\n", b"(ios\nsystem\n", b"Vtext\n", b"p0\n", b"g0\n", b"\x8c\x01a"]
    sys.exit(fuzz("pickles", good(), opcodes + names, check))
