"""One run of the command line: parse, call, and turn every ending into an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from modelhub.cli.context import App
from modelhub.cli.frame import PROGRAM, build_root
from modelhub.cli.messages import (
    INTERRUPTED,
    show_bug,
    show_click_error,
    show_error,
    show_interrupted,
    show_usage_error,
)
from modelhub.errors import ModelhubError

COMPLETE_VARIABLE = "_MODELHUB_COMPLETE"
BROKEN_PIPE = 141
"""As a shell reports a program that SIGPIPE ended: `modelhub list | head` is no failure."""


def run(arguments: Sequence[str]) -> int:
    """Run `modelhub ARGUMENTS...`.

    :returns: the exit code; every error has been printed.
    """
    _prepare_streams()
    app = App()
    try:
        try:
            code = _run(app, arguments)
            sys.stdout.flush()
        except Exception as error:
            if _is_broken_pipe(error):
                raise
            code = _failed(app, error)
        except KeyboardInterrupt:
            show_interrupted(app)
            code = INTERRUPTED
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        code = BROKEN_PIPE if _is_broken_pipe(error) else 1
        _discard_output()
    finally:
        app.interrupts.uninstall()
    return code


def _run(app: App, arguments: Sequence[str]) -> int:
    root = build_root()
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(root, {"obj": app}, PROGRAM, COMPLETE_VARIABLE, instruction)
    with root.make_context(PROGRAM, list(arguments), obj=app) as context:
        if app.no_color:
            context.color = False
        root.invoke(context)
    return 0


def _failed(app: App, error: Exception) -> int:
    """Print `error`; the exit code for it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, ModelhubError):
        show_error(app, error)
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True, color=app.color)
        return error.exit_code
    if isinstance(error, click.UsageError):
        show_usage_error(app, error)
        return error.exit_code
    if isinstance(error, click.ClickException):
        show_click_error(app, error)
        return error.exit_code
    if isinstance(error, click.Abort):
        show_interrupted(app)
        return INTERRUPTED
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        # Standard output is a file on a full disk; every other write is translated below us.
        show_error(app, ModelhubError(f"cannot write the output: {error.strerror}"))
        _discard_output()
        return 7
    show_bug(app, error)
    return 1


def _is_broken_pipe(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def _prepare_streams() -> None:
    """No name of a file may fail to print, whatever the locale; closed streams swallow all."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush cannot fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    os.close(null)
