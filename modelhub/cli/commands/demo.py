"""`modelhub demo`: try everything on a hub of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelhub.cli.context import App, pass_app

if TYPE_CHECKING:
    from modelhub.demo.hub import DemoHub

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@click.option(
    "--folder", type=_FOLDER, help="Where the demo library is made; else a temporary folder."
)
@click.pass_context
def command(context: click.Context, /, folder: Path | None) -> None:
    """Try everything on a hub of its own.

    Starts a server on this machine that answers as Civitai does, and goes through the main job by
    real commands: inspect, pull, list, index, match, verify, show. Your own library, settings and
    key are not touched, and nothing leaves this machine. Needs the extra `demo`.

    \b
    Examples:
      modelhub demo
      modelhub demo serve --port 8765
    """
    if context.invoked_subcommand is None:
        from modelhub.cli.demo_walk import walk

        chosen = folder or Path(tempfile.mkdtemp(prefix="modelhub-demo-"))
        walk(context.ensure_object(App), chosen.absolute())


@command.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: a free one."
)
@click.option("--folder", type=_FOLDER, help="Keep the published files there between runs.")
@pass_app
def serve(app: App, port: int, folder: Path | None) -> None:
    """Leave the demo hub running, to try things by hand.

    Prints its address and a key that it accepts; point modelhub at it with MODELHUB_CIVITAI_URL.
    Faults are switched on by request: see the guide's page on the demo hub.

    \b
    Example:
      modelhub demo serve --port 8765 &
      MODELHUB_CIVITAI_URL=http://127.0.0.1:8765 modelhub pull 78056
    """
    from modelhub.demo.serve import serve as serve_hub

    def announce(hub: DemoHub) -> None:
        app.echo(f"The demo hub answers at {hub.url}. Ctrl-C ends it.")
        app.echo(f"  export MODELHUB_CIVITAI_URL={hub.url}")
        app.echo(f"  export MODELHUB_CIVITAI_API_KEY={hub.key}     # for what needs a login")
        sys.stdout.flush()

    serve_hub(port, folder, announce, app.cancel)
