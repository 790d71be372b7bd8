"""What is at the result's name already: the same result of an earlier run, or another file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.convert.plan.metadata import OPERATION, SOURCE
from modelhub.errors import FileUnreadable, FormatError, ModelhubError, NameTaken
from modelhub.formats.reading import read_header
from modelhub.services.convert.source_hash import OTHERS

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.convert.planning import Plan


def provenance_of(path: Path) -> Mapping[str, str]:
    """What a result says of how it was made; empty for a file that says nothing, or is none.

    Of a diffusers folder, what its first weights say.
    """
    try:
        if path.is_dir():
            first = min(path.glob("*/*.safetensors"), default=None)
            return {} if first is None else read_header(first).metadata
        return read_header(path).metadata
    except (FormatError, FileUnreadable, OSError):
        return {}


def may_be_same(path: Path, plan: Plan) -> bool:
    """Whether the file at `path` was made by the same operation, of whatever source."""
    return provenance_of(path).get(OPERATION) == plan.operation


def is_same(path: Path, plan: Plan, sources: Mapping[str, str]) -> bool:
    """Whether the file at `path` is what `plan` would make of these sources.

    :param sources: the provenance of the plan's sources: :data:`SOURCE`, and :data:`OTHERS`.
    """
    there = provenance_of(path)
    if there.get(OPERATION) != plan.operation:
        return False
    return all(there.get(key, "") == sources.get(key, "") for key in (SOURCE, OTHERS))


def made_before(catalog: Catalog, path: Path, operation: str, source_sha256: str) -> bool:
    """The same by the catalog, for formats that have no metadata (``.ckpt``)."""
    row = catalog.find_local_by_path(path)
    if row is None or row.sha256 is None or row.size != path.stat().st_size:
        return False
    made_from = catalog.show(row.id).made_from
    return any(one.sha256 == source_sha256 and one.operation == operation for one in made_from)


def name_taken(path: Path) -> ModelhubError:
    """The error for a name that another file has."""
    return NameTaken(
        f"{path} is there already, and is not this result",
        hint="nothing was changed; choose another name or folder with --output",
    )
