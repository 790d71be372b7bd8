"""The root command: global options, commands loaded when called, help in sections."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App
from modelhub.cli.table import COMMANDS, Entry

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM = "modelhub"


class UnknownCommand(click.UsageError):
    """There is no such command; `possibilities` are those with a similar name."""

    def __init__(self, name: str, context: click.Context) -> None:
        super().__init__(f"No such command '{name}'.", context)
        self.possibilities = get_close_matches(name, COMMANDS)


class LazyGroup(click.Group):
    """The root: its commands are those of the table, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where the table has no such name."""
        entry = COMMANDS.get(cmd_name)
        return load(cmd_name, entry) if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is answered with the similar ones of the table."""
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS and not ctx.resilient_parsing:
            raise UnknownCommand(name, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, from the table alone."""
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name, e.summary) for name, e in COMMANDS.items() if e.section == section],
                    col_max=16,
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Command names and options, from the table alone."""
        from click.shell_completion import CompletionItem

        names: list[CompletionItem[Any]] = [
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


def load(name: str, entry: Entry) -> click.Command:
    """Import the command `name` and give it the global options, its name and its summary."""
    module_name, _, attribute = entry.target.partition(":")
    module = import_module(f"modelhub.cli.commands.{module_name}")
    command: click.Command = getattr(module, attribute)
    command.name = name
    command.short_help = entry.summary
    _accept_global_options(command)
    return command


def _set(attribute: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value and not context.resilient_parsing:
            app = context.ensure_object(App)
            setattr(app, attribute, value)
            if app.no_color:
                context.color = False

    return callback


def _global_options(*, hidden: bool) -> list[click.Option]:
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True, "hidden": hidden}
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            callback=_set("config_path"),
            help="Read settings from FILE instead of the usual place.",
            **shared,
        ),
        click.Option(
            ["--quiet", "-q"],
            is_flag=True,
            callback=_set("quiet"),
            help="No progress and no remarks: results, warnings and errors only.",
            **shared,
        ),
        click.Option(
            ["--no-color"],
            is_flag=True,
            callback=_set("no_color"),
            help="No colours (as with NO_COLOR in the environment).",
            **shared,
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            callback=_set("debug"),
            help="Show the traceback of an error (keys and signatures blotted out).",
            **shared,
        ),
    ]


def _accept_global_options(command: click.Command) -> None:
    """Global options count after the command as well: `modelhub list -q` as `modelhub -q list`."""
    taken = {name for parameter in command.params for name in parameter.opts}
    command.params += [o for o in _global_options(hidden=True) if not taken & set(o.opts)]
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _accept_global_options(subcommand)


def _show_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from modelhub import __version__

        click.echo(f"{PROGRAM} {__version__}")
        context.exit()


HELP = """\
Manage a library of Stable Diffusion models: pull them from Civitai, verified; find them again.

\b
Examples:
  modelhub pull 78056
  modelhub pull 'https://civitai.com/models/107842?modelVersionId=428028'
  modelhub list type:lora base:sdxl

The options here may stand before or after a command.
"""

EPILOG = """\
\b
Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 needs login,
  5 verification failed, 6 unsafe file, 7 disk, 8 network, 130 interrupted.
"""


def build_root() -> LazyGroup:
    """The root command."""
    version = click.Option(
        ["--version", "-V"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Show the version and exit.",
    )
    return LazyGroup(
        PROGRAM,
        params=[*_global_options(hidden=False), version],
        help=HELP,
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
        subcommand_metavar="COMMAND [ARGS]...",
    )
