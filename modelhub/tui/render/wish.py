"""The form of a test image: its fields, what they ask of the service, and a picture's as fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import UsageError
from modelhub.render.axes import AxisKind
from modelhub.render.samplertable import SAMPLERS, SCHEDULES
from modelhub.tui.widgets.form import Field

if TYPE_CHECKING:
    from modelhub.render.request import Settings
    from modelhub.services.render import RenderWish
    from modelhub.services.render.kept import KeptRender

SEPARATOR = "\n"
"""Between the paths of a field that holds several."""
_AS_MODEL = "the model's own"
_AXES = (("", "nothing"), *((kind.value, kind.value) for kind in AxisKind))
_YES_NO = (("yes", "yes"), ("", "no"))

FIELDS: tuple[Field | str, ...] = (
    "Models",
    Field(name="files", label="files", empty="choose files"),
    Field(name="on", label="tried on", empty="what fits"),
    Field(name="loras", label="with LoRAs", empty="none"),
    Field(name="weight", label="  weight", empty="1"),
    Field(name="vae", label="VAE", empty="its own"),
    "Picture",
    Field(name="prompt", label="prompt", empty="none"),
    Field(name="negative", label="negative", empty="none"),
    Field(name="seed", label="seed", empty="0"),
    Field(name="steps", label="steps", empty=_AS_MODEL),
    Field(name="cfg", label="CFG", empty=_AS_MODEL),
    Field(name="sampler", label="sampler", choices=(
        ("", _AS_MODEL), *((one.name, one.name) for one in SAMPLERS),
    )),
    Field(name="schedule", label="schedule", choices=(
        ("", _AS_MODEL), *((one.name, one.label) for one in SCHEDULES.values()),
    )),
    Field(name="size", label="size", empty=_AS_MODEL),
    Field(name="clip_skip", label="CLIP skip", empty=_AS_MODEL),
    Field(name="triggers", label="trigger words", choices=_YES_NO),
    Field(name="recommended", label="page settings", choices=_YES_NO),
    "Compare",
    Field(name="axis", label="columns", choices=_AXES),
    Field(name="axis_values", label="  values", empty="the usual ones"),
    Field(name="rows", label="rows", choices=_AXES),
    Field(name="rows_values", label="  values", empty="the usual ones"),
    "How",
    Field(name="precision", label="precision", choices=(
        ("", "as stored"), ("fp32", "fp32"), ("fp16", "fp16"), ("bf16", "bf16"),
    )),
    Field(name="device", label="device", empty="the best here"),
    Field(name="allow_unsafe", label="unsafe files", choices=(("", "refuse"), ("yes", "read"))),
)  # fmt: skip
FILES = {"files": "", "on": "type:checkpoint", "loras": "type:lora", "vae": "type:vae"}
"""Fields of files, and what is looked for among those of the catalog."""
SEVERAL = ("files", "loras")
USUAL = {"triggers": "yes", "recommended": "yes"}
HINTS = {
    "weight": "a number, 1 as its author meant it",
    "seed": "of the noise; -1 is any",
    "size": "width x height in pixels: 512x768",
    "clip_skip": "1 is none, 2 is usual for anime",
    "axis_values": "with commas: 0,0.5,1 or 10..30..10",
    "rows_values": "with commas: 0,0.5,1 or 10..30..10",
    "device": "cpu, cuda, cuda:1, mps",
}


def wish_of(values: Mapping[str, str]) -> tuple[list[str], RenderWish]:
    """The files that the form names, and what it wishes.

    :raises UsageError: there is no file, or a number is none.
    """
    from modelhub.convert.options import Precision
    from modelhub.render.request import DeviceWish
    from modelhub.services.render import RenderWish

    files = _paths(values["files"])
    if not files:
        raise UsageError("choose what is to be rendered", hint="f chooses files")
    weight = _number("weight", values["weight"], -10, 10)
    wish = RenderWish(
        settings=_settings(values),
        loras=tuple((one, 1.0 if weight is None else weight) for one in _paths(values["loras"])),
        vae=values["vae"] or None,
        on=values["on"] or None,
        precision=Precision(values["precision"]) if values["precision"] else None,
        compare=tuple(_axes(values)),
        device=DeviceWish(device=values["device"].strip() or None),
        triggers=bool(values["triggers"]),
        recommended=bool(values["recommended"]),
        preview=True,
        allow_unsafe=bool(values["allow_unsafe"]),
    )
    return files, wish


def _paths(text: str) -> list[str]:
    return [one for one in text.split(SEPARATOR) if one]


def _axes(values: Mapping[str, str]) -> list[str]:
    found = []
    for name in ("axis", "rows"):
        if values[name]:
            listed = values[f"{name}_values"].strip()
            found.append(f"{values[name]}={listed}" if listed else values[name])
    return found


def _settings(values: Mapping[str, str]) -> Settings:
    from modelhub.render.request import Settings

    width, height = _size(values["size"])
    return Settings(
        prompt=values["prompt"],
        negative=values["negative"],
        seed=int(_number("seed", values["seed"], -1, 2**64 - 1) or 0),
        steps=_whole("steps", values["steps"], 1, 1_000),
        cfg=_number("CFG", values["cfg"], 0, 100),
        sampler=values["sampler"] or None,
        schedule=values["schedule"] or None,
        width=width,
        height=height,
        clip_skip=_whole("CLIP skip", values["clip_skip"], 1, 12),
    )


def _size(text: str) -> tuple[int | None, int | None]:
    if not text.strip():
        return None, None
    width, _, height = text.casefold().replace("×", "x").partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise UsageError(f"size: {text!r} is no width and height", hint="such as 512x768") from None


def _whole(name: str, text: str, least: int, most: int) -> int | None:
    number = _number(name, text, least, most)
    return None if number is None else int(number)


def _number(name: str, text: str, least: float, most: float) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text) if "." in text else int(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise UsageError(f"{name}: {text!r} is no number from {least} to {most}", hint="")
    return number


def fields_of(kept: KeptRender) -> dict[str, str]:
    """What a picture was made with, as the form has it; its files as they are now, if at all."""
    settings = kept.settings
    by_role: dict[str, list[str]] = {}
    for one in kept.files:
        if Path(one.path).is_file():
            by_role.setdefault(one.role, []).append(one.path)
    texts = {
        "prompt": settings.prompt,
        "negative": settings.negative,
        "seed": settings.seed,
        "steps": settings.steps,
        "cfg": settings.cfg,
        "sampler": settings.sampler,
        "schedule": settings.schedule,
        "clip_skip": settings.clip_skip,
        "size": f"{kept.width}x{kept.height}",
        "precision": kept.precision,
    }
    found = {name: "" if value is None else str(value) for name, value in texts.items()}
    found["files"] = SEPARATOR.join(by_role.get("model", ()))
    found["loras"] = SEPARATOR.join(by_role.get("lora", ()))
    found["vae"] = next(iter(by_role.get("vae", ())), "")
    return found
