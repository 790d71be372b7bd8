"""What stands in the columns of the library's list, and which of them fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelhub.services.listed import file_name, remarks
from modelhub.text import human_duration, human_size

if TYPE_CHECKING:
    from modelhub.catalog import FileRow

LEAST_NAME = 30
"""Columns of the terminal that the name keeps, whatever else is shown."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    :param width: of the terminal's columns; 0: what the others leave.
    :param sort: the order of :class:`modelhub.catalog.SortKey` that a click on it chooses.
    :param right: whether it stands at the right edge.
    """

    key: str
    title: str
    width: int
    cell: Callable[[FileRow], str]
    sort: str = ""
    right: bool = False


_SHORT_TYPES = {
    "checkpoint": "ckpt",
    "embedding": "embed",
    "hypernetwork": "hyper",
    "textencoder": "te",
    "controlnet": "cnet",
    "motionmodule": "motion",
    "upscaler": "upscl",
    "lora": "LoRA",
    "locon": "LoCon",
    "dora": "DoRA",
    "vae": "VAE",
    "unet": "UNet",
}


def short_type(row: FileRow) -> str:
    """The type as there is room for it in a column."""
    return _SHORT_TYPES.get(row.type or "", row.type or "")


def ago(when: datetime | None) -> str:
    """The greatest unit of the time since then: ``5 m``, ``3 d``, ``2 y``."""
    if when is None:
        return "never"
    seconds = (datetime.now(UTC) - when).total_seconds()
    days = int(seconds // 86_400)
    if days >= 730:
        return f"{days // 365} y"
    if days >= 60:
        return f"{days // 30} mo"
    return " ".join(human_duration(seconds).split(" ")[:2])


def stars(rating: int | None) -> str:
    """A rating as stars."""
    return "★" * rating if rating else ""


def _short_name(row: FileRow) -> str:
    """Without the extension that nearly all have; one that may hold code stays in sight."""
    return file_name(row).removesuffix(".safetensors")


def _small_size(row: FileRow) -> str:
    number, _, unit = human_size(row.size).partition(" ")
    return f"{float(number):.3g}".rstrip(".") + " " + unit if unit else number


def _marks(row: FileRow) -> str:
    return ", ".join(remarks(row))


COLUMNS: dict[str, Column] = {
    column.key: column
    for column in (
        Column("name", "Name", 0, _short_name, "name"),
        Column("type", "Kind", 6, short_type, "type"),
        Column("base", "Base", 11, lambda row: row.base or "", "base"),
        Column("fp", "Prec", 5, lambda row: row.precision or ""),
        Column("size", "Size", 9, _small_size, "size", right=True),
        Column("rating", "Rating", 6, lambda row: stars(row.rating), "rating"),
        Column("added", "Added", 6, lambda row: ago(row.added_at), "added", right=True),
        Column("state", "State", 14, _marks),
        Column("tags", "Tags", 16, lambda row: ", ".join(row.tags)),
        Column("model", "Model", 24, lambda row: row.model_name or ""),
        Column("version", "Version", 12, lambda row: row.version_name or ""),
        Column("creator", "Creator", 14, lambda row: row.creator or ""),
        Column("format", "Format", 11, lambda row: row.format or ""),
        Column("used", "Used", 6, lambda row: ago(row.used_at), right=True),
        Column("path", "Path", 32, lambda row: row.path, "path"),
    )
}
USUAL = ("name", "type", "base", "fp", "size", "rating", "added", "state", "tags")
_LAST_TO_GO = ("name", "size", "type", "base", "added", "fp", "rating", "state", "tags")


@dataclass(frozen=True, slots=True)
class Placed:
    """A column with where it stands."""

    column: Column
    start: int
    width: int


def placed(chosen: Sequence[str], width: int, margin: int) -> list[Placed]:
    """The columns of `chosen` that fit into `width`, after `margin`.

    Where there is no room for all, the least telling ones go first.
    """
    columns = [COLUMNS[key] for key in chosen if key in COLUMNS] or [COLUMNS["name"]]
    order = {key: place for place, key in enumerate(_LAST_TO_GO)}
    while len(columns) > 1 and _needed(columns) > width - margin:
        fixed = [column for column in columns if column.key != "name"]
        if not fixed:
            break
        columns.remove(max(fixed, key=lambda column: order.get(column.key, 99)))
    flexible = max(1, width - margin - sum(column.width + 1 for column in columns) + 1)
    found, at = [], margin
    for column in columns:
        taken = column.width or flexible - 1
        found.append(Placed(column, at, max(1, taken)))
        at += taken + 1
    return found


def _needed(columns: Sequence[Column]) -> int:
    return sum((column.width or LEAST_NAME) + 1 for column in columns)
