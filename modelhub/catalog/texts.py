"""Text, numbers and JSON as both databases take them.

Apart from the column types, so that the processes that read headers, which use these as well, need
not import SQLAlchemy.
"""

from __future__ import annotations

import re
import zlib
from typing import Any

import msgspec

LARGEST = 2**63 - 1
SORT_KEY_OF_NOTHING = "~"
"""Sorts after every letter: files of no known type or base model come last."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_QUICK = 1
"""zlib's level: of JSON it leaves a tenth more than the default, in a third of the time."""


def stored_text(text: str) -> str:
    """`text` without what a database refuses: NUL and lone surrogates become U+FFFD."""
    return text if text.isascii() and "\0" not in text else _UNSTORABLE.sub("\ufffd", text)


def json_text(value: Any) -> str:
    """`value` as JSON. A lone surrogate in it, which JSON in UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        import json

        return stored_text(json.dumps(msgspec.to_builtins(value), ensure_ascii=False))


def decoded(text: str | None) -> Any:
    """JSON, or the text itself where it is none: both came from files and from the internet."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return stored_text(text)


def stored_size(value: int | None) -> int | None:
    """`value` if it is a number that a 64-bit column holds and that can be a size, else None."""
    return value if value is not None and 0 <= value <= LARGEST else None


def stored_number(value: int) -> int:
    """`value`, or the nearest number that a 64-bit column holds."""
    return max(-LARGEST, min(value, LARGEST))


def stored_inode(inode: int | None) -> int | None:
    """An inode number in 64 bits with a sign: some file systems use the highest bit."""
    if inode is None:
        return None
    inode &= 2**64 - 1
    return inode - 2**64 if inode >= 2**63 else inode


def packed(text: str) -> bytes:
    """Long text deflated, as ``PackedText`` columns keep it."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"), _QUICK)


def unpacked(data: bytes) -> str:
    """What :func:`packed` packed."""
    return zlib.decompress(data).decode("utf-8", "surrogatepass")
