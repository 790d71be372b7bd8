"""Which files are meant: paths, patterns, names that the catalog knows, and queries."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import FileUnreadable, UnknownFile
from modelhub.formats.reading import read_model
from modelhub.services.inspect import local_path
from modelhub.services.listed import model_path

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

_LIKE_A_QUERY = re.compile(r"-?[a-z]+(:|[<>]=?)")
_PATTERN = re.compile(r"[*?\[]")
_INDEX = "model_index.json"


def chosen_sources(
    catalog: Catalog, texts: Sequence[str], *, by_query: bool = False
) -> tuple[Path, ...]:
    """The files that `texts` mean, absolute, each once, in the order in which they were named.

    What is a path on this disk is that; what has ``*``, ``?`` or ``[`` is a pattern; what begins
    like a field of the search language (``format:ckpt``) is a part of one query; everything else
    is what :meth:`Catalog.resolve_file` takes.

    :param by_query: all of them together are one query.
    :raises UnknownFile: one means no file, or the query finds none that is here.
    :raises AmbiguousFile: one means several files.
    :raises QuerySyntaxError: the query has a mistake.
    """
    if by_query:
        return _unique(_by_query(catalog, " ".join(texts)))
    found: list[Path] = []
    query = [text for text in texts if not local_path(text) and _LIKE_A_QUERY.match(text)]
    for text in texts:
        if text not in query:
            found += _named(catalog, text)
    if query:
        found += _by_query(catalog, " ".join(query))
    return _unique(found)


def _named(catalog: Catalog, text: str) -> list[Path]:
    path = local_path(text)
    if path is not None:
        return [path]
    if _PATTERN.search(text):
        matches = sorted(Path(one) for one in glob.glob(text, recursive=True))  # noqa: PTH207
        files = [one for one in matches if one.is_file() or (one / _INDEX).is_file()]
        if files:
            return files
        raise UnknownFile(f"no file here fits the pattern {text!r}")
    try:
        return [model_path(catalog.resolve_file(text))]
    except UnknownFile as error:
        hint = f"there is no file {text!r} here either; `modelhub list` shows the catalog"
        raise UnknownFile(error.message, hint=hint) from error


def _by_query(catalog: Catalog, query: str) -> list[Path]:
    from modelhub.catalog import FileState

    rows = catalog.list_files(query, limit=None)
    here = [model_path(row) for row in rows if row.state is not FileState.MISSING]
    if not here:
        gone = ", and those that it knows are missing" if rows else ""
        raise UnknownFile(f"no file in the catalog matches {query!r}{gone}")
    return here


def _unique(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Each file once, whatever the names it was given by."""
    seen: dict[object, Path] = {}
    for path in paths:
        try:
            status = path.stat()
            key: object = (status.st_dev, status.st_ino)
        except OSError:
            key = str(path)
        seen.setdefault(key, path.absolute())
    return tuple(seen.values())


def require_model(path: Path) -> None:
    """Refuse what is not there, and a folder that is no model, before anything else looks at it.

    :raises UnknownFile: there is nothing of that name.
    :raises FileUnreadable: it is a folder without ``model_index.json``.
    """
    if not os.path.lexists(path):
        raise UnknownFile(
            f"there is no file {path}", hint="check its name, and that its disk is there"
        )
    if path.is_dir() and not (path / _INDEX).is_file():
        raise FileUnreadable(
            f"{path} is a folder, and no diffusers model: it has no {_INDEX}",
            hint="name the files in it, or a pattern in quotes: 'folder/*.ckpt'",
        )


def files_of(path: Path) -> tuple[Path, ...]:
    """The files of the model that `path` is: itself, the shards beside it, or a folder's weights.

    :raises FormatError, FileUnreadable: they cannot be made out.
    """
    if path.is_dir() or path.name == _INDEX or "-of-" in path.name or path.name.endswith(".json"):
        parts = read_model(path).parts
        if parts:
            folder = path if path.is_dir() else path.parent
            return tuple(folder / part for part in parts)
    return (path,)
