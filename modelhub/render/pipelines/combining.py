"""A checkpoint put together of parts in files of their own.

All parts go under the names of one single file, so that what follows (settings, scheduler, which
pipeline) is told as of a published checkpoint, and parts that do not fit each other are found.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelhub.convert.diffusers import Component, in_original_names, to_diffusers
from modelhub.convert.plan.draft import MARKS
from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned
from modelhub.errors import CannotRender, ConversionRefused

FOLDERS = ("unet", "vae", "text_encoder", "text_encoder_2")
"""The parts that a recipe may name, of Stable Diffusion."""

_IN_WORDS = {
    "unet": "diffusion model",
    "vae": "VAE",
    "text_encoder": "text encoder",
    "text_encoder_2": "second text encoder",
}
_TEXT = ("CLIPTextModel", "CLIPTextModelWithProjection")
_CLASSES: Mapping[str, tuple[str, ...]] = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": _TEXT,
    "text_encoder_2": _TEXT,
}


def combined(main: Plan, others: Mapping[str, Plan], paths: Mapping[str, str]) -> Plan:
    """One checkpoint of `main` and parts of other files, which are stronger.

    :param main: a checkpoint, or a diffusion model alone.
    :param others: by the name of the part: a file with it alone, or a checkpoint that has it.
    :param paths: of these files, by the name of the part; that of `main` by none.
    :raises CannotRender: a file has no such part, or no part has such a name.
    :raises ConversionRefused, FormatError: parts are incomplete, or of a model that is none of
        Stable Diffusion's.
    """
    parts = _parts_of(main)
    if "" in parts:
        parts = {"unet": _named("unet", main, paths[""])}
    for name, plan in others.items():
        parts[name] = _named(name, plan, paths[name])
    planned = [
        Planned(f"{folder}/{one.name}", one.values, one.dtype)
        for folder, tensors in parts.items()
        for one in tensors
    ]
    metadata = dict(main.metadata)
    if main.identity.architecture == "sd2":
        # Both encoders have the same names in diffusers; their activation is another.
        metadata["text_encoder/hidden_act"] = "gelu"
    single = in_original_names(planned, metadata)
    marks = [one for one in main.tensors if one.name.startswith(MARKS)]
    kept = {key: one for key, one in main.metadata.items() if "/" not in key}
    return Plan(
        tensors=(*single.tensors, *marks),
        metadata=kept,
        operation=main.operation,
        notices=(*main.notices, *single.notices),
    )


def _parts_of(plan: Plan) -> dict[str, tuple[Planned, ...]]:
    return {one.folder: one.tensors for one in to_diffusers(plan).components}


def _named(name: str, plan: Plan, path: str) -> tuple[Planned, ...]:
    """The tensors of one part of a file."""
    if name not in _CLASSES:
        raise CannotRender(
            f"no part of this pipeline is called {name[:50]!r}",
            hint=f"its parts are {', '.join(FOLDERS)}",
        )
    try:
        found = {one.folder: one for one in to_diffusers(plan).components}
    except ConversionRefused as error:
        raise CannotRender(f"{path}, as {name}: {error.message}", hint=error.hint) from error
    if name in found:
        return found[name].tensors
    if "" in found and _class_of(found[""]) in _CLASSES[name]:
        return found[""].tensors
    raise CannotRender(
        f"{path} has no {_IN_WORDS[name]}",
        hint="`modelhub inspect` shows which parts a file has",
    )


def _class_of(component: Component) -> str:
    kind = component.config.get("_class_name") or component.config["architectures"][0]
    return str(kind)
