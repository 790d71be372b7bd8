"""`modelhub doctor`: check the catalog, folders and connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.output import json_option, print_json
from modelhub.text import clean

if TYPE_CHECKING:
    from modelhub.services.doctor import Check

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command()
@click.option("--offline", is_flag=True, help="Leave out what needs the network.")
@click.option("--thorough", is_flag=True, help="Read the whole full-text index as well.")
@json_option
@pass_app
def command(app: App, offline: bool, thorough: bool, as_json: bool) -> None:
    """Check the catalog, folders and connection.

    Says of each thing that modelhub stands on whether it is in order, and what to do where it is
    not. Ends with exit code 1 if something failed. Nothing is repaired or deleted.
    """
    from modelhub.services.doctor import examine

    checks: list[Check] = []
    for check in examine(
        app.config, lambda: app.key, offline=offline, thorough=thorough, cancel=app.cancel
    ):
        checks.append(check)
        if not as_json:
            _print(check, color=app.color)
    if as_json:
        print_json(checks)
    if any(check.verdict == "failed" for check in checks):
        click.get_current_context().exit(1)


def _print(check: Check, *, color: bool | None) -> None:

    label = click.style(f"{check.verdict:<8}", fg=_COLORS[check.verdict])
    click.echo(f"{label} {check.subject:<12} {clean(check.text)}", color=color)
    if check.hint:
        click.echo(f"{'':<22}{clean(check.hint)}", color=color)
