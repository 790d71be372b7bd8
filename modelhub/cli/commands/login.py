"""`modelhub login`: store the Civitai API key, after asking Civitai whose it is."""

from __future__ import annotations

import sys

import click

from modelhub.cli.context import App, pass_app
from modelhub.errors import NetworkError


@click.command()
@click.option(
    "--key-stdin", is_flag=True, help="Read the key from standard input instead of asking for it."
)
@click.option("--no-check", is_flag=True, help="Store the key without asking Civitai about it.")
@pass_app
def command(app: App, key_stdin: bool, no_check: bool) -> None:
    """Store your Civitai API key.

    Make a key in your account settings on Civitai (at the bottom: API Keys). It is asked for
    without being shown, checked, and kept in the system's keyring where there is one, else in a
    file that only you can read. There is no option for the key itself, because other users of a
    machine can see command lines.

    The variables MODELHUB_CIVITAI_API_KEY, CIVITAI_API_KEY and CIVITAI_TOKEN go before it.

    \b
    Examples:
      modelhub login
      pass show civitai | modelhub login --key-stdin
    """
    from modelhub.services.credentials import check_form, store_key, variable_in_effect, whose_key

    config = app.config
    key = check_form(_read_key(app, from_stdin=key_stdin), "the key")
    try:
        owner = None if no_check else whose_key(config, key)
    except NetworkError as error:
        error.hint = "nothing was stored; `modelhub login --no-check` stores the key unchecked"
        raise
    stored = store_key(key, app.environ)
    app.echo(f"Logged in as {owner}." if owner else "Stored the key without a check.")
    app.echo(f"The key is in {stored}.")
    variable = variable_in_effect(app.environ)
    if variable:
        app.warn(f"the variable {variable} is set, and goes before the stored key")


def _read_key(app: App, *, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline()
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the key on; use --key-stdin")
    with app.interrupts.prompting():
        key: str = click.prompt("Civitai API key (not shown)", hide_input=True, err=True)
    return key
