"""The tensor table of a Stable Diffusion 2.x checkpoint, for any widths.

As that of Stable Diffusion 1.x but for linear projections in the UNet and OpenCLIP's text encoder
(``Stability-AI/stablediffusion`` ``configs/stable-diffusion/v2-inference.yaml``).
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights import open_clip, sd1, unets
from modelhub.demo.weights.tables import Table, under
from modelhub.demo.weights.unets import UNetShape


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of SD 2.x; the defaults are the true ones.

    :param unet: channels of the UNet's first level (times 1, 2, 4, 4 below it).
    :param vae: the same of the autoencoder.
    :param text: width of the text encoder, and so of the cross attention.
    :param vocabulary: how many tokens it knows.
    """

    unet: int = 320
    vae: int = 128
    text: int = 1024
    vocabulary: int = 49408
    text_layers: int = 24


TRUE = Widths()
TINY = Widths(unet=32, vae=32, text=32, text_layers=4)


def checkpoint(widths: Widths) -> Table:
    """UNet, autoencoder and text encoder, with the prefixes of a full checkpoint."""
    text = open_clip.text_encoder(widths.text, widths.text_layers, widths.vocabulary)
    return [
        *under("model.diffusion_model.", unet(widths)),
        *under("first_stage_model.", sd1.autoencoder(sd1.Widths(vae=widths.vae))),
        *under("cond_stage_model.model.", text),
    ]


def unet(widths: Widths) -> Table:
    """The UNet's tensors."""
    return unets.unet(
        UNetShape(
            width=widths.unet,
            factors=(1, 2, 4, 4),
            depths=(1, 1, 1, 0),
            middle_depth=1,
            context=widths.text,
            linear=True,
        )
    )
