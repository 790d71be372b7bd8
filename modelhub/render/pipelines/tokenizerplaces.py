"""Where the tokenizers are that do not come with modelhub: given, beside a part, or within it."""

from __future__ import annotations

import functools
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from modelhub.errors import CannotRender, ModelhubError
from modelhub.formats.gguf_vocabulary import has_vocabulary
from modelhub.formats.reading import read_header

_VOCABULARIES = ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json")
"""One of these is in every folder of a tokenizer."""
_MOST_BYTES = 256 << 20
"""Of a file of a tokenizer; the largest published one has 34 MB."""
_ALSO: Mapping[str, tuple[str, ...]] = {"tokenizer": ("processor",)}
"""What the folder is called where pictures are read with the text."""
_LEVELS = 3
"""A folder may be that of a pipeline, of one of its parts, or a part's file may be given."""


def tokenizer_beside(name: str, paths: Iterable[str]) -> Path | None:
    """The tokenizer's folder in a folder of diffusers that one of these paths is, or is in.

    :param name: of the folder: ``tokenizer_2``.
    :param paths: of the model and its parts.
    """
    for path in paths:
        place = Path(path)
        for folder in (place, *place.parents)[:_LEVELS]:
            if (folder / "model_index.json").is_file() and (found := _within(folder, name)):
                return found
    return None


def _within(folder: Path, name: str) -> Path | None:
    """The tokenizer of that name in the folder of a pipeline."""
    places = (folder / one for one in (name, *_ALSO.get(name, ())))
    return next((one for one in places if _is_tokenizer(one)), None)


def tokenizer_within(name: str, parts: Mapping[str, str]) -> Path | None:
    """The file of a text encoder, where its tokenizer is in that itself (GGUF).

    :param name: of the tokenizer: ``tokenizer_2``.
    :param parts: files by the names of the parts: ``text_encoder_2``.
    """
    path = parts.get(name.replace("tokenizer", "text_encoder"))
    return Path(path) if path is not None and _has_vocabulary(Path(path)) else None


def _has_vocabulary(path: Path) -> bool:
    try:
        status = path.stat()
        return stat.S_ISREG(status.st_mode) and _looked(path, status.st_size, status.st_mtime_ns)
    except (OSError, ModelhubError):
        return False


@functools.lru_cache(maxsize=64)
def _looked(path: Path, size: int, changed: int) -> bool:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            return False
    return has_vocabulary(read_header(path))


def tokenizer_place(name: str, path: str) -> Path:
    """Where a tokenizer is that was given.

    :param name: of the part: ``tokenizer_2``.
    :param path: its folder, its ``tokenizer.json``, a folder of diffusers that has it, or a GGUF
        file with a vocabulary.
    :raises CannotRender: none is there.
    """
    place = Path(path)
    if place.is_dir() and (within := _within(place, name)) is not None:
        place = within
    elif place.name in _VOCABULARIES and place.name != "tokenizer.json":
        # Such a file is read with what lies beside it.
        place = place.parent
    if _has_vocabulary(place):
        return place
    if not (_is_tokenizer(place) or (place.suffix == ".json" and _is_small(place))):
        raise CannotRender(
            f"{path}, given as {name}, is no tokenizer",
            hint="give the folder with its tokenizer.json, or that file",
        )
    return place


def _is_tokenizer(folder: Path) -> bool:
    return any(_is_small(folder / name) for name in _VOCABULARIES)


def _is_small(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= _MOST_BYTES
    except OSError:
        return False
