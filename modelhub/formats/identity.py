"""What identification says of a file, with the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class ModelKind(StrEnum):
    """What a file is for. The values are the types of the search language (``type:lora``)."""

    CHECKPOINT = "checkpoint"
    DIFFUSION_MODEL = "unet"
    """A UNet or a transformer alone."""
    VAE = "vae"
    TEXT_ENCODER = "textencoder"
    CLIP_VISION = "clipvision"
    LORA = "lora"
    """Every small set of differences to a model's weights; its family is the `adapter`."""
    EMBEDDING = "embedding"
    HYPERNETWORK = "hypernetwork"
    AESTHETIC_GRADIENT = "aestheticgradient"
    CONTROLNET = "controlnet"
    T2I_ADAPTER = "t2iadapter"
    IP_ADAPTER = "ipadapter"
    UPSCALER = "upscaler"
    MOTION_MODULE = "motionmodule"
    DETECTION = "detection"
    VISION_LANGUAGE = "visionlanguage"
    OTHER = "other"
    """A model that is certainly none of the others; one that we do not know has no kind."""


class Evidence(msgspec.Struct, frozen=True):
    """Why one thing is said of a file."""

    field: str
    """Of :class:`Identity`: ``kind``, ``architecture``, ``ema``, ..."""
    value: str
    because: str
    """For people: ``cross-attention width 768 (…attn2.to_k.weight)``."""
    certain: bool = True
    """False: a guess, told from a name, a title or what is usual."""


class Identity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file is. None, or empty, is "unknown"."""

    kind: ModelKind | None = None
    adapter: str | None = None
    """Of a LoRA: ``kohya``, ``locon``, ``loha``, ``lokr``, ``dora``, ``oft``, ``diffusers``, ..."""
    architecture: str | None = None
    """The key of the architecture (``sd1``, ``sdxl``, ``flux``), as ``arch:`` searches it."""
    edition: str | None = None
    """Which of the architecture's models: ``refiner``, ``schnell``, ``3.5 medium``, ``768-v``."""
    variants: tuple[str, ...] = ()
    """``inpainting``, ``instruct-pix2pix``, ``depth``, ``v-prediction``, ``lcm``, ``turbo``, ..."""
    family: str | None = None
    """``pony``, ``illustrious``, ``noobai``: told by metadata, never by tensors."""
    precision: str | None = None
    """``fp16``, ``bf16``, ``fp32``, ``fp8``, ``mixed``, ``nf4``, ``Q4_K_M``, ..."""
    precisions: Mapping[str, str] = {}
    """The same by part: ``unet``, ``vae``, ``text encoder``, ``ema``."""
    parameters: int | None = None
    """How many numbers, EMA copies and training state left out."""
    ema: bool | None = None
    pruned: bool | None = None
    """None where the question makes no sense (a LoRA)."""
    vae: bool | None = None
    """Whether a checkpoint has a VAE baked in; None for what is no checkpoint."""
    text_encoders: tuple[str, ...] = ()
    """``CLIP-L``, ``OpenCLIP-bigG``, ``T5-XXL``, ... that are inside."""
    title: str | None = None
    author: str | None = None
    trigger_words: tuple[str, ...] = ()
    """By the trainer's own count, the most frequent first, or as ``modelspec.trigger_phrase``."""
    resolution: str | None = None
    """``512x512``, as trained or published."""
    rank: int | None = None
    """Of a LoRA."""
    training: Mapping[str, str] = {}
    """What a trainer left: base model, optimiser, epochs, images, as text."""
    claims: Mapping[str, str] = {}
    """Hashes of the tensors that the metadata claim: ``sshs_model_hash``, ..."""
    evidence: tuple[Evidence, ...] = ()

    @property
    def guessed(self) -> frozenset[str]:
        """The fields that are guesses."""
        sure = {one.field for one in self.evidence if one.certain}
        return frozenset(one.field for one in self.evidence if one.field not in sure)
