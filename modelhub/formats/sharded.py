"""A model in several files, read as one: the tensors of all shards together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from modelhub.errors import FormatError
from modelhub.formats.grouping import Group
from modelhub.formats.reading import read_bytes, read_header
from modelhub.formats.tensors import FileFormat, Header, Tensor

MAX_TENSORS: Final = 1_000_000
"""The most tensors in all files of one model."""

_LARGEST_INDEX = 64 << 20


def read_shards(folder: Path, group: Group) -> Header:
    """The header of a whole model of which the files lie in `folder`.

    A shard that is missing is told in the notices, and so are tensors that the index names and
    no shard holds; the rest is read.

    :raises FormatError: a shard or the index is damaged, or two shards hold the same tensor.
    :raises FileUnreadable: a shard cannot be read.
    """
    listed = read_index(folder / group.index) if group.index is not None else {}
    merged = merge(
        ((name, read_header(folder / name)) for name in group.parts), place=folder / group.main
    )
    notices = [notice for notice in (group.notice, *merged.notices) if notice]
    if not group.missing and (absent := listed.keys() - merged.tensors.keys()):
        notices.append(f"the index names {len(absent):,} tensors that no file holds")
    return msgspec.structs.replace(merged, notices=tuple(notices))


def read_indexed(index: Path) -> Header:
    """The same by its index alone, for shards that are named in no usual way.

    :raises FormatError: as :func:`read_shards`, or the file is no index of shards.
    """
    names = sorted(set(read_index(index).values()))
    folder = index.parent
    there = [name for name in names if os.path.exists(folder / name)]  # noqa: PTH110 (never raises)
    if not there:
        raise FormatError("none of the files that it names is there", path=index)
    missing = tuple(name for name in names if name not in there)
    group = Group(there[0], tuple(there), index.name, len(names), missing)
    return read_shards(folder, group)


def read_index(path: Path) -> Mapping[str, str]:
    """By tensor, the name of the file that holds it, as an index's ``weight_map`` says.

    :raises FormatError: it is no index, or names a file outside its folder.
    """
    document = read_json(path, _LARGEST_INDEX)
    weights = document.get("weight_map")
    if not isinstance(weights, dict) or len(weights) > MAX_TENSORS:
        raise FormatError("it is no index of shards: it has no usable weight_map", path=path)
    for name in set(map(str, weights.values())):
        if not is_plain_name(name):
            raise FormatError(f"the index names {name[:80]!r}, no plain file name", path=path)
    return {tensor: str(name) for tensor, name in weights.items()}


def read_json(path: Path, limit: int) -> dict[str, Any]:
    """The object in a JSON file of at most `limit` bytes.

    :raises FormatError: it is no JSON, no object, or larger.
    :raises FileUnreadable: as :func:`modelhub.formats.reading.read_bytes`.
    """
    try:
        document = msgspec.json.decode(read_bytes(path, limit))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"it is no JSON: {error}", path=path) from error
    if not isinstance(document, dict):
        raise FormatError("it holds no JSON object", path=path)
    return document


def is_plain_name(name: str) -> bool:
    """Whether `name` is of a file or folder right here: no path, no way up or out."""
    return name not in ("", ".", "..") and not any(letter in name for letter in "/\\\0")


def merge(headers: Iterable[tuple[str, Header]], *, place: Path) -> Header:
    """One header of several: by file name, in order.

    :param place: what an error is about.
    :raises FormatError: two hold the same tensor, or they hold too many.
    """
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    parts: list[str] = []
    notices: list[str] = []
    extras: dict[str, None] = {}
    size = 0
    format_ = FileFormat.UNKNOWN
    for name, header in headers:
        if twice := tensors.keys() & header.tensors.keys():
            raise FormatError(f"{name} holds {min(twice)[:80]!r}, as another does", path=place)
        tensors.update(header.tensors)
        if len(tensors) > MAX_TENSORS:
            raise FormatError(f"more than {MAX_TENSORS:,} tensors in all its files", path=place)
        metadata = {**header.metadata, **metadata}
        extras.update(dict.fromkeys(header.extras))
        notices += [f"{name}: {notice}" for notice in header.notices]
        parts.append(name)
        size += header.size
        format_ = header.format if len(parts) == 1 else format_
    return Header(
        format=format_,
        tensors=tensors,
        metadata=metadata,
        size=size,
        extras=tuple(extras),
        parts=tuple(parts),
        notices=tuple(notices),
    )
