"""Which type each tensor is written in."""

from __future__ import annotations

from modelhub.convert.options import ConvertOptions, Precision
from modelhub.convert.plan.draft import Draft, Entry
from modelhub.convert.plan.ema import is_counter
from modelhub.convert.plan.wording import some
from modelhub.formats.identify.parts import Role

FLOATS = frozenset(
    {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
)
"""Types that are cast; whole numbers, truth values and complex numbers never are."""

_SCALES = (
    ".scale_weight", ".weight_scale", ".weight_scale_2", ".scale_input", ".input_scale",
    ".comfy_quant", ".absmax", ".quant_map", ".SCB", ".qweight", ".qzeros",
)  # fmt: skip
_SCALED = ("scaled_fp8",)
"""What stands beside quantised weights; cast alone, either would mean other numbers. Sources:
comfyanonymous/ComfyUI comfy/ops.py; bitsandbytes ``QuantState.as_dict``; AutoGPTQ."""

_WIDER = frozenset({"F64", "F32", "BF16"})


def cast(draft: Draft, options: ConvertOptions) -> None:
    """Set the types as asked for, part by part; quantised parts stay as they are."""
    if options.dtype is None and not options.part_dtypes:
        return
    quantised = {one.part for one in draft.entries if _is_scale(one.name)}
    for one in draft.entries:
        wanted = wanted_dtype(one, options)
        if wanted is not None and one.part not in quantised and one.dtype in FLOATS:
            one.dtype = wanted.dtype
    if quantised:
        named = sorted(part or "the weights" for part in quantised)
        draft.notices.append(f"quantised weights are not cast: {some(named)}")
    _tell_of_vae(draft)


def wanted_dtype(one: Entry, options: ConvertOptions) -> Precision | None:
    """What the options ask of one tensor; None where it is to be left."""
    if one.role is Role.SCHEDULE or is_counter(one.name):
        return None
    asked = options.part_dtypes.get(one.role)
    if asked is None and one.role is Role.EMA:
        asked = options.part_dtypes.get(Role.UNET)
    return asked or options.dtype


def _is_scale(name: str) -> bool:
    return name.endswith(_SCALES) or name.rpartition(".")[2] in _SCALED or ".quant_state." in name


def precision_words(options: ConvertOptions) -> list[str]:
    """What is asked for, as the operation's line names it: ``fp16``, ``vae fp32``."""
    words = [options.dtype.value] if options.dtype is not None else []
    parts = ((role, options.part_dtypes.get(role)) for role in Role)
    return words + [f"{role.value} {asked.value}" for role, asked in parts if asked is not None]


def _tell_of_vae(draft: Draft) -> None:
    if draft.identity.architecture == "sdxl" and any(
        one.role is Role.VAE and one.dtype == "F16" and one.values.dtype in _WIDER
        for one in draft.entries
    ):
        draft.notices.append(
            "the VAE of SDXL gives black images (NaN) when programs compute in fp16, unless it is "
            "one made for fp16: --vae-dtype fp32 leaves it wide"
        )
