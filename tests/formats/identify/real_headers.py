"""Headers of real files for the tests: read from a list, or written out from a description.

``tests/data/headers/README.md`` says what the files there are and how a description is written.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from modelhub.formats.tensors import FileFormat, Header, Tensor

DATA = Path(__file__).parents[2] / "data" / "headers"
LISTS = (
    Path(os.environ["MODELHUB_HEADERS"]) if "MODELHUB_HEADERS" in os.environ else None,
    DATA / "lists",
    DATA.parents[3] / "shared" / "models" / "headers",
)
"""Where lists that are not kept in this repository may lie."""

Shapes = dict[str, tuple[int, ...]]

_BITS = {"F64": 64, "I64": 64, "F32": 32, "I32": 32, "F16": 16, "BF16": 16, "I16": 16}
_CHOICE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?")


@dataclass(frozen=True)
class Case:
    """One real file: where its list was found, and what its publisher says that it is."""

    name: str
    path: str
    repository: str
    commit: str
    licence: str
    says: str
    digest: str
    """MD5 over names and shapes, see :func:`digest_of`; empty where the source tells no shapes."""
    names: str
    """MD5 over the names alone, where the source tells no shapes."""
    dtype: str
    nested: bool
    expected: Mapping[str, Any]

    @property
    def described(self) -> bool:
        """Whether its list is written out in this repository."""
        return self.name in descriptions()


@cache
def cases() -> tuple[Case, ...]:
    """All of ``expected.toml``."""
    table = tomllib.loads((DATA / "expected.toml").read_text(encoding="utf-8"))
    repositories = table["repositories"]
    return tuple(
        Case(
            name=name,
            path=row["path"],
            repository=repositories[row["from"]]["name"],
            commit=repositories[row["from"]]["commit"],
            licence=repositories[row["from"]]["licence"],
            says=row["says"],
            digest=row.get("digest", ""),
            names=row.get("names", ""),
            dtype=row.get("dtype", "F16"),
            nested=row.get("nested", False),
            expected=row["expect"],
        )
        for name, row in table["headers"].items()
    )


@cache
def descriptions() -> Mapping[str, str]:
    """The text of every description, by the name of its header."""
    return {
        one.stem: one.read_text(encoding="utf-8") for one in sorted(DATA.glob("layouts/*.keys"))
    }


def alternatives(pattern: str) -> Iterator[str]:
    """What a pattern stands for: ``a.{0..2}.{q,k}`` is six names."""
    pieces = _CHOICE.split(pattern)
    choices = [_choices(piece) if odd % 2 else [piece] for odd, piece in enumerate(pieces)]
    return map("".join, product(*choices))


def _choices(text: str) -> list[str]:
    found: list[str] = []
    for item in text.split(","):
        span = _RANGE.fullmatch(item)
        if span is None:
            found.append(item)
        else:
            numbers = range(int(span[1]), int(span[2]) + 1, int(span[3] or 1))
            found.extend(map(str, numbers))
    return found


def shapes_of(description: str, values: Mapping[str, int] | None = None) -> Shapes:
    """Name and shape of every tensor that a description stands for.

    :param values: what the letters in its shapes stand for.
    :raises ValueError: a line says again what another said.
    """
    found: Shapes = {}
    for line in description.splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if text.startswith("include "):
            new = _included(text.split()[1:], values or {})
        elif text == "ema":
            new = _averaged(found)
        else:
            pattern, _, shape = text.partition(" =")
            sizes = tuple(_size(term, values or {}) for term in shape.split())
            new = dict.fromkeys(alternatives(pattern), sizes)
        if again := found.keys() & new.keys():
            raise ValueError(f"{line}: {min(again)} was already there")
        found |= new
    return found


def _size(term: str, values: Mapping[str, int]) -> int:
    return prod(values[one] if one in values else int(one) for one in term.split("*"))


def _included(words: list[str], outer: Mapping[str, int]) -> Shapes:
    """``include NAME [PREFIX] [letter=size ...]``: another description, under each prefix."""
    name, *rest = words
    prefix = rest.pop(0) if rest and "=" not in rest[0] else ""
    given = (word.partition("=") for word in rest)
    values = {letter: _size(term, outer) for letter, _, term in given}
    inner = shapes_of(descriptions()[name], values)
    return {one + key: shape for one in alternatives(prefix) for key, shape in inner.items()}


def _averaged(shapes: Shapes) -> Shapes:
    """``ema``: the averaged copy of all of ``model.``, whose names have lost their dots."""
    model = "model."
    copies = {
        "model_ema." + key.removeprefix(model).replace(".", ""): shape
        for key, shape in shapes.items()
        if key.startswith(model)
    }
    return {**copies, "model_ema.decay": (), "model_ema.num_updates": ()}


def digest_of_names(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """MD5 over the sorted names."""
    return hashlib.md5(",".join(sorted(shapes)).encode(), usedforsecurity=False).hexdigest()


def digest_of(shapes: Mapping[str, tuple[int, ...]], *, nested: bool = False) -> str:
    """MD5 over the sorted names with and without their shapes.

    So ``modelscope/DiffSynth-Studio`` tells models apart (``diffsynth/core/loader/file.py``,
    ``hash_model_file``) and publishes the digests of the real files.

    :param nested: of a torch file that holds one dictionary for each first part of the names.
    """
    if nested:
        parts: dict[str, Shapes] = {}
        for key, shape in shapes.items():
            part, _, rest = key.partition(".")
            parts.setdefault(part, {})[rest] = shape
        text = ",".join(sorted(f"{part}|{_spelled(inner)}" for part, inner in parts.items()))
    else:
        text = _spelled(shapes)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _spelled(shapes: Mapping[str, tuple[int, ...]]) -> str:
    words = [*shapes, *(f"{key}:{'_'.join(map(str, shape))}" for key, shape in shapes.items())]
    return ",".join(sorted(words))


def list_of(name: str) -> Path | None:
    """Where the list of that name lies, or None when it is not on this machine."""
    places = (folder / f"{name}.json.gz" for folder in LISTS if folder is not None)
    return next((path for path in places if path.is_file()), None)


def described_header(name: str, dtype: str) -> Header:
    """The header that a description in this repository stands for."""
    tensors = {key: (dtype, shape) for key, shape in shapes_of(descriptions()[name]).items()}
    return _header(FileFormat.SAFETENSORS, tensors, {}, ())


def listed_header(path: Path) -> Header:
    """The header of a list; a dtype that it does not tell is F16, a shape that it does not, ()."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    tensors = {
        key: (dtype or "F16", tuple(shape or ()))
        for key, (dtype, shape) in document["tensors"].items()
    }
    extras = tuple(document.get("extras", ()))
    return _header(FileFormat(document["format"]), tensors, document["metadata"], extras)


def _header(
    format: FileFormat,
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
    metadata: Mapping[str, str],
    extras: tuple[str, ...],
) -> Header:
    placed: dict[str, Tensor] = {}
    start = 0
    for key, (dtype, shape) in tensors.items():
        end = start + prod(shape) * _BITS.get(dtype, 8) // 8
        placed[key] = Tensor(dtype, shape, (start, end))
        start = end
    return Header(format=format, tensors=placed, metadata=metadata, size=start, extras=extras)
