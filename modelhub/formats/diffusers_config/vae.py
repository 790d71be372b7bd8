"""``vae/config.json``: the settings of ``AutoencoderKL``, told from its tensors.

The factor by which latents are scaled is in no tensor; it goes by the family that the VAE is for
(the published ``vae/config.json`` of each).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from modelhub.formats.diffusers_config.shapes import PartShapes, norm_groups
from modelhub.formats.identity import Identity


class Scale(NamedTuple):
    """How the latents of a family are scaled and shifted."""

    factor: float
    shift: float | None = None


_OF_SD = Scale(0.18215)
_OF_16_CHANNELS = Scale(0.3611, 0.1159)
_SCALES = {
    "sdxl": Scale(0.13025),
    "sd3": Scale(1.5305, 0.0609),
    "flux": _OF_16_CHANNELS,
}
_PLAYGROUND = {
    "scaling_factor": 0.5,
    "latents_mean": [-1.6574, 1.886, -1.383, 2.5155],
    "latents_std": [8.4927, 5.9022, 6.5498, 5.2299],
}
"""``playgroundai/playground-v2.5-1024px-aesthetic``, ``vae/config.json``."""


def vae_config(
    shapes: PartShapes, architecture: str | None, identity: Identity, *, sample_size: int = 512
) -> dict[str, Any]:
    """The configuration of an autoencoder.

    :param architecture: that it is for.
    :param identity: of the whole file.
    :param sample_size: width of the pictures that it was trained on, in pixels.
    :raises FormatError: its tensors are incomplete.
    """
    encoding = shapes.has("encoder.down_blocks.0")
    widths = _widths(shapes, encoding=encoding)
    latents = (
        shapes.extent("decoder.conv_in.weight", 1)
        if shapes.has("decoder.conv_in")
        else shapes.extent("encoder.conv_out.weight") // 2
    )
    scale = _SCALES.get(architecture or "", _OF_16_CHANNELS if latents == 16 else _OF_SD)
    layers = shapes.number_of("encoder.down_blocks.0.resnets")
    config: dict[str, Any] = {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "force_upcast": architecture not in ("sd3", "flux"),
        "in_channels": 3,
        "latent_channels": latents,
        "layers_per_block": layers or shapes.number_of("decoder.up_blocks.0.resnets") - 1,
        "norm_num_groups": norm_groups(widths),
        "out_channels": 3,
        "sample_size": sample_size,
        "scaling_factor": scale.factor,
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "use_quant_conv": shapes.has("quant_conv"),
        "use_post_quant_conv": shapes.has("post_quant_conv"),
    }
    if scale.shift is not None:
        config["shift_factor"] = scale.shift
    return config | (_PLAYGROUND if identity.edition == "playground v2.5" else {})


def _widths(shapes: PartShapes, *, encoding: bool) -> list[int]:
    blocks = "encoder.down_blocks" if encoding else "decoder.up_blocks"
    levels = range(max(1, shapes.number_of(blocks)))
    widths = [shapes.extent(f"{blocks}.{level}.resnets.0.conv1.weight") for level in levels]
    return widths if encoding else widths[::-1]
