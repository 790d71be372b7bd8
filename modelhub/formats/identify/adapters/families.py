"""Which kind of adapter it is: how the difference to each layer is written down.

Sources: KohakuBlueleaf/LyCORIS ``lycoris/modules/*.py`` (``weight_list``, ``weight_list_det``);
AUTOMATIC1111/stable-diffusion-webui ``extensions-builtin/Lora/network_*.py``;
XLabs-AI/x-flux ``src/flux/modules/layers.py``;
comfyanonymous/ComfyUI ``comfy/weight_adapter``; huggingface/peft ``src/peft/tuners``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from modelhub.formats.identify.adapters.naming import Modules, split


class Family(NamedTuple):
    """What kind of adapter, and why."""

    name: str
    because: str
    variants: tuple[str, ...]
    rank: int | None
    rank_because: str


_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lokr", ("lokr_w1", "lokr_w2", "lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b")),
    ("loha", ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")),
    ("oft", ("oft_blocks", "oft_diag", "oft_R")),
    ("glora", ("a1", "a2", "b1", "b2", "bm")),
    ("ia3", ("on_input",)),
    ("lora", ("lora_down", "lora_up", "lora_mid")),
    ("peft", ("lora_A", "lora_B")),
    ("diffusers", ("lora.down", "lora.up")),
    ("cloneofsimo", (":down", ":up")),
    ("full", ("diff", "diff_b")),
    ("norm", ("w_norm", "b_norm")),
)
"""The kinds and the weights that each is made of; of two in one file, the first is named."""
_KIND_OF = {ending: kind for kind, endings in _KINDS for ending in endings}
_ORDER = {kind: place for place, (kind, _) in enumerate(_KINDS)}

_RANKS = (
    *(".lora_down.weight", ".lora_A.weight", ".down.weight", ".hada_w1_b", ".lokr_w2_b"),
    *(".lokr_w1_b", ".lora_A.default.weight", ".lora_A", "_lora_down.weight", ":down"),
)
"""The weights whose first side is the rank."""


def family_of(modules: Modules) -> Family | None:
    """The family of an adapter; None when its weights are no adapter's."""
    kind, sample = _main_kind(modules)
    if kind is None or _is_quantised_base(modules):
        return None
    name, because, variants = _NAMED.get(kind, _plain)(modules, kind, sample)
    rank, rank_because = _rank(modules)
    return Family(name, because, variants, rank, rank_because)


def _main_kind(modules: Modules) -> tuple[str | None, str]:
    """The kind of most of the samples, and one of its tensors."""
    kinds: Counter[str] = Counter()
    names: dict[str, str] = {}
    for name, _, ending in modules.samples:
        if ending in _KIND_OF:
            kinds[_KIND_OF[ending]] += 1
            names.setdefault(_KIND_OF[ending], name)
    if not kinds:
        # All that was looked at are alphas and scales: look at all.
        for name in modules.names:
            parts = split(name)
            if parts is not None and parts[1] in _KIND_OF:
                return _KIND_OF[parts[1]], name
        return None, ""
    most = max(kinds, key=lambda kind: (kinds[kind], -_ORDER[kind]))
    return most, names[most]


def _is_quantised_base(modules: Modules) -> bool:
    """Whether it is a whole model in SVDQuant, whose low-rank branches are named like a LoRA's.

    Source: nunchaku-tech/nunchaku (``qweight``, ``wscales`` beside ``lora_down``).
    """
    return modules.has("qweight") is not None


_MAGNITUDES = ("dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.weight")


def _magnitude(modules: Modules) -> str | None:
    """A tensor that keeps the magnitudes of a layer apart: DoRA, of whatever trainer."""
    for sample in modules.samples:
        if sample.ending in _MAGNITUDES:
            return sample.name
    for ending in _MAGNITUDES:
        if (name := modules.has(ending)) is not None:
            return name
    return None


def _lora(modules: Modules, kind: str, sample: str) -> tuple[str, str, tuple[str, ...]]:
    if (magnitude := _magnitude(modules)) is not None:
        return "dora", f"magnitudes of their own ({short(magnitude)})", ()
    if modules.has_wide_convolutions():
        middle = modules.find("lora_mid")
        because = f"Tucker-decomposed ({short(middle)})" if middle else "of 3x3 are changed too"
        return "locon", f"convolutions {because}", ()
    return "kohya", f"lora_down and lora_up ({short(sample)})", ()


def _peft(modules: Modules, kind: str, sample: str) -> tuple[str, str, tuple[str, ...]]:
    if (magnitude := _magnitude(modules)) is not None:
        return "dora", f"magnitudes of their own ({short(magnitude)})", ()
    pipeline = sample.startswith(("unet.", "transformer.", "text_encoder"))
    name = "diffusers" if pipeline else "peft"
    return name, f"lora_A and lora_B ({short(sample)})", ()


def _diffusers(modules: Modules, kind: str, sample: str) -> tuple[str, str, tuple[str, ...]]:
    if ".processor.qkv_lora" in sample or ".processor.proj_lora" in sample:
        return "xlabs", f"processors of the blocks of Flux ({short(sample)})", ()
    return "diffusers", f"lora.down and lora.up of attention processors ({short(sample)})", ()


def _oft(modules: Modules, kind: str, sample: str) -> tuple[str, str, tuple[str, ...]]:
    # LyCORIS' BOFT has one dimension more: the stages of the butterfly.
    butterfly = len(modules.tensors[sample].shape) == 4 and sample.endswith("oft_blocks")
    return "boft" if butterfly else "oft", f"orthogonal blocks ({short(sample)})", ()


def _plain(modules: Modules, kind: str, sample: str) -> tuple[str, str, tuple[str, ...]]:
    because = {
        "lokr": "Kronecker factors",
        "loha": "Hadamard factors",
        "glora": "the four factors of GLoRA",
        "ia3": "scales of activations",
        "full": "whole differences",
        "norm": "differences of norms",
        "cloneofsimo": "numbered layers, as the first trainer of LoRAs for images wrote them",
    }[kind]
    variants = ("dora",) if _magnitude(modules) is not None else ()
    return kind, f"{because} ({short(sample)})", variants


_NAMED = {"lora": _lora, "peft": _peft, "diffusers": _diffusers, "oft": _oft}


def _ranks(modules: Modules, stems: Iterable[str]) -> set[int]:
    tensors = modules.tensors
    found = set()
    likely = _RANKS[0]
    for stem in stems:
        # All layers of a file have the same ending: the last that fitted is asked first.
        for ending in (likely, *_RANKS):
            tensor = tensors.get(stem + ending)
            if tensor is not None:
                likely = ending
                if tensor.shape:
                    found.add(tensor.shape[0])
                break
    return found


def _rank(modules: Modules) -> tuple[int | None, str]:
    """The rank: where the layers differ, the highest."""
    ranks = _ranks(modules, (sample.stem for sample in modules.samples))
    if not ranks:
        return None, ""
    alpha = ", and an alpha each" if modules.has("alpha") is not None else ""
    if len(ranks) == 1:
        rank = ranks.pop()
        return rank, f"the layers have rank {rank}{alpha}"
    stems = {parts[0] for name in modules.names if (parts := split(name))}
    ranks |= _ranks(modules, stems)
    return max(ranks), f"the layers have ranks from {min(ranks)} to {max(ranks)}{alpha}"


def short(name: str) -> str:
    """A tensor's name, shortened to what tells it apart."""
    return name if len(name) <= 60 else "…" + name[-58:]
