"""Errors as the user sees them: `modelhub: error: ...` and `hint: ...` on standard error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from modelhub.cli.redact import hide_known, redact
from modelhub.errors import Cancelled, ModelhubError, UsageError
from modelhub.text import clean

if TYPE_CHECKING:
    from modelhub.cli.context import App

BUG_HINT = (
    "this is a bug in modelhub; run the same command with --debug and report what it prints, "
    "and what `modelhub --version` says"
)
INTERRUPTED = 130


def show_error(app: App, error: ModelhubError, *, about: str = "") -> None:
    """Print `error` with its hint, and its traceback with `--debug`.

    :param about: which of several arguments it is about.
    """
    _show_traceback(app, error)
    secrets = _secrets(app)
    message = hide_known(f"{about}: {error.message}" if about else error.message, secrets)
    hint = hide_known(error.hint, secrets)
    # Lists of mistakes have lines of their own; elsewhere, a line break is part of a file's name.
    lines = isinstance(error, UsageError)
    _print(app, message, hint, lines=lines, stopped=isinstance(error, Cancelled))


def show_usage_error(app: App, error: click.UsageError) -> None:
    """Print a mistake in the command line in the same style; similar names become the hint."""
    possibilities: list[str] = getattr(error, "possibilities", None) or []
    message = error.message if possibilities else error.format_message()
    if possibilities:
        hint = f"did you mean {' or '.join(possibilities)}?"
    else:
        path = error.ctx.command_path if error.ctx else "modelhub"
        hint = f"`{path} --help` shows how it is used"
    _print(app, _as_clause(hide_known(message, _secrets(app))), hint, lines=True)


def show_click_error(app: App, error: click.ClickException) -> None:
    """Print another error of click (a file that cannot be opened)."""
    _print(app, _as_clause(hide_known(error.format_message(), _secrets(app))), "")


def show_interrupted(app: App) -> None:
    """Print that Ctrl-C ended the command before it had begun its work."""
    _print(app, "interrupted", "", stopped=True)


def show_bug(app: App, error: BaseException) -> None:
    """Print an exception that nobody expected in one line, and how to report it."""
    _show_traceback(app, error)
    text = redact(f"{type(error).__name__}: {error}", _secrets(app))
    _print(app, f"unexpected {clean(text)}", BUG_HINT)


def _print(
    app: App, message: str, hint: str, *, lines: bool = False, stopped: bool = False
) -> None:
    label = "" if stopped else click.style("error:", fg="red", bold=True) + " "
    click.echo(f"modelhub: {label}{clean(message, lines=lines)}", err=True, color=app.color)
    if hint:
        label = click.style("hint:", fg="cyan")
        click.echo(f"{label} {clean(hint, lines=lines)}", err=True, color=app.color)


def _show_traceback(app: App, error: BaseException) -> None:
    if not app.debug:
        return
    import traceback

    text = "".join(traceback.format_exception(error))
    click.echo(clean(redact(text, _secrets(app)), lines=True), err=True, nl=False)


def _secrets(app: App) -> list[str]:
    from modelhub.services.credentials import VARIABLES

    known = [environ.get(name, "") for environ in (app.environ, os.environ) for name in VARIABLES]
    # Only what this run has read already: an error is no moment to unlock a keyring.
    known.append(vars(app).get("key") or "")
    return [secret.strip() for secret in known if secret.strip()]


def _as_clause(message: str) -> str:
    """Click's sentences in the style of ours: no capital, no full stop."""
    message = " ".join(message.split()).rstrip(".")
    if message[:1].isupper() and not message[1:2].isupper():
        return message[0].lower() + message[1:]
    return message
