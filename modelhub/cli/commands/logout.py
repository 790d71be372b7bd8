"""`modelhub logout`: delete the stored Civitai API key."""

from __future__ import annotations

import click

from modelhub.cli.context import App, pass_app


@click.command()
@pass_app
def command(app: App) -> None:
    """Forget the stored Civitai API key.

    Deletes it from the system's keyring and from the key file. The key itself stays valid until
    you delete it in your account settings on Civitai.
    """
    from modelhub.services.credentials import forget_key, variable_in_effect

    places = forget_key(app.environ)
    for place in places:
        app.echo(f"Deleted the key in {place}.")
    if not places:
        app.echo("No key was stored.")
    variable = variable_in_effect(app.environ)
    if variable:
        app.warn(f"the variable {variable} still holds a key; unset it to go without one")
