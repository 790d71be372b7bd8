"""`modelhub renders`: the test images that were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import (
    Column,
    OutputForm,
    json_option,
    output_options,
    print_fields,
    print_json,
    print_listing,
)
from modelhub.errors import UsageError
from modelhub.text import human_size, plural

if TYPE_CHECKING:
    from modelhub.services.render import ShownRender

_LIST = "list"


class _Renders(click.Group):
    """A group whose `list` need not be named: `modelhub renders type:lora`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *context.help_option_names):
            args = [_LIST, *args]
        return super().parse_args(context, args)


@click.command(cls=_Renders)
def command() -> None:
    """List, show and delete test images.

    \b
    Examples:
      modelhub renders
      modelhub renders 'type:lora base:sdxl'
      modelhub renders show 12
      modelhub renders preview 12
    """


@command.command(_LIST)
@click.argument("query", nargs=-1)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most.")
@click.option("--before", type=int, metavar="ID", help="Those made before this one: to page on.")
@output_options
@pass_app
def list_(
    app: App, query: tuple[str, ...], limit: int, before: int | None, form: OutputForm
) -> None:
    """List the images of the files that a query finds, or all; the latest first."""
    from modelhub.services.render import find_renders

    with opened_catalog(app) as catalog:
        found = find_renders(catalog, " ".join(query), limit=limit, before=before)
    if not found and form is OutputForm.TABLE:
        app.say("there are none: `modelhub render FILE --prompt TEXT` makes one")
        return
    print_listing(_columns(), found, form, document=_document)


@command.command("show")
@click.argument("number", type=int, metavar="ID")
@json_option
@pass_app
def show(app: App, number: int, as_json: bool) -> None:
    """Show all that made an image."""
    from modelhub.services.render import show_render

    with opened_catalog(app) as catalog:
        found = show_render(catalog, number)
    if as_json:
        print_json(_document(found))
        return
    print_fields(_fields(found))
    for file in found.kept.files:
        weight = "" if file.weight is None else f", weight {file.weight:g}"
        app.echo(f"  {file.role}: {file.path} ({file.sha256[:10]}{weight})")
    for text in found.kept.notices:
        app.echo(f"  {text}")


@command.command("delete")
@click.argument("numbers", nargs=-1, required=True, type=int, metavar="ID...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_app
def delete(app: App, numbers: tuple[int, ...], yes: bool) -> None:
    """Delete images: their files and their records.

    A file that is not the picture any more that was rendered is left alone.
    """
    from modelhub.services.render import delete_render, show_render

    with opened_catalog(app) as catalog:
        shown = [show_render(catalog, number) for number in dict.fromkeys(numbers)]
        if not yes and not app.confirm(f"Delete {plural(len(shown), 'image')}?"):
            raise UsageError("nothing was deleted", hint="confirm with --yes")
        for one in shown:
            app.echo(delete_render(catalog, one.row.id))


@command.command("preview")
@click.argument("number", type=int, metavar="ID")
@click.option("--replace", is_flag=True, help="Put a preview that is there aside.")
@pass_app
def preview(app: App, number: int, replace: bool) -> None:
    """Make an image the preview image of its model, beside the model's file."""
    from modelhub.services.render import make_preview

    with opened_catalog(app) as catalog:
        for path in make_preview(catalog, number, replace=replace):
            app.echo(str(path))


def _columns() -> list[Column[ShownRender]]:
    return [
        Column("Id", lambda one: one.row.id, right=True),
        Column("Made", lambda one: one.row.created_at, show=_local),
        Column("Model", lambda one: one.model, flexible=True, middle=True),
        Column("What", lambda one: one.kept.label, flexible=True),
        Column("Size", lambda one: f"{one.kept.width}x{one.kept.height}"),
        Column("Steps", lambda one: one.kept.settings.steps, right=True),
        Column("Seed", lambda one: one.row.seed, right=True),
        Column("Prompt", lambda one: one.row.prompt, flexible=True),
        Column("File", lambda one: one.path if one.present else "gone", flexible=True, middle=True),
    ]


def _fields(one: ShownRender) -> list[tuple[str, object]]:
    kept = one.kept
    settings = kept.settings
    return [
        ("File", one.path if one.present else f"{one.path} (gone)"),
        ("Model", one.model),
        ("Made", _local(one.row.created_at)),
        ("Repeats", "" if kept.again_of is None else f"render {kept.again_of}"),
        ("Compared", kept.label),
        ("Prompt", settings.prompt),
        ("Negative", settings.negative),
        ("Seed", settings.seed),
        ("Steps", settings.steps),
        ("CFG", settings.cfg),
        ("Sampler", settings.sampler),
        ("Schedule", settings.schedule),
        ("Clip skip", settings.clip_skip),
        ("Size", f"{kept.width}x{kept.height}"),
        ("Weights", kept.weights),
        ("Arithmetic", kept.arithmetic),
        ("EMA", "yes" if kept.ema else ""),
        ("Device", kept.device),
        ("Versions", ", ".join(f"{name} {text}" for name, text in kept.versions.items())),
        ("Loading", f"{kept.seconds_loading:.2f} s"),
        ("Steps took", f"{kept.seconds_steps:.2f} s"),
        ("Decoding", f"{kept.seconds_decoding:.2f} s"),
        ("Peak memory", human_size(kept.peak_bytes)),
        ("Faults", ", ".join(kept.faults)),
    ]


def _document(one: ShownRender) -> dict[str, Any]:
    import msgspec

    return {
        "id": one.row.id,
        "created_at": one.row.created_at,
        "path": str(one.path),
        "present": one.present,
        "model": one.model,
        "sha256": one.row.sha256,
        **msgspec.to_builtins(one.kept),
    }


def _local(when: Any) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M}"
