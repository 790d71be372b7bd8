"""Whether an add-on goes with a checkpoint, by what identification says of both; without torch.

The latents of two VAEs differ by channels, which is in their tensors, and by their scale, which is
not: a VAE for SD 1 decodes SDXL's latents into wrong colours, and no shape tells it
(``scaling_factor`` of the published ``vae/config.json``: 0.18215 and 0.13025).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from modelhub.errors import AddonMisfit, CannotRender
from modelhub.formats.identity import Identity, ModelKind

_BASES = frozenset({ModelKind.CHECKPOINT, ModelKind.DIFFUSION_MODEL})

_NEEDS = {
    ModelKind.CONTROLNET: "a ControlNet needs a control image (a pose, edges, a depth map)",
    ModelKind.T2I_ADAPTER: "a T2I adapter needs a control image (a pose, edges, a depth map)",
    ModelKind.IP_ADAPTER: "an IP adapter needs an image to take after",
    ModelKind.MOTION_MODULE: "a motion module makes videos",
    ModelKind.HYPERNETWORK: "hypernetworks are not rendered",
    ModelKind.AESTHETIC_GRADIENT: "aesthetic gradients are not rendered",
    ModelKind.UPSCALER: "an upscaler needs an image to enlarge",
    ModelKind.CLIP_VISION: "an image encoder needs an image",
    ModelKind.DETECTION: "a detector needs an image",
    ModelKind.VISION_LANGUAGE: "a vision-language model needs an image",
}
"""Of what cannot be tried by a prompt alone: why."""

_WIDTH_OF_EDITION = frozenset({"sd3", "flux2", "wan", "ltxv", "cogvideox", "cosmos", "pixart"})
"""Architectures whose editions differ in the widths of their layers, as a LoRA for one shows."""

_CHANNELS = {"sd1": 4, "sd2": 4, "sdxl": 4, "sd3": 16, "flux": 16, "chroma": 16, "zimage": 16,
             "lumina": 16, "hidream": 16, "flux2": 32, "qwen": 16, "wan": 16, "pixart": 4,
             "auraflow": 4, "cascade": 4, "krea2": 16}  # fmt: skip
"""Channels of the latents, by architecture."""
_CHANNELS_OF_EDITION = {("qwen", "2.1"): 64}
_OF_ITS_OWN = {"sdxl": "refiner", "qwen": "2.1"}
"""Editions with other layers than all others of their architecture."""
_SAME_LATENTS = {"sd2": "sd1", "auraflow": "sdxl", "chroma": "flux", "zimage": "flux",
                 "lumina": "flux", "hidream": "flux", "qwen": "wan", "krea2": "wan"}  # fmt: skip
"""Architectures that use the VAE of another, or one whose latents mean the same."""
_CHANNELS_SAID = re.compile(r"\b(\d{1,3})-channel\b")
_NAMES = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL", "sd3": "SD 3", "flux": "Flux",
          "flux2": "Flux 2", "qwen": "Qwen-Image", "zimage": "Z-Image", "wan": "Wan",
          "krea2": "Krea 2"}  # fmt: skip


class Fit(NamedTuple):
    """Whether two files go together.

    :param fits: False: they do not.
    :param certain: False: told by a guess, or not told by anything.
    :param why: for people, without the names of the files.
    """

    fits: bool
    certain: bool
    why: str


def spoken(identity: Identity) -> str:
    """An architecture in the words of people: ``SDXL refiner``; ``an unknown architecture``."""
    if identity.architecture is None:
        return "an unknown architecture"
    name = _NAMES.get(identity.architecture, identity.architecture)
    of_model = identity.kind is not ModelKind.VAE and identity.edition
    return f"{name} {identity.edition}" if of_model else name


def needs_more_than_a_prompt(addon: Identity) -> str | None:
    """Why a file cannot be tried by a prompt alone; None of what can."""
    if addon.kind is ModelKind.LORA and "control" in addon.variants:
        return "a control LoRA needs a control image"
    return None if addon.kind is None else _NEEDS.get(addon.kind)


def fits(addon: Identity, base: Identity) -> Fit:
    """Whether an add-on (LoRA, embedding, VAE) goes with a base (checkpoint, UNet, transformer).

    Other kinds never fit, and the answer says what they need.
    """
    if (reason := needs_more_than_a_prompt(addon)) is not None:
        return Fit(False, True, reason)
    if base.kind is not None and base.kind not in _BASES:
        return Fit(False, "kind" not in base.guessed, f"the base is no checkpoint but {base.kind}")
    if addon.kind is ModelKind.VAE:
        return _vae_fits(addon, base)
    if addon.kind in (ModelKind.LORA, ModelKind.EMBEDDING):
        return _architecture_fits(addon, base)
    what = addon.kind.value if addon.kind else "an unknown kind of file"
    return Fit(False, addon.kind is not None, f"{what} is no add-on")


def require_fit(addon_path: Path, addon: Identity, base_path: Path, base: Identity) -> None:
    """Refuse an add-on that certainly does not go with a base.

    :raises AddonMisfit: as it says, naming both files.
    :raises CannotRender: it needs more than a prompt.
    """
    if (reason := needs_more_than_a_prompt(addon)) is not None:
        raise CannotRender(f"{addon_path} cannot be rendered: {reason}", hint="")
    found = fits(addon, base)
    if not found.fits and found.certain:
        raise AddonMisfit(f"{addon_path} does not go with {base_path}: {found.why}")


def _architecture_fits(addon: Identity, base: Identity) -> Fit:
    """For what changes the weights, or has vectors for the text encoders, of one architecture."""
    told = f"it is made for {spoken(addon)}, and the base is {spoken(base)}"
    if addon.architecture is None or base.architecture is None:
        return Fit(True, False, told)
    certain = "architecture" not in addon.guessed | base.guessed
    if addon.architecture != base.architecture:
        return Fit(False, certain, told)
    if addon.kind is ModelKind.LORA and (misfit := _edition_misfit(addon, base, told)):
        return misfit
    return Fit(True, certain, f"both are {spoken(Identity(architecture=base.architecture))}")


def _edition_misfit(addon: Identity, base: Identity, told: str) -> Fit | None:
    apart = _OF_ITS_OWN.get(base.architecture or "")
    if apart is not None:
        # The refiner's UNet is another one, with other widths.
        differs = (addon.edition == apart) != (base.edition == apart)
        return Fit(False, "edition" not in base.guessed, told) if differs else None
    if base.architecture in _WIDTH_OF_EDITION and addon.edition and base.edition:
        return Fit(False, False, told) if addon.edition != base.edition else None
    return None


def _vae_fits(vae: Identity, base: Identity) -> Fit:
    model = base.architecture or ""
    wanted = _CHANNELS_OF_EDITION.get((model, base.edition or ""), _CHANNELS.get(model))
    said = _CHANNELS_SAID.search(vae.edition or "")
    channels = int(said[1]) if said else _CHANNELS.get(vae.architecture or "")
    if wanted is not None and channels is not None and wanted != channels:
        why = f"its latents have {channels} channels, those of {spoken(base)} have {wanted}"
        return Fit(False, "architecture" not in base.guessed, why)
    if vae.architecture is None or base.architecture is None:
        return Fit(True, False, f"the VAE does not tell for which model it is ({vae.edition})")
    certain = "architecture" not in vae.guessed | base.guessed
    one, other = (_SAME_LATENTS.get(key, key) for key in (vae.architecture, base.architecture))
    if one != other:
        why = f"it is made for {spoken(vae)}, whose latents are of another scale than those of "
        return Fit(False, certain, why + spoken(base))
    return Fit(True, certain, f"both are for the latents of {spoken(base)}")
