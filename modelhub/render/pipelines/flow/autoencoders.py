"""VAEs of these models: which class of diffusers, its settings, its tensors.

Qwen-Image has that of Wan 2.1, as Wan has but for the 5B of 2.2 (:mod:`.wan_vae`); its tensors
have other names in the files of Wan and ComfyUI
(``huggingface/diffusers`` ``src/diffusers/loaders/single_file_utils.py``,
``convert_wan_vae_to_diffusers``). What scales its latents is in no tensor; the class has it. What
scales those of FLUX.2 is (``src/diffusers/models/autoencoders/autoencoder_kl_flux2.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelhub.convert.diffusers.renaming import in_diffusers, in_original
from modelhub.convert.values import Planned, Values
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.diffusers_config.vae import vae_config
from modelhub.formats.diffusers_names import vae_pairs
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.flow import deep_compression
from modelhub.render.pipelines.flow.qwen21 import (
    PIXELS,
    of_one_picture,
    vae21_config,
)
from modelhub.render.pipelines.flow.renaming import Into, Rules, renamed
from modelhub.render.pipelines.flow.wan_vae import config_of_2_2, is_of_2_2, rules_of_2_2

_PICTURES = 1024
"""Width of the pictures that these models were trained on, in pixels."""
_MADE_FOR = {"sd3": "sd3", "auraflow": "sdxl"}
_OF_FRAMES = {
    **dict.fromkeys(("qwen", "krea2"), "AutoencoderKLQwenImage"),
    "wan": "AutoencoderKLWan",
}
"""The classes of VAEs of video, by the architecture of the model."""


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """A VAE, before it is made.

    :param model_class: of diffusers.
    :param channels: of its latents.
    :param pixels: along the side of one of them.
    """

    model_class: str
    config: Mapping[str, Any]
    tensors: tuple[Planned, ...]
    channels: int
    pixels: int = 8


def autoencoder_of(
    architecture: str, tensors: Mapping[str, Planned], identity: Identity
) -> Autoencoder:
    """The VAE that these tensors are.

    :param architecture: of the model that it is for.
    :param tensors: by their names without the prefix of a checkpoint.
    :param identity: of the model.
    :raises FormatError: they are none, or not all of one.
    """
    if architecture == "qwen21":
        return _of_qwen21(tensors)
    if architecture == "flux2":
        return _with_statistics(tensors, identity)
    if architecture == "sana":
        return _of_deep_compression(tensors)
    if architecture in _OF_FRAMES:
        return _of_frames(_OF_FRAMES[architecture], tensors)
    made = _of_pictures(tensors)
    made_for = _MADE_FOR.get(architecture, "flux")
    config = vae_config(_shapes(made), made_for, identity, sample_size=_PICTURES)
    return Autoencoder("AutoencoderKL", config, made, config["latent_channels"])


def _of_pictures(tensors: Mapping[str, Planned]) -> tuple[Planned, ...]:
    """The tensors under the names that diffusers has for them now."""
    pairs = vae_pairs(tensors)
    original = dict(tensors)
    if any(pair.original not in tensors for pair in pairs):
        original = {one.name: one for one in in_original(pairs, tensors)}
    return tuple(in_diffusers(vae_pairs(original), original))


_STATISTICS = "bn."
_BATCHES = "bn.num_batches_tracked"
_INSIDE = {"encoder.quant_conv": "encoder.", "decoder.post_quant_conv": "decoder."}
"""Layers that Black Forest Labs have within a side, and everybody else beside it."""
_OF_OTHERS = ("_class_name", "force_upcast", "scaling_factor", "shift_factor")
"""Settings of ``AutoencoderKL`` that FLUX.2's class does not have."""


class _None(Values):
    """The number 0: so many batches a module has seen, where its file does not count them."""

    def __init__(self) -> None:
        self.dtype, self.shape = "I64", ()

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of it."""
        yield bytes(8)


def _with_statistics(tensors: Mapping[str, Planned], identity: Identity) -> Autoencoder:
    """FLUX.2's: Flux's with 32 channels, whose patches are scaled by what a batch norm counted.

    One has a decoder that is narrower than its encoder.
    """
    named = {
        (new := name.removeprefix(_INSIDE.get(name.rpartition(".")[0], ""))): replace(one, name=new)
        for name, one in tensors.items()
    }
    named.setdefault(_BATCHES, Planned(_BATCHES, _None(), "I64"))
    counted = tuple(one for name, one in named.items() if name.startswith(_STATISTICS))
    made = _of_pictures(named)
    shapes = _shapes(made)
    settings = vae_config(shapes, "flux", identity, sample_size=_PICTURES)
    config = {name: one for name, one in settings.items() if name not in _OF_OTHERS}
    widths = [
        shapes.extent(f"decoder.up_blocks.{level}.resnets.0.conv1.weight")
        for level in range(shapes.number_of("decoder.up_blocks"))
    ][::-1]
    if widths != config["block_out_channels"]:
        config["decoder_block_out_channels"] = widths
    return Autoencoder(
        "AutoencoderKLFlux2", config, (*made, *counted), int(config["latent_channels"])
    )


def _of_frames(model_class: str, tensors: Mapping[str, Planned]) -> Autoencoder:
    if is_of_2_2(tensors):
        return _of_wan_2_2(tensors)
    made = tuple(renamed(WAN, tensors, 0))
    shapes = _shapes(made)
    channels = shapes.extent("decoder.conv_in.weight", 1)
    config = {
        "base_dim": shapes.extent("decoder.conv_out.weight", 1),
        "z_dim": channels,
        "num_res_blocks": shapes.number_of("decoder.up_blocks.0.resnets") - 1,
    }
    return Autoencoder(model_class, config, made, channels)


def _of_deep_compression(tensors: Mapping[str, Planned]) -> Autoencoder:
    made = tuple(deep_compression.in_diffusers_names(tensors))
    config = deep_compression.vae_config(_shapes(made))
    pixels = 2 ** (len(config["encoder_block_out_channels"]) - 1)
    return Autoencoder("AutoencoderDC", config, made, config["latent_channels"], pixels)


def _of_wan_2_2(tensors: Mapping[str, Planned]) -> Autoencoder:
    made = tuple(renamed(rules_of_2_2(_RESIDUAL, _BESIDE_LEVELS), tensors, 0))
    config = config_of_2_2(_shapes(made))
    channels, pixels = config["z_dim"], config["scale_factor_spatial"]
    return Autoencoder("AutoencoderKLWan", config, made, channels, pixels)


def _of_qwen21(tensors: Mapping[str, Planned]) -> Autoencoder:
    flat = {one.name: one for one in of_one_picture(tensors)}
    made = tuple(renamed(rules_of_2_2(_RESIDUAL, _BESIDE_LEVELS), flat, 0))
    config = vae21_config(_shapes(made))
    return Autoencoder("AutoencoderKLQwenImage21", config, made, config["z_dim"], PIXELS)


def _shapes(tensors: tuple[Planned, ...]) -> PartShapes:
    return PartShapes({one.name: one.values.shape for one in tensors})


_RESIDUAL = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
_LAYERS_A_LEVEL = 4
"""Three residual blocks, and what doubles the size; the last level has none."""
_LEVELS = 4


def _one(name: str) -> Into:
    return Into((name,))


def _residual(old: str, new: str) -> dict[str, Into]:
    return {f"{old}.{key}": _one(f"{new}.{value}") for key, value in _RESIDUAL.items()}


def _of_side(side: str) -> dict[str, Into]:
    """What encoder and decoder have alike."""
    rules = {
        f"{side}.conv1": _one(f"{side}.conv_in"),
        f"{side}.head.0": _one(f"{side}.norm_out"),
        f"{side}.head.2": _one(f"{side}.conv_out"),
    }
    for layer, resnet in ((0, 0), (2, 1)):
        rules |= _residual(f"{side}.middle.{layer}", f"{side}.mid_block.resnets.{resnet}")
    for name in ("norm", "to_qkv", "proj"):
        rules[f"{side}.middle.1.{name}"] = _one(f"{side}.mid_block.attentions.0.{name}")
    return rules


def _upwards() -> dict[str, Into]:
    rules: dict[str, Into] = {}
    for level in range(_LEVELS):
        for layer in range(_LAYERS_A_LEVEL):
            old = f"decoder.upsamples.{level * _LAYERS_A_LEVEL + layer}"
            new = f"decoder.up_blocks.{level}"
            if layer < _LAYERS_A_LEVEL - 1:
                rules |= _residual(old, f"{new}.resnets.{layer}")
            else:
                for name in ("resample.1", "time_conv"):
                    rules[f"{old}.{name}"] = _one(f"{new}.upsamplers.0.{name}")
    return rules


_BESIDE_LEVELS: Rules = {
    "conv1": _one("quant_conv"),
    "conv2": _one("post_quant_conv"),
    **_of_side("encoder"),
    **_of_side("decoder"),
}
WAN: Rules = {
    **_BESIDE_LEVELS,
    **_residual("encoder.downsamples.#", "encoder.down_blocks.#"),
    **{
        f"encoder.downsamples.#.{name}": _one(f"encoder.down_blocks.#.{name}")
        for name in ("resample.1", "time_conv")
    },
    **_upwards(),
}
"""The layers of Wan 2.1's VAE; names of diffusers are left as they are."""
