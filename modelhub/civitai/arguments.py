"""The references of a command line, with `-` and `@file` replaced by the lines that they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from modelhub.errors import UsageError

_LONGEST_LINE: Final = 8192
_UTF8_HINT: Final = "save the list as UTF-8 text, one reference a line"


def expand_arguments(args: Iterable[str], stdin: TextIO) -> Iterator[str]:
    """Yield the references in order.

    `-` stands for the lines of `stdin`, `@list.txt` for those of a file (UTF-8, with or without a
    byte order mark). Blank lines and lines that start with `#` are left out. Lists are read as
    they are consumed, and hold references only: no list names another.

    :raises UsageError: a list cannot be read, is no UTF-8 text, or names another list.
    """
    for arg in args:
        if arg == "-":
            yield from _lines(stdin, "standard input")
        elif arg.startswith("@"):
            yield from _file_lines(arg[1:])
        else:
            yield arg


def _file_lines(name: str) -> Iterator[str]:
    if not name:
        raise UsageError("@ without a file name", hint="write @list.txt to read references from it")
    try:
        with Path(name).expanduser().open(encoding="utf-8-sig", newline=None) as file:
            yield from _lines(file, name)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(f"cannot read the list {name!r}: {reason}") from error


def _lines(source: TextIO, name: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        line = _line(source, name, number)
        if not line:
            return
        text = line.strip().strip("\ufeff").strip()
        if not text or text.startswith("#"):
            continue
        if text == "-" or text.startswith("@"):
            raise UsageError(
                f"{name}, line {number}: a list cannot name another list ({text[:40]!r})",
                hint="give the other list on the command line as well",
            )
        yield text


def _line(source: TextIO, name: str, number: int) -> str:
    try:
        line = source.readline(_LONGEST_LINE)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name}, line {number} or soon after it: not UTF-8 text", hint=_UTF8_HINT
        ) from error
    if len(line) == _LONGEST_LINE and not line.endswith("\n"):
        raise UsageError(f"{name}, line {number}: far too long for a reference", hint=_UTF8_HINT)
    return line
