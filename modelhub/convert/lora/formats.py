"""The names that programs give to the tensors of a LoRA: from one program's to another's.

=============  ==========================================================================
kohya          ``lora_unet_<module with underscores>.lora_down.weight``, ``.lora_up.weight``,
               ``.alpha``; ``lora_te_`` or, of SDXL, ``lora_te1_`` and ``lora_te2_``. The
               modules of SDXL's UNet are named as in the original code.
diffusers      ``unet.<module>.lora_A.weight``, ``.lora_B.weight``; ``transformer.``,
               ``text_encoder.``, ``text_encoder_2.``. No alpha.
PEFT           ``base_model.model.<module>.lora_A.weight``: of one model alone. No alpha.
=============  ==========================================================================

Sources: kohya-ss/sd-scripts ``networks/lora.py`` (``LORA_PREFIX_*``); huggingface/diffusers
``loaders/lora_pipeline.py``, ``utils/state_dict_utils.py``; huggingface/peft
``src/peft/utils/save_and_load.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum

from modelhub.convert.lora.adapter import Adapter, Layer
from modelhub.convert.lora.names import diffusers_unet, original_unet
from modelhub.convert.lora.words import dotted, flat
from modelhub.errors import ConversionRefused
from modelhub.formats.identity import Identity


class LoraKeys(StrEnum):
    """Whose names the tensors of a LoRA have."""

    KOHYA = "kohya"
    DIFFUSERS = "diffusers"
    PEFT = "peft"

    @property
    def has_alpha(self) -> bool:
        """Whether the alphas stand beside the factors; else they are multiplied in."""
        return self is LoraKeys.KOHYA


_SUFFIXES = {
    LoraKeys.KOHYA: {
        "down": ".lora_down.weight",
        "up": ".lora_up.weight",
        "mid": ".lora_mid.weight",
        "alpha": ".alpha",
        "magnitude": ".dora_scale",
    },
    LoraKeys.DIFFUSERS: {
        "down": ".lora_A.weight",
        "up": ".lora_B.weight",
        "magnitude": ".lora_magnitude_vector",
    },
}
_SUFFIXES[LoraKeys.PEFT] = _SUFFIXES[LoraKeys.DIFFUSERS]
_UNETS = frozenset(("sd1", "sd2", "sdxl"))
_PIPELINE = {"te1": "text_encoder", "te2": "text_encoder_2", "te3": "text_encoder_3"}
_PEFT_PREFIX = "base_model.model."
_ATTENTION_ON_THE_WAY_UP = {None: frozenset((0, 1)), "refiner": frozenset((1, 2))}
"""Of the UNets of SDXL, by edition: which of the ``up_blocks`` have attention."""


def keys_of(adapter: Adapter) -> LoraKeys | None:
    """Whose names a file has; None of diffusers' older forms and of other programs."""
    names = [name for layer in adapter.layers.values() for name in layer.names.values()]
    if all(name.startswith(("lora_unet_", "lora_te")) for name in names):
        return LoraKeys.KOHYA
    new = all(".lora_A" in name or ".lora_B" in name or "magnitude" in name for name in names)
    if not new:
        return None
    if all(name.startswith(_PEFT_PREFIX) for name in names):
        return LoraKeys.PEFT
    pipeline = ("unet.", "transformer.", "text_encoder")
    return LoraKeys.DIFFUSERS if all(name.startswith(pipeline) for name in names) else None


@dataclass(frozen=True, slots=True)
class Naming:
    """How the layers of one LoRA are named in a form.

    :param attention: the ``up_blocks`` with attention, where modules have their original names.
    """

    keys: LoraKeys
    architecture: str | None
    attention: Set[int] | None = None

    @classmethod
    def to(cls, keys: LoraKeys, identity: Identity, layers: Iterable[Layer]) -> Naming:
        """The naming `keys` for these layers.

        :raises ConversionRefused: the form has no names for them.
        """
        parts = {layer.part for layer in layers}
        if keys is LoraKeys.PEFT and len(parts) > 1:
            raise ConversionRefused(
                "a PEFT adapter is of one model, and this LoRA changes the diffusion model and "
                "text encoders",
                hint="`--lora-keys diffusers` names all of them in one file",
            )
        foreign = identity.architecture is not None and identity.architecture not in _UNETS
        if keys is LoraKeys.KOHYA and foreign:
            raise _untranslated(identity.architecture)
        original = identity.architecture == "sdxl" and keys is LoraKeys.KOHYA
        attention = _ATTENTION_ON_THE_WAY_UP.get(identity.edition, frozenset((0, 1)))
        return cls(keys, identity.architecture, attention if original else None)

    def name(self, layer: Layer, role: str) -> str:
        """What a tensor of a layer is called.

        :raises ConversionRefused: the form has no name for it.
        """
        suffix = _SUFFIXES[self.keys].get(role)
        if suffix is None:
            raise ConversionRefused(
                f"{self.keys} has no name for {layer.names.get(role, role)[:200]}: LoRAs of two "
                "factors alone change from one form to another",
                hint="leave out --lora-keys: other conversions keep the names",
            )
        return self.stem(layer) + suffix

    def stem(self, layer: Layer) -> str:
        """What the names of a layer's tensors begin with.

        :raises ConversionRefused: the form has no name for its module.
        """
        path = self._path(layer)
        if self.keys is LoraKeys.PEFT:
            return _PEFT_PREFIX + path
        if self.keys is LoraKeys.DIFFUSERS:
            return f"{self._pipeline(layer)}.{path}"
        if layer.part == "unet":
            return f"lora_unet_{flat(path)}"
        number = layer.part.removeprefix("te") if self.architecture == "sdxl" else ""
        return f"lora_te{number}_{flat(path)}"

    def _pipeline(self, layer: Layer) -> str:
        if layer.part != "unet":
            return _PIPELINE[layer.part]
        return "unet" if self.architecture in _UNETS else "transformer"

    def _path(self, layer: Layer) -> str:
        path = dotted(layer.path)
        if layer.part != "unet":
            return path
        if self.architecture not in _UNETS:
            return self._transformer_path(layer, path)
        path = diffusers_unet(path) or path
        if self.attention is None:
            return path
        original = original_unet(path, self.attention)
        if original is None:
            raise ConversionRefused(f"the original UNet has no module {path[:200]}", hint="")
        return original

    def _transformer_path(self, layer: Layer, path: str) -> str:
        """Transformers have other modules in every program: only diffusers' are renamed."""
        whole = layer.stem.removeprefix(_PEFT_PREFIX).removeprefix("transformer.")
        if self.keys is not LoraKeys.KOHYA and flat(whole) == layer.path and "." in whole:
            return whole
        raise _untranslated(self.architecture)


def _untranslated(architecture: str | None) -> ConversionRefused:
    return ConversionRefused(
        f"the LoRA is for {architecture or 'an unknown model'}: names are translated for SD 1.x, "
        "SD 2.x and SDXL alone",
        hint="programs join and split the layers of transformers in their own ways; its type and "
        "rank can be changed, and it can be merged, under the names that it has",
    )
