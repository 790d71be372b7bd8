"""What messages, hints and docs tell people to type exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from modelhub.cli.frame import build_root

CHECKOUT = Path(__file__).parents[2]
OF_OTHER_PROGRAMS = {
    "--app-name",
    "--check",
    "--force-reinstall",
    "--now",
    "--owner",
    "--pwprompt",
    "--user",
}
WHOLLY_OF_OTHER_PROGRAMS = {
    "modelhub/placement/adoption/arguments.py",
    "modelhub/placement/layouts.py",
    "docs/scale.md",
}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w-])")
_COMMAND = re.compile(r"`modelhub ([a-z][a-z-]+(?: [a-z][a-z-]+)?)(?![\w:-])")


def commands(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}".strip())


ALL = dict(commands(build_root()))
OPTIONS = {"--help"} | {
    name
    for command in ALL.values()
    for parameter in command.params
    for name in (*parameter.opts, *parameter.secondary_opts)
}


def texts() -> Iterator[tuple[str, str]]:
    """Where something is said, and what."""
    for path in sorted((CHECKOUT / "modelhub").rglob("*.py")):
        where = path.relative_to(CHECKOUT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{where}:{node.lineno}", node.value
    for path in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path.relative_to(CHECKOUT).as_posix()}:{number}", line


def test_options_that_are_advised_exist() -> None:
    unknown = [
        f"{where}: {option}"
        for where, text in texts()
        for option in _OPTION.findall(text)
        if where.partition(":")[0] not in WHOLLY_OF_OTHER_PROGRAMS
        and option not in OPTIONS | OF_OTHER_PROGRAMS
    ]
    assert not unknown, "\n".join(unknown)


def test_commands_that_are_advised_exist() -> None:
    unknown = []
    for where, text in texts():
        for words in _COMMAND.findall(text):
            first, *rest = words.split()
            group = ALL.get(first)
            is_group = isinstance(group, click.Group)
            if group is None or (is_group and rest and words not in ALL):
                unknown.append(f"{where}: modelhub {words}")
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("path", sorted(filter(None, ALL)))
def test_each_command_says_in_one_line_what_it_does(path: str) -> None:
    line = ALL[path].get_short_help_str(limit=200)
    assert line
    assert line.endswith("."), line
