"""How trainers name the tensors of a LoRA: the part of the model, the module, and the weight.

``lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight`` changes, in the part ``unet``,
the module ``down_blocks_0_attentions_0_proj_in``, and is its ``lora_down``. Trainers of kohya's
school write underscores for the dots of the module; here everybody's dots are underscores, so
that one table of modules serves all.

Sources: kohya-ss/sd-scripts ``networks/lora*.py`` and ``oft.py`` (``LORA_PREFIX_*``);
KohakuBlueleaf/LyCORIS ``lycoris/kohya.py`` and ``lycoris/modules`` (``weight_list``);
huggingface/diffusers ``loaders/lora_conversion_utils.py``; comfyanonymous/ComfyUI
``comfy/lora.py``; OneTrainer's ``lora_transformer_``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from operator import attrgetter
from typing import NamedTuple

from modelhub.formats.tensors import Tensor

_LAST = frozenset(
    (
        *("lora_A", "lora_B", "lora_magnitude_vector", "dora_scale", "alpha"),
        *("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
        *("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b"),
        *("lokr_t1", "lokr_t2", "oft_blocks", "oft_diag", "oft_R", "rescale"),
        *("diff", "diff_b", "w_norm", "b_norm", "on_input"),
    )
)
"""What a tensor name may end with, in one word."""
_BEFORE_WEIGHT = frozenset(
    (
        *("lora_down", "lora_up", "lora_mid", "lora_A", "lora_B", "lora_magnitude_vector"),
        *("a1", "a2", "b1", "b2", "bm", "oft_R"),
    )
)
"""What it may have before ``.weight``."""

_PARTS: tuple[tuple[str, str], ...] = (
    ("lora_unet_", "unet"),
    ("unet:", "unet"),
    ("text_encoder:", "te1"),
    ("lora_te_", "te1"),
    ("lora_te1_", "te1"),
    ("lora_te2_", "te2"),
    ("lora_te3_", "te3"),
    ("lora_transformer_", "unet"),
    ("lora_prior_unet_", "unet"),
    ("lora_prior_te_", "te1"),
    ("lycoris_", "unet"),
    ("oft_unet_", "unet"),
    ("oft_te1_", "te1"),
    ("oft_te2_", "te2"),
    ("oft_te_", "te1"),
    ("base_model.model.text_encoder.", "te1"),
    ("base_model.model.transformer.", "unet"),
    ("base_model.model.unet.", "unet"),
    ("base_model.model.model.diffusion_model.", "unet"),
    ("base_model.model.diffusion_model.", "unet"),
    ("base_model.model.", "unet"),
    ("text_encoder.", "te1"),
    ("text_encoder_2.", "te2"),
    ("text_encoder_3.", "te3"),
    ("text_encoders.clip_l.transformer.", "te1"),
    ("text_encoders.clip_g.transformer.", "te2"),
    ("text_encoders.t5xxl.transformer.", "te3"),
    ("text_encoders.", "te1"),
    ("clip_l.transformer.", "te1"),
    ("clip_g.transformer.", "te2"),
    ("t5xxl.transformer.", "te3"),
    ("text_model.", "te1"),
    ("transformer.diffusion_model.", "unet"),
    ("transformer.", "unet"),
    ("unet.", "unet"),
    ("model.diffusion_model.", "unet"),
    ("diffusion_model.", "unet"),
    ("pipe.dit.", "unet"),
    ("model.", "unet"),
)
"""Beginnings of tensor names, the longer of two alike first, and the part they stand for."""

_FEW, _MORE = 11, 89
"""How many names are looked at before all of them are, and in a doubtful case."""
_PLACES = tuple(place * 0.6180339887498949 % 1 for place in range(1, _MORE + 1))
"""Where: in the steps of the golden ratio, that fall in with no rhythm of the names."""
_HEAD = 9
_LONG_HEAD = 34


class Part(NamedTuple):
    """Where a tensor belongs."""

    prefix: str
    part: str
    """``unet`` (or a transformer), ``te1``, ``te2``, ``te3``."""
    path: str
    """The module, with underscores for dots."""


_BY_HEAD: dict[str, list[tuple[str, str]]] = {}
for _prefix, _part in _PARTS:
    _BY_HEAD.setdefault(_prefix[:4], []).append((_prefix, _part))


def part_of(stem: str) -> Part:
    """The part of the model and the module that `stem` names; a bare name is the UNet's."""
    for prefix, part in _BY_HEAD.get(stem[:4], ()):
        if stem.startswith(prefix):
            path = stem if prefix == "text_model." else stem[len(prefix) :]
            # Some converters write `lora_unet_unet_`, musubi-tuner `lora_unet__layers`.
            path = path.replace(".", "_").lstrip("_").removeprefix("unet_")
            return Part(prefix, part, path)
    return Part("", "unet", stem.replace(".", "_"))


def split(name: str) -> tuple[str, str] | None:
    """The module and the kind of weight of a tensor of an adapter, or None for any other name."""
    stem, _, last = name.rpartition(".")
    if last in _LAST:
        return stem, last
    if last not in ("weight", "default", "bias"):
        # cloneofsimo/lora numbers the layers: `unet:12:down`.
        stem, _, last = name.rpartition(":")
        return (stem, ":" + last) if last in ("up", "down") else None
    stem, _, middle = stem.rpartition(".")
    if middle == "default":  # PEFT names its adapters, and this is the name of the first.
        stem, _, middle = stem.rpartition(".")
    if middle in _BEFORE_WEIGHT:
        return stem, middle
    if middle in ("down", "up") and "lora" in stem.rpartition(".")[2]:
        return stem, "lora." + middle
    module, _, middle = middle.rpartition("_lora_")
    # Written by converters that flattened the name of the weight as well.
    return (module, "lora_" + middle) if module and middle in ("down", "up") else None


_SHAPE_OF = attrgetter("shape")


class Sample(NamedTuple):
    """One tensor that was looked at closely."""

    name: str
    stem: str
    ending: str


def _sampled(names: list[str], count: int) -> list[Sample]:
    """Some of `names`, as far as they are an adapter's."""
    few = names
    if len(names) > count:
        few = [names[int(place * len(names))] for place in _PLACES[:count]]
    return [Sample(name, *parts) for name in few if (parts := split(name))]


@dataclass(frozen=True)
class Modules:
    """The tensors of an adapter, with what all questions about them need."""

    tensors: Mapping[str, Tensor]
    names: list[str]
    samples: list[Sample]
    encoders: dict[str, str | None] = field(default_factory=dict)
    """Which text encoders the tensors belong to that were asked about."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Modules | None:
        """`tensors` as those of an adapter; None when too few names look like it."""
        names = list(tensors)
        if not names:
            return None
        samples = _sampled(names, _FEW)
        if not samples:
            return None
        if len(samples) * 3 < min(_FEW, len(names)):
            samples = _sampled(names, _MORE)
            if len(samples) * 3 < min(_MORE, len(names)):
                return None
        return cls(tensors, names, samples)

    def has_wide_convolutions(self) -> bool:
        """Whether convolutions of more than one pixel are changed."""
        tensors = self.tensors.values()
        # Most have no convolutions at all: two passes, the first of which is quick.
        return 4 in map(len, map(_SHAPE_OF, tensors)) and any(
            len(one.shape) == 4 and one.shape[2] > 1 for one in tensors
        )

    @cached_property
    def parts(self) -> dict[str, str]:
        """The parts that are changed, each with the name of one of its tensors."""
        # A part has dozens of tensors: a hundredth of them all meets each.
        few = self.names[:: 1 + len(self.names) // 100]
        heads = {name[:_HEAD]: name for name in few}
        if "text_enco" in heads or "base_mode" in heads:
            heads = {name[:_LONG_HEAD]: name for name in few}
        found: dict[str, str] = {}
        for name in heads.values():
            found.setdefault(part_of(name).part, name)
        return found

    @cached_property
    def _lines(self) -> str:
        return "\n".join(self.names)

    @cached_property
    def _flat(self) -> str:
        # Of kohya's school, the modules have no dots to begin with.
        dotted = any("." in sample.stem for sample in self.samples)
        return self._lines.replace(".", "_") if dotted else self._lines

    def find(self, needle: str) -> str | None:
        """The first name whose module holds `needle`, dots counting as underscores."""
        at = self._flat.find(needle)
        if at < 0:
            return None
        start = self._lines.rfind("\n", 0, at) + 1
        end = self._lines.find("\n", at)
        return self._lines[start : end if end >= 0 else None]

    def has(self, ending: str) -> str | None:
        """A tensor with that ending, of one of a few modules."""
        for sample in self.samples[:5]:
            if (name := f"{sample.stem}.{ending}") in self.tensors:
                return name
        return None

    def width(self, name: str) -> int | None:
        """How wide the input of the layer is that the tensor `name` changes."""
        parts = split(name)
        return None if parts is None else input_width(self.tensors, parts[0])

    def out_width(self, name: str) -> int | None:
        """How wide the output of that layer is."""
        parts = split(name)
        return None if parts is None else output_width(self.tensors, parts[0])


_INPUTS = (
    *(".lora_down.weight", ".lora_A.weight", ".down.weight", ".hada_w1_b", ".diff"),
    *(".lora_A.default.weight", ".lora_A", "_lora_down.weight", ":down"),
)
_OUTPUTS = (
    *(".lora_up.weight", ".lora_B.weight", ".up.weight", ".hada_w1_a", ".diff"),
    *(".lora_B.default.weight", ".lora_B", "_lora_up.weight", ":up"),
)


def input_width(tensors: Mapping[str, Tensor], stem: str) -> int | None:
    """The input width of the layer `stem`, whatever the kind of adapter."""
    for ending in _INPUTS:
        tensor = tensors.get(stem + ending)
        if tensor is not None:
            return tensor.shape[1] if len(tensor.shape) > 1 else None
    glora = tensors.get(stem + ".a2.weight")
    if glora is not None and len(glora.shape) > 1:
        return max(glora.shape[:2])
    return _kronecker(tensors, stem, 1)


def output_width(tensors: Mapping[str, Tensor], stem: str) -> int | None:
    """The output width of the layer `stem`."""
    for ending in _OUTPUTS:
        tensor = tensors.get(stem + ending)
        if tensor is not None:
            return tensor.shape[0] if tensor.shape else None
    return _kronecker(tensors, stem, 0)


def _kronecker(tensors: Mapping[str, Tensor], stem: str, axis: int) -> int | None:
    """A width of a LoKr layer: the product of those of its two factors, each whole or in two."""
    widths = []
    for factor in ("1", "2"):
        whole = tensors.get(f"{stem}.lokr_w{factor}")
        half = whole or tensors.get(f"{stem}.lokr_w{factor}_{'ab'[axis]}")
        if half is None or len(half.shape) <= axis:
            return None
        widths.append(half.shape[axis])
    return prod(widths)
