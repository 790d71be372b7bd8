"""The configuration file opened in the user's editor, made from the example when it is missing."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from modelhub.errors import ConfigError, DiskError, FolderNotWritable

EXAMPLE = "config.example.toml"
_USUAL_EDITORS = ("sensible-editor", "nano", "vim", "vi")


def example_text() -> str:
    """`config.example.toml`: every setting with its default, commented out.

    :raises ConfigError: this installation lacks it.
    """
    packaged = Path(__file__).with_name(EXAMPLE)
    in_checkout = Path(__file__).parents[2] / EXAMPLE
    for path in (packaged, in_checkout):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise ConfigError(f"this installation lacks {packaged}", hint="install modelhub anew")


def create_from_example(file: Path) -> bool:
    """Make `file` from the example; False when it is there already, which is left as it is.

    :raises FolderNotWritable: its folder cannot be made or written to.
    :raises DiskError: it cannot be written for another reason.
    """
    if file.exists():
        return False
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(example_text())
    except FileExistsError:
        if file.exists():
            return False
        raise DiskError(f"cannot make {file}: its folder is a file") from None
    except PermissionError as error:
        raise FolderNotWritable(f"cannot make {file}: {error.strerror}") from error
    except OSError as error:
        raise DiskError(f"cannot make {file}: {error.strerror}") from error
    return True


def editor_command(environ: Mapping[str, str]) -> list[str]:
    """The user's editor as words of a command: $VISUAL, $EDITOR, or one that is installed.

    :raises ConfigError: there is none, or a variable is no command.
    """
    for variable in ("VISUAL", "EDITOR"):
        try:
            words = shlex.split(environ.get(variable, ""))
        except ValueError as error:
            raise ConfigError(f"${variable} is no command: {error}", hint="") from error
        if words:
            return words
    for name in _USUAL_EDITORS:
        if shutil.which(name):
            return [name]
    raise ConfigError("found no editor", hint="name one: EDITOR=nano modelhub config edit")


def open_editor(file: Path, environ: Mapping[str, str] | None = None) -> None:
    """Open `file` in the user's editor, and wait until it is closed.

    :raises ConfigError: there is no editor, it cannot be started, or it reports a failure.
    """
    command = editor_command(os.environ if environ is None else environ)
    try:
        ended = subprocess.run([*command, str(file)], check=False)  # noqa: S603 - the user's own
    except OSError as error:
        raise ConfigError(
            f"cannot start the editor {command[0]}: {error.strerror}",
            hint="set $VISUAL or $EDITOR to an editor that is installed",
        ) from error
    if ended.returncode != 0:
        raise ConfigError(f"the editor {command[0]} ended with code {ended.returncode}", hint="")
