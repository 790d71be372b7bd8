"""The tensor tables of SDXL's base and of its refiner, for any widths.

Two text encoders, CLIP's and OpenCLIP's larger one, and deeper attention at fewer levels
(``Stability-AI/generative-models`` ``configs/inference/sd_xl_base.yaml`` and
``sd_xl_refiner.yaml``). The condition beside the text is its pooled form and some sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights import open_clip, sd1, unets
from modelhub.demo.weights.tables import Table, under
from modelhub.demo.weights.unets import UNetShape

_SIZES = 6
_SIZES_OF_REFINER = 5


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of SDXL; the defaults are the true ones.

    :param unet: channels of the UNet's first level.
    :param vae: the same of the autoencoder.
    :param text: width of CLIP's text encoder.
    :param large_text: the same of OpenCLIP's; the base attends to both together.
    :param depths: of the base's levels, transformer blocks in an attention.
    :param refiner_depth: the same of the refiner's two middle levels.
    :param size: how many numbers are made of each of the sizes.
    :param vocabulary: how many tokens the text encoders know.
    """

    unet: int = 320
    refiner_unet: int = 384
    vae: int = 128
    text: int = 768
    text_layers: int = 12
    large_text: int = 1280
    large_text_layers: int = 32
    depths: tuple[int, int, int] = (0, 2, 10)
    refiner_depth: int = 4
    size: int = 256
    vocabulary: int = 49408


TRUE = Widths()
TINY = Widths(
    unet=32,
    refiner_unet=32,
    vae=32,
    text=32,
    text_layers=3,
    large_text=64,
    large_text_layers=3,
    depths=(0, 1, 2),
    refiner_depth=2,
    size=8,
)


def checkpoint(widths: Widths) -> Table:
    """The base: UNet, autoencoder and text encoders, with the prefixes of a full checkpoint."""
    clip = sd1.Widths(
        text=widths.text, text_layers=widths.text_layers, vocabulary=widths.vocabulary
    )
    return [
        *under("conditioner.embedders.0.transformer.text_model.", sd1.text_encoder(clip)),
        *under("conditioner.embedders.1.model.", _large_text_encoder(widths)),
        *under("first_stage_model.", sd1.autoencoder(sd1.Widths(vae=widths.vae))),
        *under("model.diffusion_model.", unet(widths)),
    ]


def refiner(widths: Widths) -> Table:
    """The refiner, which has the larger text encoder alone."""
    return [
        *under("conditioner.embedders.0.model.", _large_text_encoder(widths)),
        *under("first_stage_model.", sd1.autoencoder(sd1.Widths(vae=widths.vae))),
        *under("model.diffusion_model.", refiner_unet(widths)),
    ]


def _large_text_encoder(widths: Widths) -> Table:
    return open_clip.text_encoder(widths.large_text, widths.large_text_layers, widths.vocabulary)


def unet(widths: Widths) -> Table:
    """The base's UNet."""
    return unets.unet(
        UNetShape(
            width=widths.unet,
            factors=(1, 2, 4),
            depths=widths.depths,
            middle_depth=widths.depths[-1],
            context=widths.text + widths.large_text,
            linear=True,
            label=widths.large_text + _SIZES * widths.size,
        )
    )


def refiner_unet(widths: Widths) -> Table:
    """The refiner's UNet."""
    return unets.unet(
        UNetShape(
            width=widths.refiner_unet,
            factors=(1, 2, 4, 4),
            depths=(0, widths.refiner_depth, widths.refiner_depth, 0),
            middle_depth=widths.refiner_depth,
            context=widths.large_text,
            linear=True,
            label=widths.large_text + _SIZES_OF_REFINER * widths.size,
        )
    )
