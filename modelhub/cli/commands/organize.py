"""`modelhub organize`: move models into the layout, dry run first, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.errors import UsageError
from modelhub.text import human_size, plural

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, RootRow
    from modelhub.catalog.showing import EventRow
    from modelhub.services.organize import Moved, Movement, OrganizeReport, Skipped

_LAYOUTS = ("comfyui", "a1111", "forge", "invokeai", "flat", "template")
_MOST_LINES = 50
_MOST_EVENTS = 100
_FAILED = 1


@click.command()
@click.argument("query", nargs=-1)
@click.option("--apply", "apply_", is_flag=True, help="Move them; without it nothing is touched.")
@click.option("--into", metavar="ROOT", help="Move to this root, instead of within each root.")
@click.option(
    "--layout",
    type=click.Choice(_LAYOUTS),
    metavar="NAME",
    help="Instead of the roots' own: comfyui, a1111, forge, flat, template.",
)
@click.option("--guesses", is_flag=True, help="Also move what was only guessed to be what it is.")
@click.option("--prune-empty", is_flag=True, help="Remove folders that are left empty.")
@click.option(
    "--undo", metavar="last|RUN|EVENT", help="Take back the last run, a run, or a single move."
)
@click.option("--history", is_flag=True, help="List what was moved, the latest first.")
@json_option
@pass_app
def command(
    app: App, /, query: tuple[str, ...], apply_: bool, history: bool, as_json: bool, **options: Any
) -> None:
    """Move models into the folders of the layout, and back.

    Prints what would move, and why; --apply does it. Sidecars, previews and configs of the same
    stem move along, shards together, diffusers folders whole. No file is ever overwritten, and a
    model in a folder of yours below the folder of its kind stays there. Files that InvokeAI
    manages are never moved.

    Each move is in the history, and --undo takes it back, as long as the files are what they were.

    \b
    Examples:
      modelhub organize
      modelhub organize type:lora --apply
      modelhub organize 'path:downloads/' --into ~/ComfyUI/models --apply
      modelhub organize --undo last
    """
    if history:
        with opened_catalog(app) as catalog:
            _print_history(app, catalog, as_json=as_json)
        return
    if options["undo"] is not None and (query or options["into"] or options["layout"]):
        raise UsageError(
            "--undo takes back what was moved: it goes with no query, --into or --layout",
            hint="`modelhub organize --history` lists the moves and their numbers",
        )
    report = _run(app, " ".join(query), apply=apply_, options=options)
    if as_json:
        print_json(_document(report))
    else:
        _print(app, report)
    _say(app, report, undone=options["undo"] is not None)
    _exit(app, report, undone=options["undo"] is not None)


def _run(app: App, query: str, *, apply: bool, options: dict[str, Any]) -> OrganizeReport:
    from modelhub.services.organize import Wish, organize, undo

    with opened_catalog(app) as catalog, app.progress() as listener:
        if options["undo"] is not None:
            return undo(
                options["undo"],
                catalog=catalog,
                prune_empty=options["prune_empty"],
                listener=listener,
                cancel=app.cancel,
            )
        wish = Wish(
            query=query,
            into=_root(catalog, options["into"]) if options["into"] else None,
            layout=options["layout"],
            guesses=options["guesses"],
        )
        return organize(
            wish,
            catalog=catalog,
            config=app.config,
            apply=apply,
            prune_empty=options["prune_empty"],
            listener=listener,
            cancel=app.cancel,
        )


def _root(catalog: Catalog, text: str) -> RootRow:
    folder = Path(text).expanduser()
    row = catalog.root(folder)
    if row is None:
        raise UsageError(
            f"{folder} is no root", hint=f"`modelhub root add '{folder}'` makes it one"
        )
    return row


def _print(app: App, report: OrganizeReport) -> None:
    if not report.applied:
        columns: list[Column[Movement]] = [
            Column("From", lambda one: _short(one.source, one.from_root), flexible=True),
            Column("To", lambda one: _target(one), flexible=True),
            Column("Size", lambda one: one.size, show=human_size, right=True),
            Column("Files", lambda one: len(one.steps), right=True),
            Column("Why", lambda one: one.why),
        ]
        print_table(columns, report.plan.movements)
        for movement in report.plan.movements:
            for notice in movement.notices:
                app.warn(f"{movement.name}: {notice}")
        return
    for moved in [*report.finished, *report.moved]:
        movement = moved.movement
        app.echo(f"{_short(movement.source, movement.from_root)} -> {_target(movement)}")


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _target(movement: Movement) -> str:
    if movement.root != movement.from_root:
        return str(movement.target)
    return _short(movement.target, movement.root)


def _say(app: App, report: OrganizeReport, *, undone: bool) -> None:
    plan = report.plan
    for one in report.failed:
        app.warn(f"{one.path}: {one.reason}; it was left where it is")
    _say_skipped(app, plan.skipped, all_of_them=undone)
    if report.finished:
        app.say(f"{plural(len(report.finished), 'move')} of an interrupted run finished")
    if report.pruned:
        app.say(f"{plural(len(report.pruned), 'empty folder')} removed")
    if not report.applied:
        count = len(plan.movements)
        words = f"{plural(count, 'model')} would move, {plan.in_place:,} in place"
        app.say(words + ("; --apply moves them" if count else ""))
    elif undone:
        app.say(f"{plural(len(report.moved), 'model')} moved back")
    else:
        app.say(f"{plural(len(report.moved), 'model')} moved, {plan.in_place:,} in place")
        if report.moved:
            app.say(f"`modelhub organize --undo {report.run}` takes that back")


def _say_skipped(app: App, skipped: Any, *, all_of_them: bool) -> None:
    """Each reason once, with how many files it holds for; of an undo, file by file."""
    by_reason: dict[str, list[Path]] = {}
    for one in skipped:
        by_reason.setdefault(one.reason, []).append(one.path)
    for reason, paths in list(by_reason.items())[:_MOST_LINES]:
        if len(paths) == 1 or all_of_them:
            for path in paths:
                app.warn(f"{path}: {reason}")
        else:
            app.warn(f"{plural(len(paths), 'file')} left alone: {reason}")


def _exit(app: App, report: OrganizeReport, *, undone: bool) -> None:
    if report.stopped is not None:
        from modelhub.cli.messages import show_error

        show_error(app, report.stopped)
        click.get_current_context().exit(report.stopped.exit_code)
    if report.failed or (undone and report.plan.skipped):
        click.get_current_context().exit(_FAILED)


def _document(report: OrganizeReport) -> dict[str, Any]:
    stopped = report.stopped
    return {
        "applied": report.applied,
        "run": report.run or None,
        "planned": [_movement(one) for one in report.plan.movements],
        "moved": [_moved(one) for one in report.moved],
        "finished": [_moved(one) for one in report.finished],
        "failed": [_skipped(one) for one in report.failed],
        "skipped": [_skipped(one) for one in report.plan.skipped],
        "in_place": report.plan.in_place,
        "pruned": [str(one) for one in report.pruned],
        "stopped": stopped and {"class": type(stopped).__name__, "message": stopped.message},
    }


def _movement(one: Movement) -> dict[str, Any]:
    return {
        "name": one.name,
        "from": str(one.source),
        "to": str(one.target),
        "size": one.size,
        "why": one.why,
        "undoes": one.undoes,
        "files": [{"from": str(s.source), "to": str(s.target)} for s in one.steps],
        "notices": list(one.notices),
    }


def _moved(one: Moved) -> dict[str, Any]:
    return _movement(one.movement) | {"event": one.event, "notices": list(one.notices)}


def _skipped(one: Skipped) -> dict[str, str]:
    return {"file": str(one.path), "reason": one.reason}


def _print_history(app: App, catalog: Catalog, *, as_json: bool) -> None:
    from modelhub.services.organize import history as events_of

    events = events_of(catalog, _MOST_EVENTS)
    if as_json:
        print_json(events)
        return
    columns: list[Column[EventRow]] = [
        Column("Event", lambda one: one.id, right=True),
        Column("Run", lambda one: one.detail.get("run")),
        Column("What", lambda one: one.text, flexible=True, middle=True),
    ]
    print_table(columns, events)
    if not events:
        app.say("nothing was organized yet")
