"""Tokenizers that do not come with modelhub, found where other programs keep them on this machine.

- ComfyUI: ``comfy/text_encoders/t5_tokenizer`` and others, in the checkout that a root of the
  catalog belongs to (``comfyanonymous/ComfyUI`` ``comfy/text_encoders``);
- folders of diffusers and models of InvokeAI in the catalog: ``tokenizer``, ``tokenizer_2``, ...
  beside the folder of a part; ``google/umt5-xxl`` beside Wan, as its makers publish it;
- the cache of Hugging Face (``huggingface/huggingface_hub`` ``src/huggingface_hub/constants.py``).

Names say little there (a T5 may be one of many languages): what a tokenizer is for is told by the
words that it has. Nothing is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelhub.services.listed import every_file

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

_MOST_BYTES = 64 << 20
"""Of a vocabulary; the largest that is looked for has 34 MB."""
_MOST_FOLDERS = 20_000
"""So many folders are looked into."""
_ABOVE = 4
"""So many folders above a root may be the checkout that it belongs to."""
_NAMES = (
    *("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4"),
    *("processor", "google/umt5-xxl"),
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A vocabulary.

    :param comfy: its folder in ComfyUI; empty: it has none.
    :param words: how many words it has, those that were added not counted.
    :param scored: each word has a score (Unigram), where others have merges (BPE).
    :param added: a word that was added to it.
    """

    comfy: str
    words: range
    scored: bool = False
    added: str | None = None


_QWEN = _Kind("qwen25_tokenizer", range(151_600, 151_937))
_KINDS: Mapping[str, _Kind] = {
    "T5": _Kind("t5_tokenizer", range(32_000, 32_129), scored=True),
    "UMT5": _Kind("", range(256_000, 256_385), scored=True),
    "Pile-T5": _Kind("t5_pile_tokenizer", range(32_000, 32_129), added="<extra_id_0>"),
    "Qwen2.5": _QWEN,
    "Qwen3": _QWEN,
    "Mistral Small": _Kind("", range(130_000, 131_073), added="[SYSTEM_PROMPT]"),
    "Llama 3": _Kind("llama_tokenizer", range(128_000, 128_257), added="<|begin_of_text|>"),
    "Gemma 2": _Kind("gemma2_tokenizer", range(255_900, 256_129)),
}
"""By the names that :mod:`modelhub.render.pipelines.architectures` has for them."""


class _Added(msgspec.Struct):
    content: str = ""


class _Model(msgspec.Struct):
    vocab: list[Any] | dict[str, Any] = {}


class _File(msgspec.Struct):
    """As much of a ``tokenizer.json`` as tells what it is."""

    model: _Model
    added_tokens: list[_Added] = []


def find_tokenizer(
    name: str, catalog: Catalog, roots: Iterable[Path] = (), parts: Iterable[Path] = ()
) -> Path | None:
    """The folder of a tokenizer of that kind; None where there is none.

    :param name: ``T5``, ``Qwen2.5``, ``Gemma 2``, ...
    :param roots: folders of models that are looked around besides those of the catalog.
    :param parts: files of the model at hand: beside them is looked first.
    """
    kind = _KINDS.get(name)
    if kind is None:
        return None
    places = (
        *_beside(parts),
        *_of_comfyui(kind, [*(Path(one.path) for one in catalog.roots()), *roots]),
        *_of_hugging_face(),
    )
    for folder in (*places, *islice(_beside(_files_of(catalog)), _MOST_FOLDERS)):
        with suppress(OSError, msgspec.MsgspecError):
            if _is_of_kind(folder, kind):
                return _alone(folder)
    return None


def _of_comfyui(kind: _Kind, roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        for checkout in (root, *root.parents)[:_ABOVE]:
            if kind.comfy:
                yield checkout / "comfy" / "text_encoders" / kind.comfy


def _files_of(catalog: Catalog) -> Iterator[Path]:
    return (row.file for row in every_file(catalog))


def _beside(files: Iterable[Path]) -> Iterator[Path]:
    """Tokenizers in the folder of each file and in the one above, each folder once."""
    looked: set[Path] = set()
    for file in files:
        for folder in (file.parent, file.parent.parent):
            if folder not in looked:
                looked.add(folder)
                yield from (folder / name for name in _NAMES)


def _of_hugging_face() -> Iterator[Path]:
    environ = os.environ
    cache = Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(environ.get("HF_HOME") or cache / "huggingface").expanduser()
    hub = Path(environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    with suppress(OSError):
        for snapshot in sorted(hub.glob("models--*/snapshots/*")):
            yield from (snapshot, *(snapshot / name for name in _NAMES))


def _alone(folder: Path) -> Path:
    """The folder, or its ``tokenizer.json`` where a whole model lies beside it."""
    whole = folder / "tokenizer.json"
    return whole if (folder / "config.json").exists() and whole.is_file() else folder


def _is_of_kind(folder: Path, kind: _Kind) -> bool:
    whole, words = folder / "tokenizer.json", folder / "vocab.json"
    if whole.is_file():
        found = msgspec.json.decode(_read(whole), type=_File)
        vocabulary = found.model.vocab
        return (
            len(vocabulary) in kind.words
            and isinstance(vocabulary, list) is kind.scored
            and (kind.added is None or any(one.content == kind.added for one in found.added_tokens))
        )
    if kind.scored or kind.added or not (folder / "merges.txt").is_file() or not words.is_file():
        return False
    return len(msgspec.json.decode(_read(words), type=dict[str, int])) in kind.words


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
