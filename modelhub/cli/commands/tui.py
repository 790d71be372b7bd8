"""`modelhub tui`: the terminal UI."""

from __future__ import annotations

import os
import sys

import click

from modelhub.cli.context import App, pass_app


@click.command()
@pass_app
def command(app: App) -> None:
    """Browse, pull, convert and render in a terminal UI.

    `?` shows the keys of each screen; `q` leaves.
    """
    from modelhub.errors import MissingExtra, NoTerminal

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("the terminal UI needs a terminal to be shown in")
    if os.environ.get("TERM") == "dumb":
        raise NoTerminal("this terminal (TERM=dumb) can show no terminal UI")
    from modelhub.tui.session import Session

    session = Session(app.config_path, app.environ)
    try:
        from modelhub.tui.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise MissingExtra(
            "the terminal UI is not installed", hint="pip install 'modelhub[tui]'"
        ) from error
    run(session)
