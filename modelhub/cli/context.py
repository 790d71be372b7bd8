"""What every command gets: settings, streams, the cancel event, progress.

A command takes it with :data:`pass_app`::

    @click.command()
    @pass_app
    def command(app: App) -> None: ...

Everything here is made when it is first asked for, so that a command pays for what it uses only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from modelhub.cli.interrupts import Interrupts
from modelhub.text import clean

if TYPE_CHECKING:
    import threading

    from rich.console import Console

    from modelhub.config import Config
    from modelhub.config.load import LoadedConfig
    from modelhub.progress import Listener

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class App:
    """The state of one run of the command line.

    :param environ: the environment to read settings from.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.config_path: Path | None = None
        self.debug = False
        self.quiet = False
        self.no_color = bool(self.environ.get("NO_COLOR")) or self.environ.get("TERM") == "dumb"
        self.interrupts = Interrupts()

    @cached_property
    def loaded(self) -> LoadedConfig:
        """The settings with where each came from.

        :raises ConfigError: the file or a variable is wrong; the message lists every mistake.
        """
        from modelhub.config.load import load_config

        return load_config(self.config_path, self.environ)

    @property
    def config(self) -> Config:
        """The settings in effect.

        :raises ConfigError: as :attr:`loaded`.
        """
        return self.loaded.config

    @cached_property
    def key(self) -> str | None:
        """The Civitai API key, or None: from the environment, the keyring or the key file."""
        from modelhub.services.credentials import find_key

        found = find_key(self.environ)
        return found.value if found else None

    @property
    def cancel(self) -> threading.Event:
        """Set by the first Ctrl-C (or SIGTERM); a second one ends the process at once.

        Before a command asks for it, Ctrl-C raises KeyboardInterrupt as everywhere in Python.
        """
        self.interrupts.install()
        return self.interrupts.event

    @cached_property
    def out(self) -> Console:
        """Rich console on standard output, for results that are more than a table."""
        return self._console(sys.stdout)

    @cached_property
    def err(self) -> Console:
        """Rich console on standard error, for progress."""
        return self._console(sys.stderr)

    def _console(self, file: IO[str]) -> Console:
        from rich.console import Console

        # Markup and emoji codes are off: a model may well be named "[red]" or ":skull:".
        return Console(
            file=file, no_color=self.no_color, markup=False, emoji=False, highlight=False
        )

    def echo(self, text: str = "", *, lines: bool = False) -> None:
        """One result on standard output, made harmless (see :func:`modelhub.text.clean`).

        :param lines: the text is the user's own and has several lines; else a line break in it is
            part of a file's name, and would fake a line of ours.
        """
        click.echo(clean(text, lines=lines))

    def say(self, text: str) -> None:
        """A remark on standard error; nothing with `--quiet`."""
        if not self.quiet:
            click.echo(clean(text), err=True)

    def warn(self, text: str) -> None:
        """A warning on standard error, `--quiet` or not."""
        label = click.style("warning:", fg="yellow", bold=True)
        click.echo(f"modelhub: {label} {clean(text)}", err=True, color=self.color)

    @property
    def color(self) -> bool | None:
        """For click: False without colours, None where the stream decides."""
        return False if self.no_color else None

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        """A listener that shows progress on standard error as long as the block runs.

        Bars on a terminal, a line per stage elsewhere, nothing with `--quiet` (warnings aside).
        """
        from modelhub.cli.progress_view import progress_view

        with progress_view(self) as listener:
            yield listener

    def confirm(self, question: str, *, default: bool = False) -> bool:
        """Ask yes or no on standard error; no where nobody can answer.

        :param default: what the Enter key means.
        """
        if not sys.stdin.isatty():
            return False
        with self.interrupts.prompting():
            return click.confirm(clean(question, lines=True), default=default, err=True)


_pass_app = click.make_pass_decorator(App, ensure=True)


def pass_app(
    function: Callable[Concatenate[App, Parameters], Result],
) -> Callable[Parameters, Result]:
    """Decorator: the command's first argument is the :class:`App` of this run."""
    return _pass_app(function)
