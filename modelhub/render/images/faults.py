"""A picture that came to nothing, told from its numbers, with the likely cause and what to do.

The causes are those that the web UIs found: the VAE of SDXL, and some of SD 1.x, overflow fp16 and
give not-a-number, which is written as black (`AUTOMATIC1111/stable-diffusion-webui
modules/devices.py`, ``test_for_nans``); the UNet of SD 2.x 768-v does the same in its attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAN, BLACK, UNIFORM = "nan", "black", "uniform"
_DARKEST = 2.5 / 255
"""What counts as black, 2 of 255: a VAE's black is rarely 0 in every place."""
_FLATTEST = 2.5 / 255
_HALF = frozenset({"fp16", "bf16"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is wrong with a picture.

    :param cause: a sentence: what is seen, and the likely cause.
    :param fix: what to do about it.
    """

    cause: str
    fix: str


def faults_of(image: NDArray[np.floating | np.uint8]) -> tuple[str, ...]:
    """Which of ``nan``, ``black`` and ``uniform`` a picture is; nothing for a good one.

    :param image: height x width x channels; numbers from 0 to 1 as the VAE's, or bytes to 255.
        Infinity counts as not a number.
    """
    import numpy as np

    if image.size == 0:
        return (UNIFORM,)
    values = np.asarray(image, dtype=np.float32)
    if image.dtype == np.uint8:
        values = values / np.float32(255)
    found: list[str] = []
    finite = np.isfinite(values)
    if not finite.all():
        found.append(NAN)
        # Not a number is written as 0: what the user sees of it is black.
        values = np.where(finite, values, np.float32(0))
    by_pixel = values.reshape(-1, values.shape[-1] if values.ndim > 2 else 1)
    lowest, highest = by_pixel.min(axis=0), by_pixel.max(axis=0)
    if float(highest.max()) <= _DARKEST:
        found.append(BLACK)
    elif float((highest - lowest).max()) <= _FLATTEST:
        found.append(UNIFORM)
    return tuple(found)


def explained(
    faults: Sequence[str], *, vae_arithmetic: str = "", arithmetic: str = ""
) -> Explanation | None:
    """What to tell of these faults; None of none.

    :param vae_arithmetic: in which type the VAE computed: ``fp16``, ``bf16``, ``fp32``.
    :param arithmetic: the same of the diffusion model.
    """
    if NAN in faults or BLACK in faults:
        seen = "the picture holds numbers that are none (NaN)" if NAN in faults else "it is black"
        return _explained_black(seen, vae_arithmetic, arithmetic)
    if UNIFORM in faults:
        return Explanation(
            "the picture is of one colour: the model gave no structure, as with weights that are "
            "all zero, parts of two architectures, or a prediction type that is not the file's",
            "check the file with `modelhub inspect`; try 20 steps and a CFG of 7",
        )
    return None


def _explained_black(seen: str, vae_arithmetic: str, arithmetic: str) -> Explanation:
    if vae_arithmetic in _HALF:
        return Explanation(
            f"{seen}: most likely the VAE overflows in {vae_arithmetic}",
            "decode with the VAE in fp32, or take one that was mended for fp16 (--vae FILE)",
        )
    if arithmetic in _HALF:
        return Explanation(
            f"{seen}: most likely the diffusion model overflows in {arithmetic}, since the VAE "
            "computed in fp32",
            "render with --dtype fp32, or with bf16 where it was fp16",
        )
    return Explanation(
        f"{seen}, though it was computed in fp32: most likely the file's weights are damaged, or "
        "a LoRA or VAE in use does not belong to it",
        "check the file with `modelhub verify`, and try without add-ons",
    )
