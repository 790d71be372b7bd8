"""`modelhub adopt`: take over the folders of ComfyUI, A1111, Forge, InvokeAI, Stability Matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import json_option, print_json
from modelhub.text import plural

if TYPE_CHECKING:
    from modelhub.services.adopt import Adopted, AdoptReport


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--dry-run", is_flag=True, help="Only say what was found, and what would be done.")
@click.option("--no-index", is_flag=True, help="Only remember the folders; read no file.")
@click.option("--no-hash", is_flag=True, help="Read the headers, and leave hashing for later.")
@json_option
@pass_app
def command(
    app: App,
    paths: tuple[str, ...],
    dry_run: bool,
    no_index: bool,
    no_hash: bool,
    as_json: bool,
) -> None:
    """Take over the models of another tool, where they are.

    PATH is the folder of ComfyUI, the web UI of A1111 or Forge, InvokeAI or Stability Matrix, the
    models in it, an extra_model_paths.yaml, or any folder. What belongs to it is found, indexed,
    and the sidecars beside the models are read. Nothing is moved, and nothing is written there.

    \b
    Examples:
      modelhub adopt ~/ComfyUI
      modelhub adopt ~/stable-diffusion-webui --dry-run
      modelhub adopt ~/ComfyUI/extra_model_paths.yaml
    """
    from modelhub.services.adopt import adopt

    with opened_catalog(app) as catalog, app.progress() as listener:
        report = adopt(
            [Path(path) for path in paths],
            config=app.config,
            catalog=catalog,
            listener=listener,
            cancel=app.cancel,
            dry_run=dry_run,
            index=not no_index,
            hash=not no_hash,
        )
    if as_json:
        print_json(_document(report, dry_run=dry_run))
    else:
        _print(app, report, dry_run=dry_run)
    _say(app, report)
    if app.cancel.is_set():
        from modelhub.errors import Cancelled

        raise Cancelled("stopped before all files were read")


def _document(report: AdoptReport, *, dry_run: bool) -> dict[str, Any]:
    return {
        "detected": [
            {"path": str(one.path), "tool": one.tool.name.lower(), "notices": one.notices}
            for one in report.detected
        ],
        "folders": [
            {
                "folder": str(one.place.folder),
                "layout": one.place.layout,
                "origin": one.place.origin,
                "standing": one.standing,
                "within": one.within,
            }
            for one in report.folders
        ],
        "dry_run": dry_run,
        "index": report.index,
        "sidecars": report.sidecars,
    }


def _print(app: App, report: AdoptReport, *, dry_run: bool) -> None:
    for one in report.detected:
        app.echo(f"{one.path}: {one.tool}")
        for notice in one.notices:
            app.say(f"  {notice}")
    for folder in report.folders:
        app.echo(f"  {folder.place.folder}: {_standing(folder, dry_run=dry_run)}")


def _standing(adopted: Adopted, *, dry_run: bool) -> str:
    from modelhub.services.adopt import Standing

    place = adopted.place
    named = "" if place.origin.endswith(str(place.folder)) else f" ({place.origin})"
    return {
        Standing.NEW: "would be added" if dry_run else "added",
        Standing.KNOWN: "is a root already",
        Standing.COVERED: f"is in the root {adopted.within}",
        Standing.ABSENT: "is not there: left out",
    }[adopted.standing] + named


def _say(app: App, report: AdoptReport) -> None:
    from modelhub.cli.commands.match import say_sidecars

    found = report.index
    if found is None:
        return
    for fault in found.faults[:20]:
        app.warn(f"{fault.path}: {fault.reason}")
    words = f"{plural(found.new, 'new file')}, {found.unchanged:,} known before"
    if found.moved:
        words += f", {found.moved:,} moved"
    if found.faults:
        words += f", {len(found.faults):,} damaged"
    app.say(words)
    if found.unhashed:
        app.say(f"{plural(found.unhashed, 'file')} not hashed yet; `modelhub index` does that")
    say_sidecars(app, report.sidecars)
    app.say("`modelhub match` asks Civitai about them, `modelhub list` shows them")
