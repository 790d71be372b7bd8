"""`modelhub completion`: the script that teaches a shell our commands, options and their values."""

from __future__ import annotations

import click

from modelhub.cli.context import App, pass_app

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@pass_app
def command(app: App, shell: str) -> None:
    """Print the completion script of SHELL: bash, zsh or fish.

    \b
    bash (4.4 or later), in ~/.bashrc:
      eval "$(modelhub completion bash)"
    zsh, in ~/.zshrc after compinit:
      eval "$(modelhub completion zsh)"
    fish:
      modelhub completion fish > ~/.config/fish/completions/modelhub.fish
    """
    click.echo(script(shell), nl=False)


def script(shell: str) -> str:
    """The completion script of `shell`, one of :data:`SHELLS`."""
    from click.shell_completion import ShellComplete, get_completion_class

    from modelhub.cli.frame import PROGRAM, build_root
    from modelhub.cli.run import COMPLETE_VARIABLE

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    # Of the base class: bash's own starts a bash to ask for its version, and warns where the
    # script is made on another machine than it is used on.
    return ShellComplete.source(kind(build_root(), {}, PROGRAM, COMPLETE_VARIABLE))
