"""`modelhub tui`: the terminal UI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from modelhub.cli.context import App, pass_app


@click.command()
@click.option("--web", is_flag=True, help="Serve it to a browser on this machine.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="With --web: listen there; 0, the default, takes any port that is free.",
)
@pass_app
def command(app: App, web: bool, port: int) -> None:
    """Browse, pull, convert and render in a terminal UI.

    `?` shows the keys of each screen, `q` leaves. Jobs run in the daemon where one runs, else in
    this process, which tells before it ends with jobs at work.

    With --web it is shown in a browser: open the address that is printed. It holds a token, and is
    reachable from this machine only.
    """
    if web:
        _serve(app, port)
        return
    if port:
        raise click.UsageError("--port is for --web")
    _require_terminal()
    from modelhub.tui.session import Session

    session = Session(app.config_path, app.environ)
    with _installed():
        from modelhub.tui.app import run
    run(session)


def _serve(app: App, port: int) -> None:
    app.loaded  # noqa: B018 -- a mistake in the settings is told here, not in each window
    with _installed():
        import textual  # noqa: F401 (tried, not used)

        from modelhub.tui.web import serve

    def tell(address: str) -> None:
        click.echo(address)
        sys.stdout.flush()
        app.say("open this address in a browser; Ctrl-C ends")

    serve(app.config_path, port, tell)


def _require_terminal() -> None:
    from modelhub.errors import NoTerminal

    if os.environ.get("TEXTUAL_DRIVER"):
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("the terminal UI needs a terminal to be shown in")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise NoTerminal("this terminal (TERM=dumb) can show no terminal UI")


@contextmanager
def _installed() -> Iterator[None]:
    """Say which extra is missing, rather than which module."""
    from modelhub.errors import MissingExtra

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        hint = "pip install 'modelhub[tui]'"
        raise MissingExtra("the terminal UI is not installed", hint=hint) from error
