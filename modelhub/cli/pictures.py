"""What `render` prints: where pictures are, in what time, how much they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.library import opened_catalog
from modelhub.cli.messages import show_error
from modelhub.cli.output import print_json
from modelhub.errors import Cancelled, RenderDiffers
from modelhub.text import human_duration, human_size, plural

if TYPE_CHECKING:
    from modelhub.cli.context import App
    from modelhub.services.render import (
        Again,
        FailedImage,
        Grid,
        RenderedImage,
        RenderReport,
        RenderWish,
    )

_MIXED_FAILURES = 1


def print_report(app: App, texts: Sequence[str], wish: RenderWish, *, as_json: bool) -> int:
    """Render, print what came of it; the exit code."""
    from modelhub.services.render.workers import workers

    with (
        workers(app.config, wish.device.device) as pool,
        opened_catalog(app) as catalog,
        app.progress() as listener,
    ):
        from modelhub.services.render import render

        report = render(
            texts,
            wish,
            config=app.config,
            catalog=catalog,
            listener=listener,
            cancel=app.cancel,
            pool=pool,
        )
    if as_json:
        print_json(_document(report))
    else:
        _print(app, report)
    _show_failures(app, report)
    return _exit_code(report)


def print_again(app: App, number: int, out: Path | None, *, as_json: bool) -> int:
    """Render once more, and say whether it is the same picture; the exit code.

    :raises RenderDiffers: nothing else has changed, and the picture is another one.
    """
    from modelhub.services.render import render_again

    with opened_catalog(app) as catalog, app.progress() as listener:
        again = render_again(
            number,
            out=out,
            config=app.config,
            catalog=catalog,
            listener=listener,
            cancel=app.cancel,
        )
    if as_json:
        print_json(
            {
                **image_document(again.image),
                "again_of": again.of,
                "identical": again.identical,
                "otherwise": again.other,
            }
        )
    else:
        app.echo(str(again.image.path))
    _say_again(app, again)
    if not again.identical and not again.other:
        raise RenderDiffers(
            f"render {number} made again is another picture, and the device, the versions and "
            "the files are the same"
        )
    return 0


def _say_again(app: App, again: Again) -> None:
    if again.identical:
        app.say(f"identical to render {again.of}, pixel by pixel")
    elif again.other:
        app.say(f"not identical to render {again.of}: other than then are")
    for text in again.other:
        app.say(f"  {text}")


def _print(app: App, report: RenderReport) -> None:
    for image in report.made:
        app.echo(str(image.path))
        app.say(f"  {_summary(image)}")
    for grid in report.grids:
        app.echo(str(grid.path))
        app.say(f"  {grid.title}")
        for apart in grid.differences:
            app.say(f"  {apart.of}: {apart.sentence}")
    if len(report.images) > 1:
        app.say(f"{len(report.made):,} of {plural(len(report.images), 'picture')} made")


def _summary(image: RenderedImage) -> str:
    kept = image.kept
    in_words = kept.weights
    if kept.weights != kept.arithmetic:
        in_words = f"{kept.weights} weights, {kept.arithmetic} arithmetic"
    seconds = kept.seconds_loading + kept.seconds_steps + kept.seconds_decoding
    took = human_duration(seconds) if seconds >= 1 else "less than a second"
    parts = [
        f"#{image.id}" if image.id is not None else "not recorded",
        image.label,
        f"{kept.width}x{kept.height}",
        f"{kept.settings.steps} steps of {kept.settings.sampler}",
        f"seed {kept.settings.seed}",
        in_words,
        kept.device,
        took,
        f"at most {human_size(kept.peak_bytes)} of memory" if kept.peak_bytes else "",
        ", ".join(kept.faults).upper() if kept.faults else "",
    ]
    return "; ".join(part for part in parts if part)


def _show_failures(app: App, report: RenderReport) -> None:
    stopped = [one for one in report.failed if isinstance(one.error, Cancelled)]
    shown: set[str] = set()
    for one in report.failed:
        if one in stopped or one.error.message in shown:
            continue
        shown.add(one.error.message)
        show_error(app, one.error, about=one.label)
    if stopped:
        number = plural(len(stopped), "picture")
        kept = f"; kept: {plural(len(report.made), 'picture')}" if report.made else ""
        show_error(
            app,
            Cancelled(
                f"stopped, {number} not made{kept}", hint="the same command makes all of them anew"
            ),
        )


def _exit_code(report: RenderReport) -> int:
    """0 when all is well, the error's own where all failures are alike, else 1."""
    codes = {one.error.exit_code for one in report.failed}
    if not codes:
        return 0
    if Cancelled.exit_code in codes:
        return Cancelled.exit_code
    return codes.pop() if len(codes) == 1 else _MIXED_FAILURES


def _document(report: RenderReport) -> dict[str, Any]:
    return {
        "images": [image_document(one) for one in report.made],
        "grids": [_grid(one) for one in report.grids],
        "failed": [_failure(one) for one in report.failed],
        "notices": report.notices,
        "stopped": report.stopped,
    }


def image_document(image: RenderedImage) -> dict[str, Any]:
    """A picture for programs: sizes in bytes, times in seconds."""
    import msgspec

    return {
        "id": image.id,
        "path": str(image.path),
        "model": str(image.tested),
        **msgspec.to_builtins(image.kept),
        "notices": list(image.notices),
    }


def _grid(grid: Grid) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(grid, enc_hook=str)
    return plain


def _failure(failed: FailedImage) -> dict[str, Any]:
    error = failed.error
    return {
        "model": str(failed.tested),
        "label": failed.label,
        "error": {
            "class": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        },
    }
