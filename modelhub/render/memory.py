"""What a render will need of a device's memory, and what can be done where that is not there.

The steps of the ladder, each with less memory and more time than the one before:

====================  ==========================================================================
as it is              all parts on the device
sliced                attention in slices, the picture decoded in tiles
parts in turn         the text encoders, the UNet and the VAE on the device one after the other
blocks in turn        each layer there only while it computes
8-bit storage         the same, and the UNet's weights kept in 8 bits: a picture of its own
====================  ==========================================================================

On a CPU there is no other memory to keep weights in: between sliced and 8-bit storage is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from modelhub.disk import gib
from modelhub.errors import NotEnoughMemory, UsageError
from modelhub.render.devices import Device
from modelhub.render.pipelines.plans import DENOISERS

_HEADROOM = 0.92
"""Of the free memory that is counted on: allocators lose some to fragments."""
_RUNTIME = 400 << 20
"""Bytes of a GPU that its libraries take with the first kernel."""
_TILE = 64
"""Width of a tile of latents (``AutoencoderKL.tile_latent_min_size`` of a VAE for 512 pixels)."""
_LATENT = 8
"""Pixels of a picture for one of the latents."""
_UNET_MAPS = 12
"""Maps of the first level's width that are alive at once in a UNet: skips, and a gated MLP."""
_VAE_MAPS = 5
"""The same of a decoder's widest level at full size."""
_SLICE_GAIN = 2
_OF_REFINER = "refiner's "


class Placement(StrEnum):
    """Where the weights are."""

    RESIDENT = "resident"
    PARTS = "parts in turn"
    BLOCKS = "blocks in turn"


@dataclass(frozen=True, slots=True)
class Fit:
    """How a pipeline is made to fit: one step of the ladder.

    :param sliced: attention in slices, the VAE in tiles and one picture at a time.
    :param eight_bit: the UNet's weights are kept in fp8 and widened layer by layer.
    """

    placement: Placement = Placement.RESIDENT
    sliced: bool = False
    eight_bit: bool = False

    @property
    def words(self) -> str:
        """For people, in one line; empty for the first step."""
        said = []
        if self.placement is Placement.PARTS:
            said.append("model offload (parts in turn)")
        elif self.placement is Placement.BLOCKS:
            said.append("sequential offload (blocks in turn)")
        if self.eight_bit:
            said.append("weights of the UNet stored in fp8 (the picture differs)")
        if self.sliced:
            said.append("attention slicing and VAE tiling")
        return ", ".join(said)


AS_IS = Fit()
_SLICED = Fit(sliced=True)
_LADDER = (
    AS_IS,
    _SLICED,
    Fit(Placement.PARTS, sliced=True),
    Fit(Placement.BLOCKS, sliced=True),
    Fit(Placement.BLOCKS, sliced=True, eight_bit=True),
)
_LADDER_OF_CPU = (AS_IS, _SLICED, Fit(sliced=True, eight_bit=True))
_OFFLOADS = {
    "none": Placement.RESIDENT,
    "model": Placement.PARTS,
    "sequential": Placement.BLOCKS,
}


class Sized(Protocol):
    """What is asked of a part: :class:`modelhub.render.pipelines.plans.PartPlan` is one."""

    @property
    def folder(self) -> str:
        """Its name."""

    @property
    def parameters(self) -> int:
        """How many numbers it has."""

    @property
    def config(self) -> Mapping[str, object]:
        """Of its module."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes that a render needs.

    :param weights: of each part, in the type that it is computed in.
    :param denoising: beside the weights, in a step of the UNet.
    :param decoding: beside them, when the VAE decodes.
    :param tiled: the same, in tiles.
    :param replaced: of weights in whose place LoRAs put others: where all parts stay on the
        device, they stay there too.
    """

    weights: Mapping[str, int]
    denoising: int
    decoding: int
    tiled: int
    replaced: int = 0

    def with_refiner(self, refiner: Estimate) -> Estimate:
        """What both stages need, one after the other; parts of both are counted twice."""
        own = {f"{_OF_REFINER}{name}": size for name, size in refiner.weights.items()}
        return replace(
            self,
            weights={**self.weights, **own},
            denoising=max(self.denoising, refiner.denoising),
        )

    def with_loras(self, replaced: int) -> Estimate:
        """The same, with so many bytes of weights replaced."""
        return replace(self, replaced=replaced)

    def needed(self, fit: Fit, device: Device) -> int:
        """Bytes of the device in that step of the ladder."""
        runtime = 0 if device.is_cpu else _RUNTIME
        return runtime + self._with(fit)

    def beside(self, fit: Fit) -> int:
        """Bytes beside the weights in that step of the ladder, at the most."""
        return max(self._beside(fit))

    def _beside(self, fit: Fit) -> tuple[int, int]:
        """When the model denoises, and when the VAE decodes."""
        if fit.sliced:
            return self.denoising // _SLICE_GAIN, self.tiled
        return self.denoising, self.decoding

    def _with(self, fit: Fit) -> int:
        weights = dict(self.weights)
        denoising, decoding = self._beside(fit)
        denoisers = {name for name in weights if name.removeprefix(_OF_REFINER) in DENOISERS}
        if fit.eight_bit:
            weights |= {name: weights[name] // 2 for name in denoisers}
        if fit.placement is Placement.RESIDENT:
            return sum(weights.values()) + self.replaced + max(denoising, decoding)
        if fit.placement is Placement.BLOCKS:
            # One layer at a time; the widest has some thirtieth of a model's weights.
            return max(weights.values(), default=0) // 30 + max(denoising, decoding)
        beside = {**dict.fromkeys(denoisers, denoising), "vae": decoding}
        return max((size + beside.get(name, 0) for name, size in weights.items()), default=0)

    @property
    def words(self) -> str:
        """For people: ``3.97 GiB of weights, 0.80 GiB beside them``."""
        beside = max(self.denoising, self.decoding)
        weights = sum(self.weights.values()) + self.replaced
        return f"{gib(weights)} of weights, {gib(beside)} beside them"


def estimate(
    parts: Mapping[str, tuple[Sized, int]], *, width: int, height: int, guided: bool = True
) -> Estimate:
    """What a picture of that size needs; known before anything is loaded.

    :param parts: each with the bytes of one number of it.
    :param width: of the picture, in pixels; `height` the same.
    :param guided: the UNet sees each picture twice, with the prompt and without.
    """
    latents = max(1, width // _LATENT) * max(1, height // _LATENT)
    unet, vae = parts.get("unet") or parts.get("transformer"), parts.get("vae")
    denoising = decoding = tiled = 0
    if unet is not None:
        maps = _UNET_MAPS * _first_width(unet[0])
        denoising = maps * latents * unet[1] * (2 if guided else 1)
    if vae is not None:
        maps = _VAE_MAPS * _first_width(vae[0]) * 2 * _LATENT * _LATENT * vae[1]
        decoding = maps * latents
        tiled = maps * min(latents, _TILE * _TILE) + latents * _LATENT * _LATENT * 3 * vae[1]
    weights = {name: part.parameters * size for name, (part, size) in parts.items()}
    return Estimate(weights, denoising, decoding, tiled)


def _first_width(part: Sized) -> int:
    widths = part.config.get("block_out_channels", part.config.get("decoder_block_out_channels"))
    if isinstance(widths, list | tuple) and widths and isinstance(widths[0], int):
        return widths[0]
    base = part.config.get("base_dim")
    if isinstance(base, int):
        return base
    heads, width = part.config.get("num_attention_heads"), part.config.get("attention_head_dim")
    return heads * width if isinstance(heads, int) and isinstance(width, int) else 1024


def ladder(device: Device) -> tuple[Fit, ...]:
    """The steps that make sense on a device, from the fastest on."""
    return _LADDER_OF_CPU if device.is_cpu else _LADDER


def choose_fit(estimated: Estimate, device: Device, offload: str | None = None) -> Fit:
    """The first step of the ladder whose estimate fits into the device's free memory.

    :param offload: ``none``, ``model``, ``sequential``: where the weights are, whatever fits.
    :raises NotEnoughMemory: none does.
    :raises UsageError: `offload` is another word.
    """
    if offload is not None and offload not in _OFFLOADS:
        raise UsageError(
            f"there is no offload {offload[:40]!r}", hint="choose none, model or sequential"
        )
    steps = ladder(device)
    if offload is not None and not device.is_cpu:
        steps = tuple(one for one in steps if one.placement is _OFFLOADS[offload])
    room = int(device.free * _HEADROOM)
    for one in steps:
        if estimated.needed(one, device) <= room:
            return one
    if offload is not None:
        # What was asked for in so many words is tried; what happens then is told then.
        return steps[-1]
    least = estimated.needed(steps[-1], device)
    raise NotEnoughMemory(
        f"{device.words} has {gib(device.free)} free, and at least {gib(least)} are needed "
        f"({estimated.words})"
    )


def next_fit(fit: Fit, device: Device) -> Fit | None:
    """The step after one that ran out of memory; None after the last."""
    steps = ladder(device)
    try:
        place = steps.index(fit)
    except ValueError:
        return None
    return steps[place + 1] if place + 1 < len(steps) else None
