"""What `convert --plan` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from modelhub.cli.output import Column, print_fields, print_table
from modelhub.text import clean, human_count, human_size, plural

if TYPE_CHECKING:
    from modelhub.cli.context import App
    from modelhub.services.convert import KeptWider, PlannedConversion

_SHOWN = 12
"""Names that are printed; `--json` has all."""


def print_plan(app: App, plan: PlannedConversion, *, verbose: bool) -> None:
    """What a conversion would do.

    :param verbose: with the names of all tensors that are dropped, cast or renamed.
    """
    click.secho(clean(f"{plan.source} -> {plan.target}"), bold=True, color=app.color)
    if not plan.changes:
        app.echo("nothing would change: it is as asked already")
        return
    summary = plan.summary
    print_fields(
        [
            ("Operation", summary.operation),
            ("Size", f"{human_size(plan.size_before)} -> {human_size(_size_after(plan))}"),
            ("Name", "taken already: --output chooses another" if plan.target_is_taken else ""),
            ("Scan", plan.verdict),
            ("Result", _result(plan.result)),
        ]
    )
    for number, line in enumerate(summary.loads_in):
        app.echo(f"{'Loads in:  ' if number == 0 else ' ' * 11}{line}")
    _print_tensors(plan)
    _print_overflows(app, plan.overflows)
    if verbose:
        _print_names(app, plan)
    elif plan.renamed:
        app.echo(f"{plural(len(plan.renamed), 'tensor')} renamed: --verbose names them")
    if plan.inert:
        shown = ", ".join(plan.inert[:_SHOWN])
        app.echo(f"Records without code: {shown}{_more(len(plan.inert))}")
    for text in plan.notices:
        app.warn(text)


def _size_after(plan: PlannedConversion) -> int:
    """Of a folder that of its tensors, which is all but a few KiB."""
    return plan.summary.after.nbytes if plan.size_after is None else plan.size_after


def _result(found: dict[str, object]) -> str:
    words = [found.get(name) for name in ("kind", "architecture", "edition", "precision")]
    text = " ".join(str(word) for word in words if word)
    parts = found.get("precisions")
    if isinstance(parts, dict) and len(set(parts.values())) > 1:
        text += f" ({', '.join(f'{part} {kind}' for part, kind in parts.items())})"
    return text


_Line = tuple[str, str, int, int, int]


def _print_tensors(plan: PlannedConversion) -> None:
    summary = plan.summary
    cast = sum(one.tensors for one in summary.casts)
    same = summary.after.nbytes - sum(one.after for one in summary.casts)
    rows: list[_Line] = []
    if summary.after.tensors > cast:
        rows.append(("keep", "as they are", summary.after.tensors - cast, same, same))
    rows += [
        ("cast", f"{one.dtype} -> {one.into}", one.tensors, one.before, one.after)
        for one in summary.casts
    ]
    rows += [
        ("drop", reason, amount.tensors, amount.nbytes, 0)
        for reason, amount in summary.dropped.items()
    ]
    columns: list[Column[_Line]] = [
        Column("", lambda row: row[0]),
        Column("Tensors", lambda row: row[1]),
        Column("Count", lambda row: row[2], human_count, right=True),
        Column("Before", lambda row: row[3], human_size, right=True),
        Column("After", lambda row: row[4], human_size, right=True),
    ]
    print_table(columns, rows)


def _print_names(app: App, plan: PlannedConversion) -> None:
    for reason, names in plan.dropped.items():
        for name in names:
            app.echo(f"drop {name} ({reason})")
    for name, before, after in plan.cast:
        app.echo(f"cast {name}: {before} -> {after}")
    for old, new in plan.renamed:
        app.echo(f"rename {old} -> {new}")


def _print_overflows(app: App, overflows: Sequence[KeptWider] | None) -> None:
    if not overflows:
        return
    app.echo(f"{plural(len(overflows), 'tensor')} with values beyond what fp16 holds (65,504):")
    for one in overflows[:_SHOWN]:
        app.echo(f"  {one.name}: {human_count(one.count)} of them, up to {one.largest:.6g}")
    if len(overflows) > _SHOWN:
        app.echo(f"  {_more(len(overflows))}")


def _more(count: int) -> str:
    return f" and {count - _SHOWN:,} more: --json has all" if count > _SHOWN else ""
