"""Strings of a pickle that hold numbers: the content of numpy's arrays, and storages within.

In protocols below 3 a pickle has no bytes: Python writes them as text of the same code points, and
``_codecs.encode(text, "latin1")`` around it (``Lib/pickle.py``, ``save_bytes``). Of a checkpoint of
``torch.save``, whose protocol is 2, that is how every numpy array in it is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TypeAlias

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.pickles import Call, Global, Held, Skipped, Source

Content: TypeAlias = bytes | Skipped
"""Bytes in memory, or where they are in the file: as they are, or as text of protocol 2."""

_BLOCK = 64 << 10
_CONTINUATIONS = bytes(range(0x80, 0xC0))


class Strings:
    """The strings of one pickle, each brought to bytes at most once.

    :param held: the pickle itself, where it was inflated: what was skipped is not in the file then.
    """

    def __init__(self, held: Held | None = None) -> None:
        self._held = held
        self._known: dict[int, tuple[object, Content | None]] = {}

    def content(self, value: object) -> Content | None:
        """The bytes that `value` stands for, or None where it is no string.

        :raises FormatError: it is text beyond Latin-1.
        """
        known = self._known.get(id(value))
        if known is None:
            # The value is kept with its content: its id must not become that of another one.
            known = self._known[id(value)] = (value, self._made(value))
        return known[1]

    def _made(self, value: object) -> Content | None:
        if isinstance(value, Skipped):
            return value if self._held is None else _from_held(value, self._held)
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):  # a string of Python 2 that happened to be UTF-8
            return value.encode("utf-8", "surrogatepass")
        name, args = _called(value)
        if name == "bytearray" and len(args) == 1 and _called(args[0])[0] != "bytearray":
            return self.content(args[0])
        if name in ("bytes", "bytearray") and not args:
            return b""
        if name == "encode" and len(args) == 2 and args[1] in ("latin1", "latin-1"):
            return self._encoded(args[0])
        return None

    def _encoded(self, text: object) -> Content | None:
        if isinstance(text, Skipped):
            return self.content(text)
        return _latin(text) if isinstance(text, str) else None


def _called(value: object) -> tuple[str, tuple[object, ...]]:
    """The name of what a record calls, and with what; empty of anything else."""
    if not isinstance(value, Call) or not isinstance(value.args, tuple):
        return "", ()
    return (value.callable.name if isinstance(value.callable, Global) else ""), value.args


def _from_held(skipped: Skipped, held: Held) -> bytes:
    data = held.read(skipped.offset - held.origin, skipped.size)
    return _latin(data.decode("utf-8", "replace")) if skipped.is_text else data


def _latin(text: str, offset: int = 0) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise FormatError("bytes that are written as text beyond Latin-1", offset=offset) from None


class LatinText:
    """The bytes that a long text of a pickle stands for, read at any offset.

    One pass over the text notes where each block of it begins.

    :param text: its UTF-8.
    :raises FileUnreadable: it cannot be read.
    """

    def __init__(self, text: Source) -> None:
        self._text = text
        self._starts = [0]
        """How many letters begin before each block of the text."""
        for start in range(0, text.size, _BLOCK):
            letters = text.read(start, _BLOCK).translate(None, _CONTINUATIONS)
            self._starts.append(self._starts[-1] + len(letters))

    @property
    def size(self) -> int:
        """How many bytes it stands for."""
        return self._starts[-1]

    @property
    def origin(self) -> int:
        """Where the text is in the file."""
        return self._text.origin

    def read(self, offset: int, count: int) -> bytes:
        """The `count` bytes at `offset`, fewer only at the end.

        :raises FormatError: the text is damaged, or beyond Latin-1.
        """
        count = max(0, min(count, self.size - offset))
        first = bisect_right(self._starts, offset) - 1
        pieces: list[bytes] = []
        left = count + offset - self._starts[first] if count else 0
        block = first
        while left > 0:
            if block + 1 >= len(self._starts):
                raise FileUnreadable("the file changed while it was read")
            pieces.append(self._block(block))
            left -= len(pieces[-1])
            block += 1
        skipped = offset - self._starts[first]
        return b"".join(pieces)[skipped : skipped + count]

    def _block(self, number: int) -> bytes:
        """The letters that begin in a block, one byte each."""
        start = number * _BLOCK
        # One byte more: the last letter may end behind the block.
        data = self._text.read(start, _BLOCK + 1)
        inside = len(data) > _BLOCK and not 0x80 <= data[_BLOCK] < 0xC0
        data = data[:_BLOCK] if inside else data
        try:
            text = data.lstrip(_CONTINUATIONS).decode() if number else data.decode()
        except UnicodeDecodeError:
            raise FormatError("a damaged text", offset=self.origin + start) from None
        return _latin(text, self.origin + start)
