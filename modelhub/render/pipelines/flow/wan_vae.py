"""The VAE of Wan 2.2's 5B: levels within levels, patches of pixels, and 48 channels of latents.

Sources: ``Wan-Video/Wan2.2`` ``wan/modules/vae2_2.py`` (names, what scales the latents),
``huggingface/diffusers`` ``src/diffusers/models/autoencoders/autoencoder_kl_wan.py`` and
``scripts/convert_wan_to_diffusers.py``. That of 2.1 is in :mod:`.autoencoders`.
"""

from __future__ import annotations

from collections.abc import Collection
from math import isqrt
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.render.pipelines.flow.renaming import Into, Rules

_MARKS = ("encoder.downsamples.0.downsamples.", "encoder.down_blocks.0.resnets.")
"""Of the makers' names, and of diffusers': no other VAE of Wan has such."""
_COLOURS = 3
_LATENT = 8
"""Patches of pixels along the side of a latent."""

# fmt: off
_MEANS = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813,
    0.0891, 0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108,
    -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313,
    -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944,
    0.3573, -0.0548, -0.1681, -0.0667,
)
_SPREADS = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)
# fmt: on
"""By channel of the latents: of which no tensor tells anything."""


def is_of_2_2(names: Collection[str]) -> bool:
    """Whether a VAE of Wan is that of the 5B, told by the names of its tensors."""
    return any(name.startswith(_MARKS) for name in names)


def config_of_2_2(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of an ``AutoencoderKLWan``.

    :param shapes: by the names of diffusers.
    :raises FormatError: tensors are missing, or its latents are none that are known.
    """
    channels = shapes.extent("decoder.conv_in.weight", 1)
    if channels != len(_MEANS):
        raise FormatError(
            f"its latents have {channels} channels, and those of Wan 2.2 {len(_MEANS)}", hint=""
        )
    values = shapes.extent("encoder.conv_in.weight", 1)
    patch = max(1, isqrt(values // _COLOURS))
    return {
        "base_dim": shapes.extent("encoder.conv_in.weight"),
        "decoder_base_dim": shapes.extent("decoder.conv_out.weight", 1),
        "z_dim": channels,
        "num_res_blocks": shapes.number_of("decoder.up_blocks.0.resnets") - 1,
        "is_residual": True,
        "in_channels": values,
        "out_channels": shapes.extent("decoder.conv_out.weight"),
        "patch_size": patch,
        "scale_factor_spatial": _LATENT * patch,
        "latents_mean": list(_MEANS),
        "latents_std": list(_SPREADS),
    }


def rules_of_2_2(residual: dict[str, str], rest: Rules) -> Rules:
    """How its tensors are renamed, and those of Qwen-Image 2.1's, which is laid out alike.

    :param residual: the layers of a residual block, by both names.
    :param rest: the rules for all beside the levels, which are those of Wan 2.1.
    """
    rules = dict(rest)
    for old, new, blocks in (
        ("encoder.downsamples.#.downsamples", "encoder.down_blocks.#", 2),
        ("decoder.upsamples.#.upsamples", "decoder.up_blocks.#", 3),
    ):
        for block in range(blocks):
            for key, name in residual.items():
                rules[f"{old}.{block}.{key}"] = Into((f"{new}.resnets.{block}.{name}",))
        sampler = "downsampler" if blocks == 2 else "upsampler"
        for name in ("resample.1", "time_conv"):
            rules[f"{old}.{blocks}.{name}"] = Into((f"{new}.{sampler}.{name}",))
    return rules
