"""The form of a conversion: its fields, and what they ask of the service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import UsageError
from modelhub.tui.widgets.form import Field

if TYPE_CHECKING:
    from modelhub.convert.options import ConvertOptions
    from modelhub.services.convert import ConvertRequest

_PRECISIONS = (("fp32", "fp32"), ("fp16", "fp16"), ("bf16", "bf16"))
_AS_ALL = (("", "as all"), *_PRECISIONS)
_NO_YES = (("", "no"), ("yes", "yes"))
_PARTS = {"unet": "UNet", "vae": "VAE", "text": "encoders"}
SEPARATOR = "\n"
"""Between the paths of a field that holds several."""

FIELDS: tuple[Field | str, ...] = (
    "Weights",
    Field(name="target", label="format", choices=(
        ("safetensors", "safetensors"), ("ckpt", "ckpt"), ("diffusers", "diffusers folder"),
    )),
    Field(name="dtype", label="precision", choices=(("", "as stored"), *_PRECISIONS)),
    *(
        Field(name=f"{name}_dtype", label=f"  {label}", choices=_AS_ALL)
        for name, label in _PARTS.items()
    ),
    Field(name="overflow", label="beyond fp16", choices=(
        ("stop", "stop"), ("fp32", "keep in fp32"), ("bf16", "keep in bf16"),
    )),
    Field(name="ema", label="EMA weights", choices=(
        ("", "as they are"), ("drop", "leave out"), ("swap", "in place of the others"),
    )),
    Field(name="prune", label="prune", choices=_NO_YES),
    Field(name="fix", label="mend keys", choices=(("yes", "yes"), ("", "no"))),
    "Parts",
    Field(name="vae", label="bake in VAE", empty="none"),
    Field(name="extract", label="extract", choices=(
        ("", "nothing"), ("vae", "the VAE"), ("unet", "the UNet"),
        ("text-encoder", "the text encoder"), ("clip-l", "CLIP-L"), ("clip-g", "CLIP-G"),
        ("t5xxl", "T5-XXL"),
    )),
    "LoRA",
    Field(name="merge", label="merge in", empty="none"),
    Field(name="merge_weight", label="  weight", empty="1"),
    Field(name="lora_base", label="extract from", empty="none"),
    Field(name="lora_keys", label="key names", choices=(
        ("", "as they are"), ("kohya", "kohya"), ("diffusers", "diffusers"), ("peft", "PEFT"),
    )),
    Field(name="rank", label="rank", empty="as it is"),
    Field(name="keep_energy", label="keep energy", empty="all"),
    "Result",
    Field(name="output", label="goes to", empty="beside the source"),
    Field(name="allow_unsafe", label="unsafe files", choices=(("", "refuse"), ("yes", "read"))),
    Field(name="delete_source", label="delete source", choices=_NO_YES),
)  # fmt: skip
FILES = {"vae": "type:vae", "merge": "type:lora", "lora_base": "type:checkpoint"}
"""Fields of files, and what is looked for among those of the catalog."""
USUAL = {"target": "safetensors", "overflow": "stop", "fix": "yes"}
HINTS = {
    "merge_weight": "a number, 1 as its author meant it",
    "rank": "a whole number: 8, 16, 64 ...",
    "keep_energy": "a share of each layer: 0.95",
    "output": "a file, or a folder with a / at its end; empty: beside the source",
}


def request_of(values: Mapping[str, str]) -> ConvertRequest:
    """What the form asks for.

    :raises UsageError: a number is none, or two wishes exclude each other.
    """
    from modelhub.convert.lora import LoraKeys
    from modelhub.services.convert import ConvertRequest, check_request

    output = values["output"]
    weight = _number("weight", values["merge_weight"], -10, 10)
    merged = [Path(one) for one in values["merge"].split(SEPARATOR) if one]
    rank = _number("rank", values["rank"], 1, 1024)
    request = ConvertRequest(
        options=_options(values),
        vae=_path(values["vae"]),
        output=_path(output),
        output_is_folder=output.endswith((os.sep, "/")),
        lora_keys=LoraKeys(values["lora_keys"]) if values["lora_keys"] else None,
        rank=None if rank is None else int(rank),
        keep_energy=_number("keep energy", values["keep_energy"], 0, 1),
        loras=tuple((path, 1.0 if weight is None else weight) for path in merged),
        lora_base=_path(values["lora_base"]),
        allow_unsafe=bool(values["allow_unsafe"]),
        delete_source=bool(values["delete_source"]),
    )
    check_request(request)
    return request


def _options(values: Mapping[str, str]) -> ConvertOptions:
    from modelhub.convert.options import (
        ConvertOptions,
        Ema,
        Extract,
        Overflow,
        Precision,
        Target,
    )
    from modelhub.formats.identify.parts import Role

    roles = {"unet": Role.UNET, "vae": Role.VAE, "text": Role.TEXT_ENCODER}
    parts = {role: values[f"{name}_dtype"] for name, role in roles.items()}
    return ConvertOptions(
        dtype=Precision(values["dtype"]) if values["dtype"] else None,
        part_dtypes={role: Precision(text) for role, text in parts.items() if text},
        ema=Ema(values["ema"]) if values["ema"] else None,
        prune=bool(values["prune"]),
        extract=Extract(values["extract"]) if values["extract"] else None,
        target=Target(values["target"] or "safetensors"),
        overflow=Overflow(values["overflow"] or "stop"),
        fix=bool(values["fix"]),
    )


def _path(text: str) -> Path | None:
    return Path(text).expanduser().absolute() if text.strip() else None


def _number(name: str, text: str, least: float, most: float) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise UsageError(f"{name}: {text!r} is no number from {least} to {most}", hint="")
    return number
