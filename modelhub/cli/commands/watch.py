"""`modelhub watch`: the folder watcher in the foreground."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog

if TYPE_CHECKING:
    from modelhub.services.index import Happening
    from modelhub.services.watch import Told


@click.command()
@click.argument("roots", nargs=-1, metavar="[ROOT...]", type=click.Path(path_type=Path))
@click.option("--no-hash", is_flag=True, help="Read headers only; leave hashing to `index`.")
@pass_app
def command(app: App, roots: tuple[Path, ...], no_hash: bool) -> None:
    """Watch the roots, and index as files come.

    Without ROOT all roots are watched, but for those added with --no-watch. First everything is
    compared once; then each new, changed, moved or deleted file is told of, a line each, as the
    catalog takes it in. New files are hashed in the background.

    Folders on network file systems are compared every `watch.poll_interval` seconds instead, and
    so are those for which the system has no watches left: which is which is said at the start.

    Ctrl-C ends it. Whatever happens while it does not run is caught up with when it starts.
    """
    from msgspec.structs import replace

    from modelhub.services.watch import watch

    config = app.config
    if no_hash:
        config = replace(config, watch=replace(config.watch, hash=False))
    with opened_catalog(app) as catalog:
        watch(
            roots,
            config=config,
            catalog=catalog,
            notify=lambda told: _show(app, told),
            cancel=app.cancel,
        )
    app.say("stopped; `modelhub watch` catches up when it is started again")


def _show(app: App, told: Told) -> None:
    from modelhub.services.watch import Lost, Remark, Watching

    if isinstance(told, Watching):
        way = "watching" if told.native else "polling"
        _line(app, way, f"{told.root} ({told.reason})")
    elif isinstance(told, Lost):
        app.warn(f"{told.root} is not there any more")
    elif isinstance(told, Remark):
        if told.warning:
            app.warn(told.text)
        else:
            app.say(told.text)
    else:
        _line(app, told.what, _about(told))


def _about(told: Happening) -> str:
    from modelhub.services.index import Happened

    if told.what is Happened.MOVED:
        return f"{told.detail} -> {told.path}"
    if told.what is Happened.HASHED:
        return f"{told.path} {told.detail[:10]}"
    return f"{told.path}: {told.detail}" if told.detail else str(told.path)


def _line(app: App, what: str, text: str) -> None:
    app.echo(f"{datetime.now():%H:%M:%S}  {what:<9} {text}")
    # Whoever reads this from a pipe wants each line when it happens.
    sys.stdout.flush()
