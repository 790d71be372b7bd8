"""`modelhub tui`: the terminal UI."""

from __future__ import annotations

import sys

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
    from modelhub.tui.start import prepared, show

    show(prepared(app.config_path, app.environ))


def _serve(app: App, port: int) -> None:
    from modelhub.tui.start import require_textual
    from modelhub.tui.web import serve

    app.loaded  # noqa: B018 -- a mistake in the settings is told here, not in each window
    require_textual()

    def tell(address: str) -> None:
        click.echo(address)
        sys.stdout.flush()
        app.say("open this address in a browser; Ctrl-C ends")

    serve(app.config_path, port, tell)
