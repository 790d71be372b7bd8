"""From a single file to a folder of diffusers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.convert.diffusers.folder import Component, DiffusersFolder, as_json
from modelhub.convert.diffusers.renaming import in_diffusers
from modelhub.convert.diffusers.single import in_original_names, is_of_diffusers
from modelhub.convert.planning import Dropped, Plan, Reason, Renamed
from modelhub.convert.values import Planned
from modelhub.errors import ConversionRefused
from modelhub.formats.diffusers_config import configs_of, tokenizer_files
from modelhub.formats.diffusers_names import (
    Family,
    NamedPart,
    PartKind,
    family_of,
    pairs_of_part,
    parts_of_checkpoint,
)
from modelhub.formats.identify.parts import Role, parts_of
from modelhub.formats.tensors import Tensor

_TEXT = (PartKind.CLIP, PartKind.OPEN_CLIP)
_MODEL_INDEX = "model_index.json"
_LATENTS = 4
"""Channels of the latents of all Stable Diffusion models; a VAE does not tell which it is for."""


def to_diffusers(plan: Plan) -> DiffusersFolder:
    """The folder of diffusers that holds the tensors of a plan.

    :param plan: of a checkpoint of Stable Diffusion 1, 2, XL or XL's refiner, of a UNet, a VAE or
        a text encoder alone, in the original layout or in that of diffusers.
    :raises ConversionRefused: it is none of these, or no pipeline of diffusers can be made of it.
    :raises FormatError: its tensors are incomplete, or of shapes that they cannot have.
    """
    if not is_of_diffusers({one.name for one in plan.tensors}):
        return _split(plan, [], [])
    single = in_original_names(plan.tensors, plan.metadata)
    renamed = Plan(tensors=single.tensors, metadata=plan.metadata)
    return _split(renamed, list(single.dropped), list(single.notices))


def _split(plan: Plan, dropped: list[Dropped], notices: list[str]) -> DiffusersFolder:
    """The folder of a plan in the names of the original layout.

    :param dropped: what was left out on the way there; what it says of it is in `notices`.
    """
    tensors = {one.name: one for one in plan.tensors}
    parts = parts_of_checkpoint(tensors)
    if not parts:
        raise ConversionRefused(
            "only models of Stable Diffusion 1, 2 and XL and their parts become diffusers folders",
            hint="`modelhub inspect` shows what a file is; "
            "a LoRA is renamed for diffusers by --lora-keys diffusers",
        )
    configs = dict(configs_of(plan.header, plan.identity))
    if len(parts) > 1 and _MODEL_INDEX not in configs:
        raise ConversionRefused(
            "no pipeline of diffusers can be made of this file alone",
            hint="convert one part of it: --extract-unet, --extract-vae",
        )
    components, renamed = [], []
    for part in parts:
        pairs = pairs_of_part(part, tensors)
        folder = f"{part.folder}/" if part.folder else ""
        renamed += [Renamed(one.original, folder + one.diffusers) for one in pairs]
        planned = tuple(in_diffusers(pairs, tensors))
        components.append(_component(part, planned, configs, plan.metadata))
    used = {one.old for one in renamed}
    dropped += _left_out((one for name, one in tensors.items() if name not in used), parts)
    family = family_of(parts, tensors)
    index = configs.pop(_MODEL_INDEX, {})
    return DiffusersFolder(
        model_index=index,
        components=tuple(components),
        files=_files(parts, configs),
        dropped=tuple(dropped),
        renamed=tuple(one for one in renamed if one.old != one.new),
        notices=(*notices, *_notices(family, parts, index, configs, plan)),
    )


def _component(
    part: NamedPart,
    tensors: tuple[Planned, ...],
    configs: Mapping[str, dict[str, Any]],
    metadata: Mapping[str, str],
) -> Component:
    folder = f"{part.folder}/" if part.folder else ""
    weights = "model" if part.kind in _TEXT else "diffusion_pytorch_model"
    return Component(
        folder=part.folder,
        config_name="config.json",
        config=configs[f"{folder}config.json"],
        tensors=tensors,
        weights_name=f"{weights}.safetensors",
        metadata=_of_weights(metadata),
    )


def _of_weights(metadata: Mapping[str, str]) -> dict[str, str]:
    """Of a plan's metadata what is no setting of a folder's part, and what transformers needs."""
    kept = {key: text for key, text in metadata.items() if "/" not in key and key[:1] != "_"}
    return kept | {"format": "pt"}


def _left_out(tensors: Iterable[Planned], parts: list[NamedPart]) -> list[Dropped]:
    prefixes = tuple(part.prefix for part in parts)
    found = []
    for one in tensors:
        if one.name.startswith(_BECAME_SETTINGS):
            continue
        tensor = Tensor(one.values.dtype, one.values.shape, (0, 0))
        role = parts_of({one.name: tensor})[0].role
        reason = _REASONS.get(role, Reason.OTHER_PART)
        if role not in _REASONS and one.name.startswith(prefixes):
            reason = Reason.JUNK
        found.append(Dropped(one.name, one.values.nbytes, reason))
    return found


_BECAME_SETTINGS = ("v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.")
"""Tensors that say how a model was trained; the scheduler's settings say it in a folder."""
_REASONS = {Role.EMA: Reason.EMA, Role.SCHEDULE: Reason.SCHEDULE}


def _files(parts: list[NamedPart], configs: Mapping[str, dict[str, Any]]) -> dict[str, bytes]:
    """All files but the weights and the index."""
    files = {path: as_json(config) for path, config in configs.items()}
    for part in parts:
        if part.kind in _TEXT and part.folder:
            place = part.folder.replace("text_encoder", "tokenizer")
            files |= {f"{place}/{name}": data for name, data in tokenizer_files().items()}
    return files


def _notices(
    family: Family,
    parts: list[NamedPart],
    index: Mapping[str, Any],
    configs: Mapping[str, dict[str, Any]],
    plan: Plan,
) -> list[str]:
    found = []
    missing = _NEEDED[family] - {part.folder for part in parts}
    if index and missing:
        names = ", ".join(sorted(missing))
        found.append(f"the file has no {names}: the folder cannot be loaded without one")
    if index.get("depth_estimator"):
        found.append("diffusers needs a depth estimator beside it, which is not converted")
    alone = configs.get("config.json", {})
    if alone.get("latent_channels") == _LATENTS and plan.identity.architecture is None:
        found.append(
            "taken for a VAE of Stable Diffusion 1 or 2; for one of SDXL, set `scaling_factor` in "
            "config.json to 0.13025"
        )
    scheduler = configs.get("scheduler/scheduler_config.json", {})
    said = {"v-prediction"} & set(plan.identity.variants) or plan.identity.edition
    if family is Family.SD2 and not said and scheduler.get("prediction_type") == "v_prediction":
        found.append(
            "taken for a model that predicts the velocity (768 pixels); for one of 512 pixels, set "
            "`prediction_type` in scheduler/scheduler_config.json to `epsilon`"
        )
    return found


_NEEDED = {
    Family.SD1: {"unet", "vae", "text_encoder"},
    Family.SD2: {"unet", "vae", "text_encoder"},
    Family.SDXL: {"unet", "vae", "text_encoder", "text_encoder_2"},
    Family.REFINER: {"unet", "vae", "text_encoder_2"},
}
