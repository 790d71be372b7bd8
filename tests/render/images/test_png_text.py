from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from modelhub.errors import FileUnreadable, FormatError
from modelhub.render.images.png_text import png_with, read_png_text, text_of
from tests.render.images.scenes import opened, png, scene

PICTURE = png(scene(24, 32))
keywords = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=79)


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def with_chunk(kind: bytes, data: bytes) -> bytes:
    return PICTURE[:33] + chunk(kind, data) + PICTURE[33:]


def _read(data: bytes) -> dict[str, str]:
    return text_of(io.BytesIO(data))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keywords, st.text(st.characters(exclude_characters="\0"), max_size=80)))
def test_what_is_written_is_read_by_us_and_by_pillow(texts: dict[str, str]) -> None:
    texts = {key: text.encode("utf-8", "replace").decode() for key, text in texts.items()}
    whole = png_with(PICTURE, texts)
    assert _read(whole) == texts
    picture = Image.open(io.BytesIO(whole))
    assert isinstance(picture, PngImagePlugin.PngImageFile)
    assert picture.text == texts


def test_the_pixels_are_not_touched() -> None:
    whole = png_with(PICTURE, {"parameters": "Steps: 1"})
    assert (opened(whole) == scene(24, 32)).all()
    assert whole.replace(chunk(b"tEXt", b"parameters\0Steps: 1"), b"") == PICTURE


def test_latin_text_is_plain_and_other_text_is_international_as_pillow_writes_it() -> None:
    assert b"tEXtparameters\0caf\xe9" in png_with(PICTURE, {"parameters": "café"})
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "猫 🐈")
    out = io.BytesIO()
    Image.open(io.BytesIO(PICTURE)).save(out, "PNG", pnginfo=info)
    start = out.getvalue().index(b"iTXt") - 4
    written = png_with(PICTURE, {"parameters": "猫 🐈"})
    assert (
        written[33 : written.index(b"IDAT") - 4]
        == out.getvalue()[start:][: len(written) - len(PICTURE)]
    )


def test_what_no_chunk_can_hold_is_replaced_and_not_lost_silently() -> None:
    assert _read(png_with(PICTURE, {"k": "a\0b\udce9c"})) == {"k": "a\ufffdb\ufffdc"}


def test_compressed_text_of_other_programs_is_read() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("old", "x" * 5000, zip=True)
    info.add_itxt("new", "猫" * 5000, "ja", "neko", zip=True)
    out = io.BytesIO()
    Image.open(io.BytesIO(PICTURE)).save(out, "PNG", pnginfo=info)
    assert _read(out.getvalue()) == {"old": "x" * 5000, "new": "猫" * 5000}


def test_text_behind_the_pixels_is_found_and_the_last_of_a_keyword_counts() -> None:
    end = PICTURE.index(b"IEND") - 4
    whole = with_chunk(b"tEXt", b"k\0first")
    moved = whole[: end + len(whole) - len(PICTURE)] + chunk(b"tEXt", b"k\0last") + PICTURE[end:]
    assert _read(moved) == {"k": "last"}


@pytest.mark.parametrize("keyword", ["", "x" * 80])
def test_a_keyword_that_png_does_not_allow_is_refused(keyword: str) -> None:
    with pytest.raises(ValueError, match="keyword"):
        png_with(PICTURE, {keyword: "text"})


BOMB = zlib.compress(bytes(64 << 20), 9)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "no PNG": (b"GIF89a" + bytes(100), "is no PNG"),
    "nothing": (b"", "is no PNG"),
    "cut off": (PICTURE[:-40], "is cut off"),
    "cut off within a text": (with_chunk(b"tEXt", b"k\0" + b"x" * 99)[:80], "within a text"),
    "a text of 4 GiB": (PICTURE[:33] + struct.pack(">I", 0xFFFFFFFF) + b"tEXtk", "too long"),
    "a wrong checksum": (with_chunk(b"tEXt", b"k\0text").replace(b"text", b"tixt"), "damaged"),
    "a bomb": (with_chunk(b"zTXt", b"k\0\0" + BOMB), "unfolds to too much"),
    "an international bomb": (with_chunk(b"iTXt", b"k\0\1\0\0\0" + BOMB), "unfolds to too much"),
    "broken compression": (with_chunk(b"zTXt", b"k\0\0nonsense"), "compressed text is damaged"),
    "compression cut off": (with_chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 99)[:-6]), "cut"),
    "too many keywords": (
        PICTURE[:33] + b"".join(chunk(b"tEXt", b"%d\0x" % n) for n in range(1_001)) + PICTURE[33:],
        "more text",
    ),
    "too many chunks": (PICTURE[:33] + chunk(b"abCd", b"") * 200_000, "too many chunks"),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_or_hostile_png_is_refused_with_the_reason_and_its_name(
    data: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=reason) as refused:
        read_png_text(path)
    assert "bad.png" in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(PICTURE)))
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes, place: int) -> None:
    try:
        found = _read(PICTURE[:place] + data + PICTURE[place:])
    except FormatError:
        return
    assert isinstance(found, dict)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: None])
def test_what_is_no_file_is_refused_without_waiting(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    make(path)
    with pytest.raises(FileUnreadable):
        read_png_text(path)


def test_text_is_not_put_into_what_is_no_png() -> None:
    with pytest.raises(FormatError):
        png_with(b"\xff\xd8\xff", {"parameters": "x"})
