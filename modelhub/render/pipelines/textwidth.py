"""Whether the text encoders of a Stable Diffusion give as many numbers as its UNet takes."""

from __future__ import annotations

from collections.abc import Sequence

from modelhub.errors import AddonMisfit
from modelhub.render.pipelines.plans import PartPlan


def require_text_width(parts: Sequence[PartPlan]) -> None:
    """Refuse text encoders of another width than the UNet takes; those of SDXL stand side by side.

    :param parts: of one pipeline; without a UNet or text encoders nothing is said.
    :raises AddonMisfit: they are of another; it names both widths and the files.
    """
    unet = next((one for one in parts if one.folder == "unet"), None)
    encoders = [one for one in parts if one.folder.startswith("text_encoder")]
    if unet is None or not encoders:
        return
    taken, given = _number(unet, "cross_attention_dim"), _widths(encoders)
    if taken is None or given is None or sum(given) == taken:
        return
    made = " and ".join(
        f"{width:,} ({_file(one)})" for one, width in zip(encoders, given, strict=True)
    )
    raise AddonMisfit(
        f"the text encoder gives {made} numbers for each token, and the UNet takes {taken:,} "
        f"({_file(unet)})",
        hint="give the text encoder that the model was trained with",
    )


def _widths(encoders: Sequence[PartPlan]) -> list[int] | None:
    found = [_number(one, "hidden_size") for one in encoders]
    known = [width for width in found if width is not None]
    return known if len(known) == len(found) else None


def _number(part: PartPlan, setting: str) -> int | None:
    value = part.config.get(setting)
    return value if isinstance(value, int) else None


def _file(part: PartPlan) -> str:
    return part.content.files[0].path
