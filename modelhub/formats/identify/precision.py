"""In which precision a part is stored, and how many numbers it has.

The types of quantised formats are those that the writers use: bitsandbytes keeps 4-bit numbers
packed in ``U8`` beside an ``.absmax``, NVFP4 beside two scales, nunchaku in a ``.qweight``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from modelhub.formats.identify.parts import Part
from modelhub.formats.tensors import Tensor

MOST = 0.9
"""The share of a part's numbers that gives its precision the name; below it is ``mixed``."""

_WORDS = {
    "F64": "fp64",
    "F32": "fp32",
    "F16": "fp16",
    "BF16": "bf16",
    "F8_E4M3": "fp8",
    "F8_E5M2": "fp8",
    "F8_E4M3FNUZ": "fp8",
    "F8_E5M2FNUZ": "fp8",
    "F8_E8M0": "fp8",
    "F4": "fp4",
    "I8": "int8",
    "U8": "int8",
}
_COUNTERS = frozenset({"I64", "U64", "I32", "U32", "I16", "U16", "BOOL"})
"""Types of positions and counters, not of weights."""

# ggml-org/llama.cpp include/llama.h, enum llama_ftype: ``general.file_type`` of a GGUF file.
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
}


def word(dtype: str) -> str:
    """What a type of tensors is called: ``fp16``, ``bf16``, ``Q4_K``."""
    return _WORDS.get(dtype, dtype if dtype[:1] in {"Q", "I", "T"} else dtype.lower())


def file_type(metadata: Mapping[str, str]) -> str | None:
    """The quantisation that a GGUF file says it has; None where it says none."""
    text = metadata.get("general.file_type", "")
    named = _FILE_TYPES.get(int(text)) if text.isdecimal() and len(text) < 4 else None
    return word(named) if named else None


@dataclass(frozen=True, slots=True)
class Packing:
    """How bytes of a part hold its numbers, told from what stands beside a tensor."""

    name: str
    per_byte: int
    because: str


# What stands beside a weight of bytes, by the endings of the names: of the weight, of its
# companion, what that makes it, how many numbers a byte holds. Sources: bitsandbytes-foundation/
# bitsandbytes functional.py (QuantState.as_dict); comfyanonymous/ComfyUI comfy/quant_ops.py and
# comfy/utils.py (convert_old_quants); nunchaku-tech/nunchaku nunchaku/models/linear.py.
_COMPANIONS: tuple[tuple[str, str, str, int], ...] = (
    (".weight", ".weight.quant_state.bitsandbytes__nf4", "nf4", 2),
    (".weight", ".weight.quant_state.bitsandbytes__fp4", "fp4", 2),
    (".weight", ".weight.absmax", "nf4", 2),
    (".weight", ".SCB", "int8", 1),
    (".weight", ".weight_scale_2", "nvfp4", 2),
    (".qweight", ".wtscale", "nvfp4", 2),
    (".qweight", ".wcscales", "nvfp4", 2),
    (".qweight", ".wscales", "int4", 2),
    (".weight", ".scale_weight", "fp8", 1),
    (".weight", ".weight_scale", "fp8", 1),
)
_FIRST = 1_000
BYTES = frozenset({"U8", "I8", "F8_E4M3", "F8_E5M2", "F4"})


def packing(tensors: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> Packing | None:
    """How the bytes under these prefixes hold numbers; None where nothing tells."""
    bytes_under = (
        name
        for name, tensor in tensors.items()
        if tensor.dtype in BYTES and name.startswith(prefixes)
    )
    # The first ones tell: a model is packed all through, or is not.
    for name in islice(bytes_under, _FIRST):
        for ending, companion, what, per_byte in _COMPANIONS:
            beside = name[: -len(ending)] + companion
            if name.endswith(ending) and beside in tensors:
                what = _by_types(what, tensors[name].dtype, tensors[beside].dtype)
                return Packing(what, per_byte, beside)
    return None


def _by_types(what: str, dtype: str, beside: str) -> str:
    if what != "fp8":
        return what
    if not dtype.startswith("F8"):
        return "int8"
    return "mxfp8" if beside in {"F8_E8M0", "U8"} else what


def majority(
    numbers: Mapping[str, int], packed: Packing | None = None, *, mixed: bool = True
) -> tuple[str, str] | None:
    """The precision of a part, and why: by numbers, not by tensors. None for no weights.

    :param packed: how bytes hold numbers.
    :param mixed: say ``mixed`` where nothing has most of the numbers, in place of what has more
        than all others.
    """
    shares: dict[str, int] = {}
    for dtype, count in numbers.items():
        if dtype in _COUNTERS:
            continue
        name = word(dtype)
        if packed is not None and dtype in BYTES:
            name, count = packed.name, count * packed.per_byte
        shares[name] = shares.get(name, 0) + count
    total = sum(shares.values())
    if not total:
        return None
    name, count = max(shares.items(), key=lambda one: one[1])
    if count == total and packed is None:
        return name, f"all numbers are {name}"
    by_size = sorted(shares.items(), key=lambda one: -one[1])
    because = ", ".join(f"{_percent(number, total)} {what}" for what, number in by_size)
    if packed is not None:
        because += f" ({packed.because})"
    return (name if count >= MOST * total or not mixed else "mixed"), because


def parameters(numbers: Mapping[str, int], packed: Packing | None = None) -> int:
    """How many numbers the weights have; counters and positions are none."""
    return sum(
        count * packed.per_byte if packed is not None and dtype in BYTES else count
        for dtype, count in numbers.items()
        if dtype not in _COUNTERS
    )


def together(parts: Iterable[Part]) -> dict[str, int]:
    """The numbers of several parts by type."""
    numbers: dict[str, int] = {}
    for part in parts:
        for dtype, count in part.numbers.items():
            numbers[dtype] = numbers.get(dtype, 0) + count
    return numbers


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    if count == total:
        return "100 %"
    return f"{share:.0f} %" if 1 <= share < 99 else f"{share:.1f} %"
