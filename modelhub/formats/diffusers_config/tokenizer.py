"""CLIP's tokenizer as files: the same vocabulary for all text encoders of Stable Diffusion.

A byte-pair encoding as in ``openai/CLIP`` ``clip/simple_tokenizer.py``: symbols for the 256 bytes,
the same at the end of a word, one entry for each merge, and two special tokens.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from modelhub.formats.diffusers_config.text import END, START

_VERSION = "#version: 0.2"
"""The first line of a list of merges."""
_WORD_END = "</w>"
_PRINTABLE = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))
"""Bytes that stand for themselves."""


@cache
def tokenizer_files() -> Mapping[str, bytes]:
    """``vocab.json`` and ``merges.txt``, as transformers' ``CLIPTokenizer`` reads them."""
    packed = files("modelhub.formats.diffusers_config") / "clip" / "merges.txt.gz"
    merges = gzip.decompress(packed.read_bytes()).decode().splitlines()
    vocabulary = {symbol: number for number, symbol in enumerate(_entries(merges))}
    return {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")).encode(),
        "merges.txt": "\n".join((_VERSION, *merges, "")).encode(),
    }


def _entries(merges: list[str]) -> Iterator[str]:
    symbols = list(_byte_symbols())
    yield from symbols
    yield from (symbol + _WORD_END for symbol in symbols)
    yield from (merge.replace(" ", "") for merge in merges)
    yield from (START, END)


def _byte_symbols() -> Iterator[str]:
    """One character for each byte: itself if it can be seen, else one beyond the bytes."""
    seen = {byte for printable in _PRINTABLE for byte in printable}
    for printable in _PRINTABLE:
        yield from map(chr, printable)
    yield from (chr(0x100 + number) for number in range(0x100 - len(seen)))
