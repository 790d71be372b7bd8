"""All configurations of a single file: of its parts, tokenizers, scheduler and pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.index import model_index, pipeline_class
from modelhub.formats.diffusers_config.scheduler import predicts_v, scheduler_config
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.diffusers_config.text import text_config, tokenizer_configs
from modelhub.formats.diffusers_config.unet import unet_config
from modelhub.formats.diffusers_config.vae import vae_config
from modelhub.formats.diffusers_names import (
    Family,
    NamedPart,
    PartKind,
    family_of,
    pairs_of_part,
    parts_of_checkpoint,
    shape_in_diffusers,
)
from modelhub.formats.identity import Identity
from modelhub.formats.tensors import Header

CONFIG_NAMES: Final = ("config.json", "scheduler_config.json")
"""Names of the files that a part's settings may have within its folder."""

Configs = Mapping[str, dict[str, Any]]
"""By the path within the folder."""

_VAE_FACTOR = 8
"""Pixels of a picture for one of the latents."""
_POOLED = "text_projection.weight"


@dataclass(frozen=True, slots=True)
class _Model:
    """A single file, its parts as diffusers has them."""

    family: Family
    identity: Identity
    parts: tuple[NamedPart, ...]
    shapes: Mapping[str, PartShapes]

    @property
    def inputs(self) -> int:
        """Channels that go into the UNet; those of a plain one, where there is no UNet."""
        unet = next((one for one in self.parts if one.kind is PartKind.UNET), None)
        return 4 if unet is None else self.shapes[unet.folder].extent("conv_in.weight", 1)

    @property
    def velocity(self) -> bool:
        """Whether it predicts that instead of the noise."""
        return predicts_v(self.family, self.identity, self.inputs)

    @property
    def sample_size(self) -> int:
        """Width of the latents that it was trained on, in their own pixels."""
        if self.family in (Family.SDXL, Family.REFINER):
            return 128
        return 96 if self.family is Family.SD2 and self.velocity else 64


def configs_of(header: Header, identity: Identity) -> Configs:
    """The configurations of a single file in the original layout.

    Of a checkpoint these are ``model_index.json``, ``unet/config.json``,
    ``scheduler/scheduler_config.json`` and so on, for the parts that it has; without the index, if
    no pipeline can be made of one file (unCLIP, the upscaler). Of a part alone it is
    ``config.json``.

    :raises FormatError: it is none of Stable Diffusion 1, 2, XL and their parts, or incomplete.
    """
    model = _model(header, identity)
    found: dict[str, dict[str, Any]] = {}
    for part in model.parts:
        folder = f"{part.folder}/" if part.folder else ""
        found[f"{folder}config.json"] = _part_config(part, model)
        if part.kind in (PartKind.CLIP, PartKind.OPEN_CLIP) and folder:
            place = part.folder.replace("text_encoder", "tokenizer")
            configs = tokenizer_configs(open_clip=part.kind is PartKind.OPEN_CLIP)
            found |= {f"{place}/{name}": config for name, config in configs.items()}
    return found | _pipeline_configs(model)


def _model(header: Header, identity: Identity) -> _Model:
    parts = tuple(parts_of_checkpoint(header.tensors))
    if not parts:
        raise FormatError("no part of Stable Diffusion 1, 2 or XL is in it", hint="")
    shapes = {part.folder: _shapes(part, header) for part in parts}
    family = family_of(parts, header.tensors)
    unet = shapes.get("unet" if len(parts) > 1 else parts[0].folder)
    named = {"sd1": Family.SD1, "sd2": Family.SD2, "sdxl": Family.SDXL}
    if not any(part.kind in (PartKind.CLIP, PartKind.OPEN_CLIP) for part in parts):
        family = named.get(identity.architecture or "", family)
        if family is Family.SDXL and identity.edition == "refiner":
            family = Family.REFINER
        elif family is Family.SD1 and unet is not None and _is_linear(unet):
            family = Family.SD2
    return _Model(family, identity, parts, shapes)


def _is_linear(unet: PartShapes) -> bool:
    return unet.dimensions("down_blocks.0.attentions.0.proj_in.weight") == 2


def _shapes(part: NamedPart, header: Header) -> PartShapes:
    return PartShapes(
        {
            pair.diffusers: shape_in_diffusers(pair, header.tensors[pair.original].shape)
            for pair in pairs_of_part(part, header.tensors)
        }
    )


def _part_config(part: NamedPart, model: _Model) -> dict[str, Any]:
    shapes = model.shapes[part.folder]
    if part.kind is PartKind.UNET:
        return unet_config(
            shapes,
            model.family,
            pooled=_pooled(model),
            sample_size=model.sample_size,
            upcast_attention=model.family is Family.SD2 and model.velocity,
        )
    if part.kind is PartKind.VAE:
        size = model.sample_size * _VAE_FACTOR
        return vae_config(shapes, _architecture(model), model.identity, sample_size=size)
    projecting = part.folder == "text_encoder_2" or bool(shapes.dimensions(_POOLED))
    return text_config(shapes, open_clip=part.kind is PartKind.OPEN_CLIP, projecting=projecting)


def _architecture(model: _Model) -> str | None:
    """That the VAE is for: of a VAE alone, as it was identified."""
    if len(model.parts) == 1 and not model.parts[0].folder:
        return model.identity.architecture
    return "sdxl" if model.family in (Family.SDXL, Family.REFINER) else model.family.value


def _pooled(model: _Model) -> int | None:
    shapes = model.shapes.get("text_encoder_2")
    if shapes is None or not shapes.dimensions(_POOLED):
        return None
    return shapes.extent(_POOLED)


def _pipeline_configs(model: _Model) -> dict[str, dict[str, Any]]:
    folders = {part.folder for part in model.parts}
    pipeline = pipeline_class(model.family, model.identity, model.inputs)
    if "unet" not in folders:
        return {}
    scheduler = scheduler_config(model.family, model.identity, velocity=model.velocity)
    found: dict[str, dict[str, Any]] = {"scheduler/scheduler_config.json": scheduler}
    if pipeline is not None:
        kind = str(scheduler["_class_name"])
        found["model_index.json"] = model_index(pipeline, model.family, folders, kind)
    return found
