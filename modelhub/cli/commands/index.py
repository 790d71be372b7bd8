"""`modelhub index`: bring the catalog in step with what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import json_option, print_json
from modelhub.text import human_duration, plural

if TYPE_CHECKING:
    from modelhub.services.index import IndexReport

_SHOWN = 20
"""So many faulty files are named; `modelhub list fault:yes` has all."""


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path(path_type=Path))
@click.option("--no-hash", is_flag=True, help="Read headers only; hash on a later run.")
@json_option
@pass_app
def command(app: App, paths: tuple[Path, ...], no_hash: bool, as_json: bool) -> None:
    """Bring the catalog in step with what is on disk.

    PATH is a root, or a folder or file in one; a folder outside every root becomes a root. Without
    PATH all roots are indexed, or the library's own folder where there is none.

    What is new is read and identified at once, then hashed, the newest and smallest files first.
    What moved is followed, with its tags; what is gone is marked missing and never deleted. A root
    whose disk is not mounted is left as it is known. Unchanged files cost next to nothing.

    Stopped by Ctrl-C, or killed, it goes on where it was when it is run again.

    \b
    Examples:
      modelhub index
      modelhub index ~/ComfyUI/models
      modelhub index --no-hash /mnt/disk/loras
    """
    from modelhub.services.index import index

    with opened_catalog(app) as catalog, app.progress() as listener:
        report = index(
            paths,
            config=app.config,
            catalog=catalog,
            listener=listener,
            cancel=app.cancel,
            hash=not no_hash,
        )
    if as_json:
        print_json(_document(report))
    else:
        _print(app, report)
    if report.roots and all(root.skipped for root in report.roots):
        click.get_current_context().exit(7)


def _print(app: App, report: IndexReport) -> None:
    for root in report.roots:
        app.echo(f"{root.path}: {root.skipped or plural(root.files, 'file')}")
    app.echo(f"{_summary(report)}, in {_took(report.seconds)}")
    for fault in report.faults[:_SHOWN]:
        app.warn(f"{fault.path}: {fault.reason}")
    if len(report.faults) > _SHOWN:
        app.say(f"and {len(report.faults) - _SHOWN:,} more: `modelhub list fault:yes`")
    _print_unsafe(app, report)
    for path in report.still_written[:_SHOWN]:
        app.say(f"{path} is still being written: the next run takes it")
    if report.unhashed:
        wait = plural(report.unhashed, "file waits", "files wait")
        app.say(f"{wait} to be hashed: `modelhub index` goes on")


def _print_unsafe(app: App, report: IndexReport) -> None:
    """The dangerous files by name: they were marked, and are where they were."""
    dangerous = [one for one in report.unsafe if one.verdict == "dangerous"]
    for one in dangerous[:_SHOWN]:
        app.warn(f"{one.path} is dangerous: `modelhub scan` shows why")
    numbers = {"suspicious": report.suspicious, "dangerous": report.dangerous}
    counted = ", ".join(f"{number:,} {word}" for word, number in numbers.items() if number)
    if counted:
        app.say(f"{counted}: `modelhub list unsafe:yes`")


def _summary(report: IndexReport) -> str:
    numbers = {
        "new": report.new,
        "changed": report.changed,
        "moved": report.moved,
        "back": report.back,
        "missing": report.missing,
        "left out now": report.forgotten,
        "unchanged": report.unchanged,
        "identified anew": report.reread,
        "hashed": report.hashed,
        "with your words from sidecars": report.words,
    }
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number) or "empty"


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else human_duration(seconds)


def _document(report: IndexReport) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(report, enc_hook=str)
    return document
