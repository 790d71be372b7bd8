"""The command-line reference: every `--help`, as one page.

``python -m modelhub.cli.reference > docs/reference.md`` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from modelhub.cli.frame import PROGRAM, build_root

WIDTH = 80
INTRODUCTION = """\
# Command-line reference

What every `--help` prints. `python -m modelhub.cli.reference > docs/reference.md` writes this page
anew.
"""


def reference() -> str:
    """The page, the same on every machine and terminal."""
    parts = [INTRODUCTION]
    for path, text in _helps(build_root(), PROGRAM, None):
        parts.append(f"## `{path}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _helps(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        color=False,
        **command.context_settings,
    )
    help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield context.command_path, help_text
    if isinstance(command, click.Group):
        for subname in command.list_commands(context):
            subcommand = command.get_command(context, subname)
            if subcommand is not None and not subcommand.hidden:
                yield from _helps(subcommand, subname, context)


if __name__ == "__main__":
    sys.stdout.write(reference())
