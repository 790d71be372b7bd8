"""A found model in one line, and its versions with their files in lines of a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.text import cell_width, clean, human_size, pad, shorten
from modelhub.tui.widgets.rows import Piece, Row

if TYPE_CHECKING:
    from modelhub.civitai.schema import Model, ModelFile, Version
    from modelhub.services.browse import Browsed

_CREATOR_FROM, _DOWNLOADS_FROM = 96, 62
"""Columns of the list from which these have room."""
_SAFETY_FROM = 56
"""And from which the safety is told in words."""
_SAFETY_SIGNS = {"error": "⚠", "warning": "?", "good": "✓"}
_BAD = ("Danger", "Error", "Infected")
_UNKNOWN = ("Pending", None, "")


def listing(found: Iterable[Browsed], pulling: frozenset[int]) -> list[Row]:
    """A line each.

    :param pulling: ids of versions that are being pulled.
    """
    return [Row(str(one.model.id), partial(_line, one, pulling)) for one in found]


def _line(one: Browsed, pulling: frozenset[int], width: int) -> list[Piece]:
    model, newest = one.model, one.newest
    file = newest.primary_file() if newest is not None else None
    tail = f"{short_type(model.type):<8} {shorten(_base(model), 11):<11} "
    tail += f"{_size(file.size_bytes if file is not None else None):>9} "
    if width >= _DOWNLOADS_FROM:
        tail += f"{_count(model.stats.download_count):>6}↓ "
    if width >= _CREATOR_FROM:
        tail += pad(shorten(clean(model.creator.username or ""), 14), 14) + " "
    busy = any(version.id in pulling for version in model.versions)
    mark: Piece = ("pulling", "accent") if busy else ("here", "good") if one.here else ("", "")
    room = width - cell_width(tail) - 9
    name = pad(shorten(clean(model.name), room), room)
    return [(" ", ""), (name + " ", ""), (tail, "muted"), (pad(*mark[:1], 7), mark[1])]


def short_type(kind: str | None) -> str:
    """A type as there is room for it in a column."""
    return {"Checkpoint": "ckpt", "TextualInversion": "embed", "LORA": "LoRA"}.get(
        kind or "", shorten(clean(kind or "?"), 8)
    )


def _base(model: Model) -> str:
    bases = dict.fromkeys(clean(one.base_model) for one in model.versions if one.base_model)
    first = next(iter(bases), "")
    return f"{first} +{len(bases) - 1}" if len(bases) > 1 else first


def _size(size: int | None) -> str:
    if size is None:
        return ""
    number, _, unit = human_size(size).partition(" ")
    return f"{float(number):.3g} {unit}"


def _count(number: int | None) -> str:
    if number is None:
        return ""
    for least, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= least:
            return f"{number / least:.3g}{unit}"
    return str(number)


def file_key(version: Version, file: ModelFile) -> str:
    """What a file's line is known by: two versions may list the same file."""
    return f"{version.id}/{file.id}"


def files(model: Model, places: Mapping[int, Path]) -> list[Row]:
    """All versions of a model as headings, with their files below.

    :param places: where files are on this disk.
    """
    rows: list[Row] = []
    for version in model.versions:
        rows.append(Row("", partial(_version, version)))
        if not version.files:
            rows.append(
                Row("", lambda width: [(shorten("    no files to download", width), "muted")])
            )
        rows += [
            Row(file_key(version, file), partial(_file, file, places.get(file.id)))
            for file in version.files
        ]
    return rows


def _version(version: Version, width: int) -> list[Piece]:
    words = [clean(version.name), clean(version.base_model or "")]
    if version.published_at:
        words.append(clean(version.published_at[:10]))
    if version.paid_access is not None or version.early_access_ends_at:
        words.append("early access")
    if version.usage_control not in (None, "Download"):
        words.append("downloads disabled")
    return [(shorten(" " + "  ".join(filter(None, words)), width), "head")]


def _file(file: ModelFile, place: Path | None, width: int) -> list[Piece]:
    meta = file.metadata
    traits = [meta.fp, meta.quant_type, meta.size, meta.format]
    if file.type not in (None, "Model"):
        traits.insert(0, file.type)
    words, look = safety(file)
    said = f"{words:<12}" if width >= _SAFETY_FROM else f"{_SAFETY_SIGNS[look]} "
    tail = f" {_size(file.size_bytes):>9}  "
    room = width - cell_width(tail) - 4 - cell_width(said) - 5
    named = shorten(" ".join(clean(one) for one in traits if one) or clean(file.name), room)
    return [
        ("  ● " if file.primary else "    ", "muted"),
        (pad(named, room), ""),
        (tail, "muted"),
        (said, look),
        ("here " if place is not None else "     ", "good"),
    ]


def safety(file: ModelFile) -> tuple[str, str]:
    """What Civitai's scans say of a file, and how it looks."""
    verdicts = (file.pickle_scan_result, file.virus_scan_result)
    if any(one in _BAD for one in verdicts):
        return "⚠ dangerous", "error"
    if any(one in _UNKNOWN for one in verdicts):
        return "not scanned", "warning"
    return "scanned", "good"
