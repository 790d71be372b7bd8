"""Results on standard output: tables for people, JSON and CSV for programs.

The forms are chosen by ``--json`` and ``--format`` (:func:`output_options`). JSON is one document,
sizes in bytes as numbers, times in UTC; CSV has a header line. Both are stable: fields are added,
never renamed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import click

from modelhub.text import cell_width, clean, json_safe, pad, shorten

Row = TypeVar("Row")
Function = TypeVar("Function", bound=Callable[..., Any])


class OutputForm(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of a listing.

    :param title: the header; in CSV too, lower case with underscores.
    :param value: what CSV holds (sizes in bytes), taken from a row.
    :param show: how a table shows the value, where `str` is not it (e.g. ``human_size``).
    :param right: aligned to the right, for numbers.
    :param flexible: cut when the terminal is narrow; others are cut only after these.
    :param middle: cut in the middle, so that extensions of file names stay.
    """

    title: str
    value: Callable[[Row], object]
    show: Callable[[Any], str] | None = None
    right: bool = False
    flexible: bool = False
    middle: bool = False

    def cell(self, row: Row) -> str:
        """The text of a table cell, made harmless."""
        value = self.value(row)
        if value is None:
            return ""
        return clean(self.show(value) if self.show else value)

    @property
    def field(self) -> str:
        """The column's name in CSV."""
        return self.title.lower().replace(" ", "_")


def json_option(function: Function) -> Function:
    """Decorator: `--json`; the command gets `as_json: bool`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document (sizes in bytes)."
    )(function)


def output_options(function: Function) -> Function:
    """Decorator: `--json` and `--format table|json|csv`; the command gets `form: OutputForm`."""

    def choose_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            context.params["form"] = OutputForm.JSON

    def choose(context: click.Context, _parameter: click.Parameter, value: str) -> OutputForm:
        chosen = OutputForm(value)
        asked_json = context.params.get("form") is OutputForm.JSON
        explicit = context.get_parameter_source("form") is click.core.ParameterSource.COMMANDLINE
        if asked_json and explicit and chosen is not OutputForm.JSON:
            raise click.UsageError(f"--json and --format {chosen} exclude each other")
        return OutputForm.JSON if asked_json else chosen

    with_format = click.option(
        "--format",
        "form",
        type=click.Choice([form.value for form in OutputForm]),
        default=OutputForm.TABLE.value,
        callback=choose,
        help="How to print: a table, JSON, or CSV.",
    )(function)
    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=choose_json,
        help="The same as --format json: one document, sizes in bytes.",
    )(with_format)


def print_json(value: Any) -> None:
    """`value` (structs, dataclasses, dicts, dates, paths ...) as one indented JSON document."""
    import json

    import msgspec

    # Not msgspec's own writer: it refuses names of files whose bytes are no UTF-8.
    plain = msgspec.to_builtins(value, enc_hook=str)
    click.echo(json_safe(json.dumps(plain, indent=2, ensure_ascii=False)))


def print_csv(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> None:
    """A header line and a line per row.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP advises
    against CSV injection: model names come from strangers. JSON holds it as it is.
    """
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.field for column in columns])
    for row in rows:
        writer.writerow([_csv_cell(column.value(row)) for column in columns])


def _csv_cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def print_table(
    columns: Sequence[Column[Row]], rows: Iterable[Row], *, width: int | None = None
) -> None:
    """An aligned table; lines are cut to the terminal's width, and never where it is none.

    :param width: instead of the terminal's.
    """
    cells = [[column.cell(row) for column in columns] for row in rows]
    if not cells:
        return
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    widths = _fitted(columns, cells, width)
    header = _line(columns, [column.title.upper() for column in columns], widths)
    click.secho(header, bold=True, color=_color())
    for row_cells in cells:
        click.echo(_line(columns, row_cells, widths))


def _color() -> bool | None:
    context = click.get_current_context(silent=True)
    return context.color if context else None


def _line(columns: Sequence[Column[Any]], cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for column, cell, width in zip(columns, cells, widths, strict=True):
        parts.append(pad(shorten(cell, width, middle=column.middle), width, right=column.right))
    return "  ".join(parts).rstrip()


def _fitted(
    columns: Sequence[Column[Any]], cells: Sequence[Sequence[str]], limit: int | None
) -> list[int]:
    widths = [
        max(cell_width(column.title), *(cell_width(row[index]) for row in cells))
        for index, column in enumerate(columns)
    ]
    if limit is None:
        return widths
    excess = sum(widths) + 2 * (len(widths) - 1) - limit
    for flexible in (True, False):
        candidates = [i for i, column in enumerate(columns) if column.flexible is flexible]
        while excess > 0 and candidates:
            widest = max(candidates, key=widths.__getitem__)
            if widths[widest] <= 8:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def print_listing(
    columns: Sequence[Column[Row]],
    rows: Iterable[Row],
    form: OutputForm,
    *,
    document: Callable[[Row], Any] | None = None,
) -> None:
    """Rows in the form that was asked for; JSON is an array, empty where there are none.

    :param document: the JSON form of a row, where it is not the row itself.
    """
    if form is OutputForm.JSON:
        print_json([document(row) if document else row for row in rows])
    elif form is OutputForm.CSV:
        print_csv(columns, rows)
    else:
        print_table(columns, rows)


def print_fields(fields: Iterable[tuple[str, object]], *, indent: int = 0) -> None:
    """Names and values below each other, aligned; fields without a value are left out."""
    shown = [(name, clean(value)) for name, value in fields if value not in (None, "")]
    width = max((cell_width(name) for name, _ in shown), default=0)
    for name, value in shown:
        label = click.style(pad(f"{name}:", width + 1), bold=True)
        click.echo(f"{' ' * indent}{label} {value}", color=_color())
