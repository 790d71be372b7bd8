"""`modelhub dupes`: what is here more than once, and linking it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.errors import Cancelled
from modelhub.text import human_size, plural

if TYPE_CHECKING:
    from modelhub.services.dupes import DupesReport, Group, LinkReport, Member

_MOST_LINES = 200


@click.command()
@click.option("--link", is_flag=True, help="Replace copies by links to the file that is kept.")
@click.option("--dry-run", "-n", is_flag=True, help="With --link: say what would be done.")
@click.option("--yes", "-y", is_flag=True, help="With --link: do not ask.")
@click.option("--bytes", "only_bytes", is_flag=True, help="The same bytes only: reads no file.")
@json_option
@pass_app
def command(
    app: App, link: bool, dry_run: bool, yes: bool, only_bytes: bool, as_json: bool
) -> None:
    """Find what is here more than once.

    The same bytes under several names; the same weights in another precision or container, told by
    the values of their tensors; and VAE files that checkpoints here have baked in. To compare
    weights files are read, once: the next run knows them.

    --link replaces copies of the same bytes by reflinks, or else by hard links. Kept is the file in
    the library's own folder, else the oldest, else the one with the shortest path. Both files are
    compared byte by byte before, nothing is linked across disks, and a file that changed since it
    was hashed is left alone. Hard links are one file: a tool that edits one edits all.

    \b
    Examples:
      modelhub dupes
      modelhub dupes --bytes --json
      modelhub dupes --link --dry-run
    """
    from modelhub.services.dupes import dupes, link_copies

    if (dry_run or yes) and not link:
        raise click.UsageError("--dry-run and --yes go with --link")
    linked = None
    with opened_catalog(app) as catalog:
        with app.progress() as listener:
            report = dupes(
                catalog,
                config=app.config,
                weights=not (only_bytes or link),
                listener=listener,
                cancel=app.cancel,
            )
        if not as_json:
            _print(app, report)
        if link and not dry_run and _copies(report):
            _ask(app, report, yes=yes)
            with app.progress() as listener:
                linked = link_copies(catalog, report, listener=listener, cancel=app.cancel)
    if as_json:
        print_json(_document(report, linked))
    elif linked is not None:
        _print_linked(app, linked)


def _copies(report: DupesReport) -> list[Member]:
    return [one for group in report.groups for one in group.members if one.link_to is not None]


def _ask(app: App, report: DupesReport, *, yes: bool) -> None:
    number = plural(len(_copies(report)), "copy", "copies")
    question = f"Replace {number} by links, which frees {human_size(report.saves)}?"
    if not yes and not app.confirm(question, default=False):
        raise Cancelled(f"{number} left as they are", hint="--yes links them without asking")


def _document(report: DupesReport, linked: LinkReport | None) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(report, enc_hook=str)
    for group, written in zip(report.groups, document["groups"], strict=True):
        written["saves"] = group.saves
    document["saves"] = report.saves
    document["linked"] = None if linked is None else msgspec.to_builtins(linked, enc_hook=str)
    return document


def _print(app: App, report: DupesReport) -> None:
    titles = {
        "bytes": "The same bytes",
        "weights": "The same weights, in another form",
        "vae": "VAE files that checkpoints have baked in",
    }
    for same, title in titles.items():
        shown = [group for group in report.groups if group.same == same]
        if not shown:
            continue
        app.echo(f"{title}:")
        _print_groups(shown)
        app.echo()
    copies = _copies(report)
    if copies:
        files = plural(len(copies), "copy", "copies")
        app.echo(f"Linking {files} would free {human_size(report.saves)}")
    elif not report.groups:
        app.echo("Nothing is here twice")
    if report.not_compared:
        number = plural(len(report.not_compared), "file")
        app.say(f"{number} with weights that cannot be compared, such as quantised ones")


def _print_groups(groups: list[Group]) -> None:
    rows = [
        (number, group, member)
        for number, group in enumerate(groups, 1)
        for member in group.members
    ]
    columns: list[Column[tuple[int, Group, Member]]] = [
        Column("#", lambda row: row[0], right=True),
        Column("", lambda row: row[2].part),
        Column("File", lambda row: row[2].path, flexible=True, middle=True),
        Column("Form", lambda row: _form(row[2])),
        Column("Size", lambda row: row[2].size, human_size, right=True),
        Column("Saves", lambda row: row[2].saves or None, human_size, right=True),
        Column("Note", lambda row: row[2].detail, flexible=True),
    ]
    filled = [column for column in columns if any(column.cell(row) for row in rows)]
    print_table(filled, rows[:_MOST_LINES])
    if len(rows) > _MOST_LINES:
        click.echo(f"… and {len(rows) - _MOST_LINES:,} more: --json has all")


def _form(member: Member) -> str:
    return " ".join(word for word in (member.format, member.precision) if word)


def _print_linked(app: App, linked: LinkReport) -> None:
    for one in linked.left:
        app.warn(f"{one.target} was left as it is: {one.detail}")
    freed = human_size(linked.freed)
    app.echo(f"{plural(len(linked.linked), 'copy', 'copies')} linked, {freed} freed")
