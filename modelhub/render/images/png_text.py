"""The text chunks of a PNG: written without touching the pixels, and read from any file.

The format is that of the PNG specification (third edition, 11.3.3): ``tEXt`` for Latin-1, else
``iTXt`` in UTF-8, as Pillow's ``PngInfo.add_text`` chooses and the web UIs read. Reading is bounded
in time and memory whatever the file claims: compressed text may unfold to a few MiB, no more.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import IO

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.tensor_data import open_to_read

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR_END = len(_SIGNATURE) + 8 + 13 + 4
_MOST_CHUNKS = 200_000
_LONGEST_TEXT = 8 << 20
_MOST_TEXT = 16 << 20
_MOST_KEYWORDS = 1_000
_WHOLE = "the picture is damaged or was never whole: render it again"


def png_with(png: bytes, texts: Mapping[str, str]) -> bytes:
    """The same picture with these texts, before the pixels; those that it had stay.

    NUL and lone surrogates, which no text chunk can hold, become U+FFFD.

    :param texts: by keyword: 1 to 79 characters of Latin-1.
    :raises FormatError: it is no PNG.
    """
    if not png.startswith(_SIGNATURE) or png[12:16] != b"IHDR" or len(png) < _IHDR_END:
        raise FormatError("the picture is no PNG", hint=_WHOLE)
    chunks = b"".join(_text_chunk(keyword, text) for keyword, text in texts.items())
    return png[:_IHDR_END] + chunks + png[_IHDR_END:]


def read_png_text(path: Path) -> dict[str, str]:
    """The texts of a PNG file by keyword; of those with the same one the last, as Pillow does.

    :raises FormatError: it is no PNG, is damaged, or has more text than a picture can need.
    :raises FileUnreadable: it cannot be read, or is no regular file.
    """
    descriptor = open_to_read(path)
    try:
        with os.fdopen(descriptor, "rb") as file:
            return text_of(file)
    except FormatError as error:
        raise error.of(path) from error
    except (OSError, ValueError) as error:
        raise FileUnreadable(f"cannot read {path}: {error}") from error


def text_of(file: BufferedReader | IO[bytes]) -> dict[str, str]:
    """The same of an open file, read from where it stands.

    :raises FormatError: as :func:`read_png_text`.
    """
    found: dict[str, str] = {}
    room = _MOST_TEXT
    for kind, data in _text_chunks(file):
        keyword, text = _decoded(kind, data)
        room -= len(text)
        found[keyword] = text
        if room < 0 or len(found) > _MOST_KEYWORDS:
            raise FormatError("a PNG with more text than a picture can need", hint=_WHOLE)
    return found


def _text_chunk(keyword: str, text: str) -> bytes:
    key = keyword.encode("latin-1")
    if not 1 <= len(key) <= 79 or b"\0" in key:
        raise ValueError(f"{keyword!r} cannot be the keyword of a text chunk")
    kept = text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass")
    clean = kept.decode("utf-16", "replace")
    try:
        return _chunk(b"tEXt", key + b"\0" + clean.encode("latin-1"))
    except UnicodeEncodeError:
        return _chunk(b"iTXt", key + bytes(5) + clean.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _text_chunks(file: BufferedReader | IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise FormatError("the file is no PNG", hint="")
    offset = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            raise FormatError("the PNG is cut off", offset=offset, hint=_WHOLE)
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            yield kind, _checked(file, kind, length, offset)
        else:
            file.seek(length + 4, os.SEEK_CUR)
        offset += 12 + length
    raise FormatError("a PNG of too many chunks", offset=offset, hint=_WHOLE)


def _checked(file: BufferedReader | IO[bytes], kind: bytes, length: int, offset: int) -> bytes:
    if length > _LONGEST_TEXT:
        raise FormatError(f"a text of {length:,} bytes is too long", offset=offset, hint=_WHOLE)
    data = file.read(length)
    check = file.read(4)
    if len(data) < length or len(check) < 4:
        raise FormatError("the PNG is cut off within a text", offset=offset, hint=_WHOLE)
    if zlib.crc32(kind + data) != int.from_bytes(check):
        raise FormatError("a text of the PNG is damaged", offset=offset, hint=_WHOLE)
    return data


def _decoded(kind: bytes, data: bytes) -> tuple[str, str]:
    key, _, rest = data.partition(b"\0")
    keyword = key.decode("latin-1")
    if kind == b"tEXt":
        return keyword, rest.decode("latin-1")
    if kind == b"zTXt":
        return keyword, _unfolded(rest[1:]).decode("latin-1")
    compressed, rest = rest[:1] == b"\1", rest[2:]
    _, _, rest = rest.partition(b"\0")
    _, _, text = rest.partition(b"\0")
    return keyword, (_unfolded(text) if compressed else text).decode("utf-8", "replace")


def _unfolded(data: bytes) -> bytes:
    machine = zlib.decompressobj()
    try:
        text = machine.decompress(data, _LONGEST_TEXT)
    except zlib.error as error:
        raise FormatError(f"a compressed text is damaged: {error}", hint=_WHOLE) from error
    if not machine.eof:
        raise FormatError("a compressed text is cut off, or unfolds to too much", hint=_WHOLE)
    return text
