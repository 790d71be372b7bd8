"""From the command line to the first paint, by the shortest way."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import MissingExtra, NoTerminal

if TYPE_CHECKING:
    from modelhub.tui.session import Session


def require_terminal(environ: Mapping[str, str]) -> None:
    """See that there is something to be shown in.

    :raises NoTerminal: there is no terminal, or one that can show nothing but lines.
    """
    if environ.get("TEXTUAL_DRIVER"):
        return
    # Textual draws on standard error: sent to a file, it would show nothing and take every key.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise NoTerminal("the terminal UI needs a terminal to be shown in")
    if environ.get("TERM", "dumb") == "dumb":
        raise NoTerminal("this terminal (TERM=dumb) can show no terminal UI")


def require_textual() -> None:
    """See that it is installed.

    :raises MissingExtra: it is not.
    """
    try:
        import textual  # noqa: F401 (tried, not used)
    except ModuleNotFoundError as error:
        hint = "pip install 'modelhub[tui]'"
        raise MissingExtra("the terminal UI is not installed", hint=hint) from error


def prepared(config_path: Path | None = None, environ: Mapping[str, str] | None = None) -> Session:
    """Everything that can go wrong before the terminal is taken over.

    :raises NoTerminal, MissingExtra: see above.
    :raises ConfigError: the settings are wrong.
    """
    environ = os.environ if environ is None else environ
    require_terminal(environ)
    require_textual()
    from modelhub.tui.session import Session

    return Session(config_path, environ)


def show(session: Session) -> None:
    """Show the terminal UI until the user leaves; the session is closed and its state kept."""
    from modelhub.tui.app import run

    run(session)
