"""Real layouts of whole files, for the tests of plans."""

from __future__ import annotations

from tests.convert.made import MadeBeside, MadeSource, ema_of, made
from tests.formats.identify.layouts import (
    CLIP_L,
    SCHEDULE,
    SD1,
    SDXL,
    UNET,
    VAE,
    Shapes,
    listed,
)

SD1_UNET, SD1_VAE, SD1_CLIP = SD1
SDXL_UNET, SDXL_VAE, SDXL_CLIP_L, SDXL_CLIP_G = SDXL
BARE_VAE: Shapes = listed("VAE-v1-SD")
JUNK: Shapes = {"first_stage_model.loss.perceptual_loss.lin0.model.1.weight": (1, 64, 1, 1)}


def sd1_full() -> MadeSource:
    """A training checkpoint of SD 1.x: EMA twins, schedule, the loss of the VAE, an optimizer."""
    weights = made(SD1_UNET, SD1_VAE, SD1_CLIP)
    return MadeSource(
        {**made(SCHEDULE), **weights, **ema_of(weights), **made(JUNK)},
        metadata={"epoch": "12", "global_step": "470000"},
        extras=("epoch", "global_step", "optimizer_states"),
        beside=[MadeBeside("optimizer_states.0.state.0.exp_avg", 5_000)],
    )


def sd1_pruned() -> MadeSource:
    return MadeSource(made(SD1_UNET, SD1_VAE, SD1_CLIP))


def sdxl(dtype: str = "F32") -> MadeSource:
    return MadeSource(made(*((part, dtype) for part in SDXL)))


def vae_file() -> MadeSource:
    return MadeSource(made(BARE_VAE))


__all__ = [
    "BARE_VAE",
    "CLIP_L",
    "JUNK",
    "SCHEDULE",
    "SD1_CLIP",
    "SD1_UNET",
    "SD1_VAE",
    "SDXL_CLIP_G",
    "SDXL_CLIP_L",
    "SDXL_UNET",
    "UNET",
    "VAE",
    "sd1_full",
    "sd1_pruned",
    "sdxl",
    "vae_file",
]
