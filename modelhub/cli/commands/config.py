"""`modelhub config`: what the settings are, where they come from, and whether they are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.errors import ConfigError

if TYPE_CHECKING:
    from modelhub.config.load import LoadedConfig


@click.group()
def command() -> None:
    """Show, check and edit the settings.

    Settings come from a TOML file (`modelhub config path`), and from variables of the environment
    that go before it: MODELHUB_DOWNLOAD_CONNECTIONS=4 is `connections = 4` below [download].
    """


@command.command()
@json_option
@pass_app
def show(app: App, as_json: bool) -> None:
    """Print every setting in effect, and where it came from.

    With --json: {"file", "folders": {"library", "catalog"}, "settings": {NAME: {"value", "source"
    (default, file or environment), "place" (FILE:LINE or a variable)}}}.
    """
    from modelhub.config.paths import catalog_url, library_root
    from modelhub.config.values import hide_login

    loaded = app.loaded
    settings = _described(loaded)
    library = str(library_root(loaded.config))
    catalog = hide_login(catalog_url(loaded.config))
    if as_json:
        print_json(
            {
                "file": str(loaded.file) if loaded.file else None,
                "folders": {"library": library, "catalog": catalog},
                "settings": settings,
            }
        )
        return
    columns: list[Column[tuple[str, dict[str, Any]]]] = [
        Column("setting", lambda row: row[0]),
        Column("value", lambda row: _toml(row[0], row[1]["value"]), flexible=True),
        Column("from", lambda row: row[1]["place"] or row[1]["source"], middle=True),
    ]
    print_table(columns, settings.items())
    app.echo()
    app.echo(f"file:    {loaded.file or 'none'}")
    app.echo(f"library: {library}")
    app.echo(f"catalog: {catalog}")


def _described(loaded: LoadedConfig) -> dict[str, dict[str, Any]]:
    from modelhub.config.keys import each_setting
    from modelhub.config.values import hide_login

    described = {}
    for setting in each_setting():
        value = getattr(getattr(loaded.config, setting.section), setting.key)
        source = loaded.sources[setting.name]
        described[setting.name] = {
            "value": hide_login(value) if isinstance(value, str) else value,
            "source": source.kind.value,
            "place": source.place or None,
        }
    return described


def _toml(name: str, value: Any) -> str:
    """`value` as it would be written in the file."""
    import json

    from modelhub.config.keys import settings
    from modelhub.config.units import written_bytes

    section, _, key = name.partition(".")
    if settings()[section][key].extra.get("unit") == "bytes" and value:
        return f'"{written_bytes(value)}"'
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return json.dumps(value, ensure_ascii=False)


@command.command()
@pass_app
def path(app: App) -> None:
    """Print where the file is, or would be."""
    from modelhub.config.load import file_in_effect

    file, _ = file_in_effect(app.config_path, app.environ)
    click.echo(str(file))


@command.command()
@pass_app
def check(app: App) -> None:
    """Check the file and the variables.

    Every mistake is printed with its file and line, or its variable.
    """
    from modelhub.placement.layouts import check_library

    loaded = app.loaded
    check_library(loaded.config.library)
    app.echo(f"{loaded.file}: no mistakes" if loaded.file else "no file; the variables are right")


@command.command()
@pass_app
def edit(app: App) -> None:
    """Open the file in $VISUAL or $EDITOR, and check it afterwards.

    A missing file is made first: every setting is in it with its default, commented out.
    """
    from modelhub.config.edit import create_from_example, open_editor
    from modelhub.config.load import file_in_effect, load_config
    from modelhub.placement.layouts import check_library

    file, _ = file_in_effect(app.config_path, app.environ)
    if create_from_example(file):
        app.say(f"made {file}")
    while True:
        open_editor(file, app.environ)
        try:
            check_library(load_config(file, {}).config.library)
        except ConfigError as error:
            if not app.confirm(f"{error.message}\nOpen it again?", default=True):
                raise
            continue
        app.echo(f"{file}: no mistakes")
        return
