"""`modelhub convert`: files made of other files, out of pickles, at another precision, in parts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
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
from modelhub.errors import Cancelled, UsageError

if TYPE_CHECKING:
    from modelhub.convert.options import ConvertOptions
    from modelhub.services.convert import ConvertRequest
    from modelhub.services.jobs import JobRequest

_EXTRACTED = ("vae", "unet", "text-encoder", "clip-l", "clip-g", "t5xxl")


_weights = options_of(
    click.option("--dtype", type=PRECISIONS, help="Cast all weights to it."),
    click.option("--unet-dtype", type=PRECISIONS, help="Of the UNet (or transformer) alone."),
    click.option("--vae-dtype", type=PRECISIONS, help="Of the VAE alone: some break in fp16."),
    click.option("--text-encoder-dtype", type=PRECISIONS, help="Of the text encoders alone."),
    click.option(
        "--on-overflow",
        type=click.Choice(["stop", "fp32", "bf16"]),
        default="stop",
        show_default=True,
        help="For tensors with values beyond fp16: stop, or keep those wider.",
    ),
    click.option(
        "--ema/--no-ema",
        default=None,
        help="Put the EMA weights in the place of the others, or leave them out.",
    ),
    click.option("--prune", is_flag=True, help="Leave out what no program reads."),
    click.option("--no-fix", is_flag=True, help="Leave keys that are known to be broken."),
)
_parts = options_of(
    click.option("--vae", metavar="FILE", help="Bake this VAE in."),
    click.option("--extract-vae", is_flag=True, help="Write the VAE alone."),
    click.option("--extract-unet", is_flag=True, help="Write the UNet alone."),
    click.option("--extract-text-encoder", is_flag=True, help="Write the text encoder alone."),
    click.option("--extract-clip-l", is_flag=True, help="Of several text encoders, CLIP-L."),
    click.option("--extract-clip-g", is_flag=True, help="Of several text encoders, CLIP-G."),
    click.option("--extract-t5xxl", is_flag=True, help="Of several text encoders, T5-XXL."),
    click.option(
        "--to",
        "target",
        type=click.Choice(["safetensors", "ckpt", "diffusers"]),
        default="safetensors",
        show_default=True,
        help="The format of the result; diffusers is a folder.",
    ),
)
_loras = options_of(
    click.option(
        "--lora-keys",
        type=click.Choice(["kohya", "diffusers", "peft"]),
        help="Of a LoRA: how its tensors are named.",
    ),
    click.option(
        "--rank", type=click.IntRange(1, 1024), metavar="N", help="Of a LoRA: resize it to N."
    ),
    click.option(
        "--keep-energy",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="SHARE",
        help="With --rank: of each layer only as much as keeps this share, e.g. 0.95.",
    ),
    click.option(
        "--merge-lora",
        "loras",
        multiple=True,
        metavar="FILE[:WEIGHT]",
        help="Add a LoRA to the checkpoint; may be given again.",
    ),
    click.option(
        "--extract-lora-from",
        "lora_base",
        metavar="BASE",
        help="Write what FILE has more than the checkpoint BASE as a LoRA.",
    ),
)
_run = options_of(
    click.option("--output", "-o", metavar="PATH", help="The result's file, or a folder for it."),
    click.option("--plan", is_flag=True, help="Show what would happen; nothing is written."),
    click.option("--verbose", "-v", is_flag=True, help="With --plan: name every tensor."),
    click.option("--query", "by_query", is_flag=True, help="FILE... is a query, as of `list`."),
    click.option("--allow-unsafe", is_flag=True, help="Read dangerous pickles too; runs nothing."),
    click.option("--delete-source", is_flag=True, help="Delete it once the result is verified."),
    click.option("--yes", "-y", is_flag=True, help="With --delete-source: do not ask."),
)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE|GLOB|QUERY...")
@_weights
@_parts
@_loras
@_run
@detach_options
@json_option
@pass_app
def command(app: App, /, files: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Convert models: out of pickles, to another precision, in parts; the source stays as it is.

    FILE is a path, a pattern in quotes, a name that the catalog knows, or a query such as
    'format:ckpt unsafe:no'. Without options the result has the same tensors, as safetensors. It is
    written beside the source, under a name that says what was done (model-pruned-fp16.safetensors),
    and replaces nothing. It is read back and compared with the source before it gets that name.

    No code in a pickle is ever run. A file that names dangerous code is refused (exit code 6)
    unless --allow-unsafe is given, and even then none of it runs.

    \b
    Examples:
      modelhub convert model.ckpt --dtype fp16 --prune --plan
      modelhub convert 'format:ckpt unsafe:no' --dtype fp16
      modelhub convert model.safetensors --dtype fp16 --vae-dtype fp32 --ema
      modelhub convert model.ckpt --vae kl-f8.safetensors --output baked.safetensors
      modelhub convert style.safetensors --rank 16 --lora-keys diffusers
      modelhub convert model.safetensors --merge-lora style.safetensors:0.8
      modelhub convert 'format:ckpt unsafe:no' --dtype fp16 --detach
    """
    from modelhub.cli.conversions import Asked, converted, planned

    if given["yes"] and not given["delete_source"]:
        raise click.UsageError("--yes goes with --delete-source")
    if given["plan"] and given["delete_source"]:
        raise click.UsageError("--plan changes nothing: it does not go with --delete-source")
    if given["verbose"] and not given["plan"]:
        raise click.UsageError("--verbose goes with --plan")
    detached = is_detached(given, "plan")
    if detached and given["delete_source"] and not given["yes"]:
        raise click.UsageError("--delete-source goes with --detach only where --yes is given")
    request = _request(given)
    if detached:
        queue_jobs(app, [_job(files, request, given)], as_json=as_json)
        return
    asked = Asked(files, request, by_query=given["by_query"], as_json=as_json)
    if given["plan"]:
        code = planned(app, asked, verbose=given["verbose"])
    else:
        code = converted(app, asked, before=_ask_to_delete(app, given))
    if code:
        click.get_current_context().exit(code)


def _job(files: tuple[str, ...], request: ConvertRequest, given: dict[str, Any]) -> JobRequest:
    """The conversion as a job, which may be done in another folder."""
    from dataclasses import replace

    from modelhub.services.jobs import JobKind
    from modelhub.services.jobs.plain import to_plain

    request = replace(
        request,
        vae=absolute(request.vae),
        output=absolute(request.output),
        loras=tuple((path.expanduser().absolute(), weight) for path, weight in request.loras),
        lora_base=absolute(request.lora_base),
    )
    arguments = {
        "sources": list(files) if given["by_query"] else [absolute_text(one) for one in files],
        "by_query": given["by_query"],
        "request": to_plain(request),
    }
    return job_request(JobKind.CONVERT, f"convert {' '.join(files)}", arguments, given)


def _request(given: dict[str, Any]) -> ConvertRequest:
    """What was asked, checked.

    :raises UsageError: two wishes exclude each other.
    """
    from modelhub.convert.lora import LoraKeys
    from modelhub.services.convert import ConvertRequest, check_request

    output = given["output"]
    if output is not None and not output.strip():
        raise UsageError("--output is empty", hint="name a file or a folder, or leave it out")
    request = ConvertRequest(
        options=_convert_options(given),
        vae=_path(given["vae"]),
        output=_path(output),
        output_is_folder=output is not None and output.endswith((os.sep, "/")),
        lora_keys=LoraKeys(given["lora_keys"]) if given["lora_keys"] else None,
        rank=given["rank"],
        keep_energy=given["keep_energy"],
        loras=tuple(_weighted(text) for text in given["loras"]),
        lora_base=_path(given["lora_base"]),
        allow_unsafe=given["allow_unsafe"],
        delete_source=given["delete_source"],
    )
    check_request(request)
    return request


def _convert_options(given: dict[str, Any]) -> ConvertOptions:
    from modelhub.convert.options import (
        ConvertOptions,
        Ema,
        Extract,
        Overflow,
        Precision,
        Target,
    )
    from modelhub.formats.identify.parts import Role

    extracted = [part for part in _EXTRACTED if given[f"extract_{part.replace('-', '_')}"]]
    if len(extracted) > 1:
        names = " and ".join(f"--extract-{one}" for one in extracted)
        raise UsageError(
            f"{names}: one part is written at a time",
            hint="run it once for each part, or use --to diffusers, which has them all",
        )
    roles = {"unet": Role.UNET, "vae": Role.VAE, "text_encoder": Role.TEXT_ENCODER}
    dtypes = {role: given[f"{name}_dtype"] for name, role in roles.items()}
    ema = {True: Ema.SWAP, False: Ema.DROP, None: None}[given["ema"]]
    return ConvertOptions(
        dtype=Precision(given["dtype"]) if given["dtype"] else None,
        part_dtypes={role: Precision(text) for role, text in dtypes.items() if text},
        ema=ema,
        prune=given["prune"],
        extract=Extract(extracted[0]) if extracted else None,
        target=Target(given["target"]),
        overflow=Overflow(given["on_overflow"]),
        fix=not given["no_fix"],
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()


def _weighted(text: str) -> tuple[Path, float]:
    """`FILE:0.8` as its parts; the weight is 1 where none is given."""
    name, colon, weight = text.rpartition(":")
    if not colon or Path(text).expanduser().exists():
        return Path(text).expanduser(), 1.0
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not name or not -10 <= number <= 10:
        raise UsageError(
            f"--merge-lora {text!r}: a weight is a number from -10 to 10",
            hint="style.safetensors:0.8",
        )
    return Path(name).expanduser(), number


def _ask_to_delete(app: App, given: dict[str, Any]) -> Callable[[Sequence[Path]], None]:
    """What asks, once the sources are known, whether they may be deleted afterwards."""

    def ask(sources: Sequence[Path]) -> None:
        from modelhub.text import plural

        if not given["delete_source"] or given["yes"]:
            return
        number = plural(len(sources), "source file")
        question = f"Delete {number} once the results are verified? They cannot be brought back."
        if not app.confirm(question, default=False):
            raise Cancelled("nothing was converted", hint="--yes deletes them without asking")

    return ask
