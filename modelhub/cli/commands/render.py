"""`modelhub render`: test images of models, one by one or side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.detaching import (
    absolute,
    absolute_text,
    detach_options,
    is_detached,
    job_request,
    queue_jobs,
)
from modelhub.cli.output import json_option
from modelhub.cli.params import PRECISIONS, options_of
from modelhub.errors import UsageError

if TYPE_CHECKING:
    from modelhub.services.jobs import JobRequest
    from modelhub.services.render import RenderWish

_SIZE = re.compile(r"(\d{1,5})[xX×](\d{1,5})")
_HEAVIEST = 10.0
_WITH_AGAIN = ("number", "out", "as_json")


_picture = options_of(
    click.option("--prompt", "-p", default="", help="What the picture shows; A1111's syntax."),
    click.option("--negative", "-n", default="", help="What it does not show."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the noise; -1 is any."),
    click.option("--steps", type=int, help="How many; default: as the model needs."),
    click.option("--cfg", type=float, help="How closely to follow the prompt."),
    click.option("--sampler", metavar="NAME", help="As A1111 or ComfyUI call it: 'DPM++ 2M'."),
    click.option("--schedule", metavar="NAME", help="Of the noise: karras, exponential, ..."),
    click.option("--size", metavar="WxH", help="In pixels, divisible by 8: 512x768."),
    click.option("--clip-skip", type=int, metavar="N", help="As A1111 counts: 1 is none."),
    click.option("--no-triggers", is_flag=True, help="Leave trigger words out of the prompt."),
    click.option("--no-recommended", is_flag=True, help="Ignore what the model's page recommends."),
)
_files = options_of(
    click.option("--lora", "loras", multiple=True, metavar="FILE[:WEIGHT]", help="Add a LoRA."),
    click.option("--embedding", "embeddings", multiple=True, metavar="FILE", help="Add one."),
    click.option("--vae", metavar="FILE", help="In the place of the baked one."),
    click.option("--on", metavar="FILE", help="The checkpoint to try add-ons on."),
    click.option("--refiner", metavar="FILE", help="An SDXL refiner for the last steps."),
    click.option(
        "--refiner-from", type=float, metavar="SHARE", help="Share of the steps before it: 0.8."
    ),
    click.option(
        "--part", "parts", multiple=True, metavar="NAME=FILE", help="For what the model lacks."
    ),
)
_weights = options_of(
    click.option("--dtype", type=PRECISIONS, help="Round the weights to it."),
    click.option("--vae-dtype", type=PRECISIONS, help="Those of the VAE."),
    click.option("--ema", is_flag=True, help="Use the EMA weights."),
    click.option("--allow-unsafe", is_flag=True, help="Read dangerous pickles too; runs nothing."),
)
_grid = options_of(
    click.option(
        "--compare",
        multiple=True,
        metavar="AXIS[=VALUES]",
        help="Vary it, side by side; twice for two axes.",
    ),
    click.option("--grid", metavar="FILE", help="Where the grid goes; default: beside the rest."),
    click.option("--out", "-o", metavar="FOLDER", help="Where the pictures go; default: by day."),
)
_run = options_of(
    click.option("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps, xpu; cuda:0,cuda:1."),
    click.option(
        "--offload",
        type=click.Choice(["none", "model", "sequential"]),
        help="Keep parts out of the device's memory; default: as it fits.",
    ),
    click.option("--preview", is_flag=True, help="Show the picture as it comes, in the terminal."),
    click.option("--again", "number", type=int, metavar="ID", help="Repeat a recorded render."),
)


@click.command()
@click.argument("files", nargs=-1, metavar="FILE|REF|QUERY...")
@_picture
@_files
@_weights
@_grid
@_run
@detach_options
@json_option
@pass_app
def command(app: App, /, files: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Make test images: see what a model does, alone or side by side, offline.

    FILE is a checkpoint, or a LoRA, embedding or VAE, which is tried on a checkpoint of the
    library that fits, or on --on FILE. What is not asked for is as the architecture, the file and
    the model's page suggest. The pictures are PNG files that A1111 and Civitai read, kept by day
    in modelhub's data folder; nothing is replaced.

    AXIS is dtype, file, lora, lora-weight, vae, ema, steps, cfg, sampler, clip-skip, seed or
    prompt. VALUES have commas between, or are a range: steps=10..30..10. Comparing dtype adds
    pictures of the differences, with PSNR and SSIM.

    \b
    Examples:
      modelhub render model.safetensors --prompt 'a cat in a garden'
      modelhub render model.safetensors --prompt 'a cat' --compare dtype
      modelhub render style.safetensors --prompt 'a cat' --compare lora-weight=0..1..0.25
      modelhub render 'type:checkpoint rating>=4' --prompt 'a cat' --compare file --compare seed
      modelhub render --again 12
    """
    from modelhub.cli.pictures import print_again, print_report

    detached = is_detached(given, "preview")
    if given["number"] is not None:
        _refuse_others_with_again(files)
        code = print_again(app, given["number"], _path(given["out"]), as_json=as_json)
    else:
        if not files:
            raise click.UsageError("Missing argument 'FILE|REF|QUERY...'.")
        if detached:
            queue_jobs(app, [_job(files, _wish(given), given)], as_json=as_json)
            return
        code = print_report(app, files, _wish(given), as_json=as_json)
    if code:
        click.get_current_context().exit(code)


def _job(files: tuple[str, ...], wish: RenderWish, given: dict[str, Any]) -> JobRequest:
    """The pictures as a job, which may be made in another folder."""
    from dataclasses import replace

    from modelhub.services.jobs import JobKind
    from modelhub.services.jobs.plain import to_plain

    def named(text: str | None) -> str | None:
        return None if text is None else absolute_text(text)

    wish = replace(
        wish,
        loras=tuple((absolute_text(text), weight) for text, weight in wish.loras),
        embeddings=tuple(absolute_text(text) for text in wish.embeddings),
        vae=named(wish.vae),
        on=named(wish.on),
        refiner=named(wish.refiner),
        parts={part: absolute_text(text) for part, text in wish.parts.items()},
        grid=absolute(wish.grid),
        out=absolute(wish.out),
    )
    arguments = {"files": [absolute_text(one) for one in files], "wish": to_plain(wish)}
    return job_request(JobKind.RENDER, f"render {' '.join(files)}", arguments, given)


def _refuse_others_with_again(files: tuple[str, ...]) -> None:
    context = click.get_current_context()
    given = [
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        and name not in (*_WITH_AGAIN, "files")
    ]
    if files or given:
        other = f"--{given[0].replace('_', '-')}" if given else files[0]
        raise click.UsageError(f"--again repeats a render as it was: it does not go with {other}")


def _wish(given: dict[str, Any]) -> RenderWish:
    """What was asked, as far as it can be checked before files are looked at.

    :raises UsageError: an option makes no sense.
    """
    from modelhub.convert.options import Precision
    from modelhub.render.request import DeviceWish
    from modelhub.services.render import RenderWish

    if given["grid"] and not given["compare"]:
        raise UsageError("--grid goes with --compare", hint="such as --compare dtype")
    if len(given["compare"]) > 2:
        raise UsageError("--compare takes one axis or two")
    return RenderWish(
        settings=_settings(given),
        loras=tuple(_weighted(text) for text in given["loras"]),
        embeddings=given["embeddings"],
        vae=given["vae"],
        on=given["on"],
        refiner=given["refiner"],
        parts=dict(_part(text) for text in given["parts"]),
        precision=Precision(given["dtype"]) if given["dtype"] else None,
        vae_precision=Precision(given["vae_dtype"]) if given["vae_dtype"] else None,
        ema=given["ema"],
        compare=given["compare"],
        grid=_path(given["grid"]),
        out=_path(given["out"]),
        device=DeviceWish(device=given["device"], offload=given["offload"]),
        triggers=not given["no_triggers"],
        recommended=not given["no_recommended"],
        preview=given["preview"],
        allow_unsafe=given["allow_unsafe"],
    )


def _settings(given: dict[str, Any]) -> Any:
    from modelhub.render.request import Settings

    width, height = _size(given["size"])
    if given["refiner_from"] is not None and given["refiner"] is None:
        raise UsageError("--refiner-from goes with --refiner")
    return Settings(
        prompt=given["prompt"],
        negative=given["negative"],
        seed=given["seed"],
        steps=given["steps"],
        cfg=given["cfg"],
        sampler=given["sampler"],
        schedule=given["schedule"],
        width=width,
        height=height,
        clip_skip=given["clip_skip"],
        refiner_from=given["refiner_from"],
    )


def _size(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--size {text[:40]!r} is no size", hint="such as --size 512x768")
    return int(found[1]), int(found[2])


def _weighted(text: str) -> tuple[str, float]:
    """`FILE:0.8` as its parts; the weight is 1 where none is given."""
    name, colon, weight = text.rpartition(":")
    if not colon or Path(text).expanduser().exists():
        return text, 1.0
    try:
        number = float(weight)
    except ValueError:
        return text, 1.0
    if not name or not abs(number) <= _HEAVIEST:
        raise UsageError(
            f"--lora {text[:200]!r}: a weight is a number from -10 to 10",
            hint="style.safetensors:0.8",
        )
    return name, number


def _part(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not equals or not name.isidentifier() or not file:
        raise UsageError(
            f"--part {text[:200]!r} names no part and its file",
            hint="such as --part text_encoder=clip_l.safetensors",
        )
    return name, file


def _path(text: str | None) -> Path | None:
    if text is not None and not text.strip():
        raise UsageError("--out or --grid is empty", hint="name a folder or a file")
    return None if text is None else Path(text).expanduser()
