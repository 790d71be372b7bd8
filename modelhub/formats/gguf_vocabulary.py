"""The vocabulary that a GGUF file of a language model carries beside its weights.

Source: ggml-org/ggml ``docs/gguf.md`` (``tokenizer.ggml.*``) and ggml-org/llama.cpp
``gguf-py/gguf/constants.py`` (``TokenType``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.gguf import read_arrays
from modelhub.formats.reading import require_regular
from modelhub.formats.tensors import FileFormat, Header

_PREFIX = "tokenizer.ggml."
_TOKENS, _SCORES, _KINDS = f"{_PREFIX}tokens", f"{_PREFIX}scores", f"{_PREFIX}token_type"
_MERGES, _NORMALISED = f"{_PREFIX}merges", f"{_PREFIX}precompiled_charsmap"
_KNOWN = {"t5": None, "llama": None, "gpt2": frozenset({"qwen2"})}
"""By the kind, the ways of splitting a text before it that are known; None: it has none."""


class Kind(IntEnum):
    """What a token is."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The words of a tokenizer, and how it finds them.

    :param model: ``t5`` (the likeliest words), ``llama`` (merged by the order of the words) or
        ``gpt2`` (bytes, merged by a list).
    :param tokens: by their ids.
    :param scores: of each; empty where there are none.
    :param kinds: of each.
    :param merges: two tokens each, with a space between.
    :param charsmap: of SentencePiece: what characters are replaced with.
    :param settings: the single values, as text, by their names after ``tokenizer.ggml.``.
    """

    model: str
    tokens: list[str]
    scores: list[float]
    kinds: list[int]
    merges: list[str]
    charsmap: bytes
    settings: Mapping[str, str]

    def flag(self, name: str, *, default: bool) -> bool:
        """A setting that is true or false."""
        return self.settings.get(name, str(default).lower()) == "true"

    def token(self, name: str) -> tuple[str, int] | None:
        """The token that a setting names by its id (``eos_token_id``), and that id."""
        told = self.settings.get(name, "")
        if not told.isdecimal() or len(told) > 9 or int(told) >= len(self.tokens):
            return None
        return self.tokens[int(told)], int(told)


def has_vocabulary(header: Header) -> bool:
    """Whether a file has a vocabulary of a kind that is known."""
    told = header.metadata
    if header.format is not FileFormat.GGUF or _TOKENS not in told:
        return False
    model = told.get(f"{_PREFIX}model", "")
    splits = _KNOWN.get(model)
    return model in _KNOWN and (splits is None or told.get(f"{_PREFIX}pre") in splits)


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a GGUF file.

    :raises FormatError: the file is damaged, has none, or one of another kind.
    :raises FileUnreadable: it cannot be read.
    """
    require_regular(path)
    keys = (_TOKENS, _SCORES, _KINDS, _MERGES, _NORMALISED)
    try:
        with path.open("rb") as file:
            header, arrays = read_arrays(file, path.stat().st_size, keys)
    except FormatError as error:
        raise error.of(path) from error
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error
    charsmap = bytes(one & 0xFF for one in arrays.get(_NORMALISED, ()) if isinstance(one, int))
    if charsmap and not _is_sound(charsmap):
        raise FormatError("its table of characters is damaged", path=path, hint="")
    if not has_vocabulary(header):
        raise FormatError("it has no tokenizer of a known kind", path=path, hint="")
    tokens, merges = ([str(one) for one in arrays.get(key, ())] for key in (_TOKENS, _MERGES))
    scores, kinds = arrays.get(_SCORES, []), arrays.get(_KINDS, [])
    if any(isinstance(one, str) for one in (*scores[:1], *kinds[:1])) or any(
        there and len(there) != len(tokens) for there in (scores, kinds)
    ):
        raise FormatError("its tokens do not fit their scores or kinds", path=path, hint="")
    return Vocabulary(
        model=header.metadata[f"{_PREFIX}model"],
        tokens=tokens,
        scores=[float(one) for one in scores],
        kinds=[int(one) for one in kinds] or [Kind.NORMAL] * len(tokens),
        merges=merges,
        charsmap=charsmap,
        settings={
            key.removeprefix(_PREFIX): value
            for key, value in header.metadata.items()
            if key.startswith(_PREFIX)
        },
    )


def _is_sound(charsmap: bytes) -> bool:
    """Whether nothing in a table of characters points out of it: its readers do not check that.

    A table is a double array of 4-byte units (``s-yata/darts-clone`` ``include/darts.h``), with its
    size in bytes before it, and behind it the texts that its values point into
    (``google/sentencepiece`` ``src/normalizer.cc``, ``DecodePrecompiledCharsMap``).
    """
    import numpy as np

    size = int.from_bytes(charsmap[:4], "little")
    if len(charsmap) < 4 or not size or size % 4 or size > len(charsmap) - 4:
        return False
    units = np.frombuffer(charsmap, "<u4", size // 4, 4).astype(np.int64)
    texts = np.frombuffer(charsmap, "u1", offset=4 + size)
    is_value = units >> 31 == 1
    values = units[is_value] & 0x7FFFFFFF
    if values.size and (int(values.max()) >= len(texts) or (texts[values] >> 6 == 2).any()):
        return False
    inner = units[~is_value]
    ahead = (inner >> 10) << ((inner & 1 << 9) >> 6)
    children = (np.arange(len(units))[~is_value] ^ ahead) | 0xFF
    return not children.size or int(children.max()) < len(units)
