"""How paths are spelled in the catalog.

A file name on Linux is any bytes, but text in SQLite and PostgreSQL must be UTF-8. Python hands
out bytes that are not UTF-8 as lone surrogates (PEP 383), which neither database takes. So a byte
0x80..0xFF that is not part of valid UTF-8 is spelled ``//hh`` (two lower-case hex digits). A
normalised path never holds two slashes in a row, so the spelling is unambiguous and reversible,
and every ordinary path is spelled as it is. No normal form is applied: two names that differ only
in their Unicode form are two files.

Where hosts that share the catalog mount its folders differently, each reads and writes its own
paths, and the catalog keeps one (:mod:`modelhub.config.mounts`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from modelhub.config.mounts import to_catalog, to_host

_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPE = re.compile("//([89a-f][0-9a-f])")


def encode_path(path: Path) -> str:
    """`path` in the catalog's spelling.

    :raises ValueError: the path holds a NUL, which no file name can.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL")
    if text.startswith("//"):
        text = "/" + text.lstrip("/")
    return escaped(to_catalog(text))


def escaped(text: str) -> str:
    """`text`, a path or a part of one, with the bytes in it that are not UTF-8 spelled out."""
    if text.isascii():
        return text
    return _BYTE.sub(lambda found: f"//{ord(found[0]) - 0xDC00:02x}", text)


def decode_path(text: str) -> Path:
    """The path that is spelled `text`."""
    if "//" in text:
        text = _ESCAPE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), text)
    return Path(to_host(text))
