"""What a user can ask of a conversion, in the words of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from modelhub.formats.identify.parts import Role


class Precision(StrEnum):
    """A type that weights are cast to."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"

    @property
    def dtype(self) -> str:
        """Its name in safetensors."""
        return {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}[self.value]


class Ema(StrEnum):
    """What becomes of the averaged twin (EMA) of the diffusion model's weights."""

    KEEP = "keep"
    DROP = "drop"
    SWAP = "swap"
    """Its values take the place of the others, under their names; nothing of it is left beside."""


class Overflow(StrEnum):
    """What becomes of a tensor with finite values beyond what fp16 holds (65,504)."""

    STOP = "stop"
    """The conversion fails, and names them."""
    FP32 = "fp32"
    """The tensor is kept in fp32."""
    BF16 = "bf16"
    """The tensor is kept in bf16."""


class Target(StrEnum):
    """How the result is written."""

    SAFETENSORS = "safetensors"
    CKPT = "ckpt"
    """The zip of ``torch.save``."""
    DIFFUSERS = "diffusers"
    """A folder with ``model_index.json``."""


class Extract(StrEnum):
    """The one part that is written, under the names that it has in a file of its own."""

    VAE = "vae"
    UNET = "unet"
    TEXT_ENCODER = "text-encoder"
    """The only one that the file has."""
    CLIP_L = "clip-l"
    CLIP_G = "clip-g"
    T5XXL = "t5xxl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What to make of a file. All defaults together: the same tensors, as safetensors.

    :param dtype: of all floating-point tensors of the weights; None leaves them.
    :param part_dtypes: the same for single parts, and stronger: ``{Role.VAE: Precision.FP32}``.
    :param prune: leave out what no program reads: training state, the EMA twin (unless `ema` says
        otherwise), numbers of the noise schedule, junk.
    :param fix: mend what is known to be broken: ``position_ids`` of another type, missing prefixes.
    """

    dtype: Precision | None = None
    part_dtypes: Mapping[Role, Precision] = field(default_factory=lambda: MappingProxyType({}))
    ema: Ema | None = None
    prune: bool = False
    extract: Extract | None = None
    target: Target = Target.SAFETENSORS
    overflow: Overflow = Overflow.STOP
    fix: bool = True
