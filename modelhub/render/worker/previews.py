"""A small picture of the latents while they are computed: each channel's share of red, green, blue.

The factors are the linear fits of ComfyUI (`comfyanonymous/ComfyUI comfy/latent_formats.py`,
``latent_rgb_factors``), one set a latent space, of which the VAE's scaling factor tells the name.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.render.worker import colours21

if TYPE_CHECKING:
    import torch

_LONGEST_SIDE = 192
_NOISE_OF_A_PICTURE = 1.0
"""The spread of finished latents, to which those that are still noise are brought."""

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class LatentColours:
    """What one latent space looks like.

    :param scaling: the VAE's ``scaling_factor``.
    :param factors: a row a channel.
    """

    scaling: float
    factors: tuple[Rgb, ...]
    bias: Rgb = (0.0, 0.0, 0.0)


_SD1 = LatentColours(
    0.18215,
    (
        (0.3512, 0.2297, 0.3227),
        (0.3250, 0.4974, 0.2350),
        (-0.2829, 0.1762, 0.2721),
        (-0.2120, -0.2616, -0.7177),
    ),
)
_SDXL = LatentColours(
    0.13025,
    (
        (0.3651, 0.4232, 0.4341),
        (-0.2533, -0.0042, 0.1068),
        (0.1076, 0.1111, -0.0362),
        (-0.3165, -0.2492, -0.2188),
    ),
    (0.1084, -0.0175, -0.0011),
)
_SD3 = LatentColours(
    1.5305,
    (
        (-0.0922, -0.0175, 0.0749),
        (0.0311, 0.0633, 0.0954),
        (0.1994, 0.0927, 0.0458),
        (0.0856, 0.0339, 0.0902),
        (0.0587, 0.0272, -0.0496),
        (-0.0006, 0.1104, 0.0309),
        (0.0978, 0.0306, 0.0427),
        (-0.0042, 0.1038, 0.1358),
        (-0.0194, 0.0020, 0.0669),
        (-0.0488, 0.0130, -0.0268),
        (0.0922, 0.0988, 0.0951),
        (-0.0278, 0.0524, -0.0542),
        (0.0332, 0.0456, 0.0895),
        (-0.0069, -0.0030, -0.0810),
        (-0.0596, -0.0465, -0.0293),
        (-0.1448, -0.1463, -0.1189),
    ),
    (0.2394, 0.2135, 0.1925),
)
_FLUX = LatentColours(
    0.3611,
    (
        (-0.0346, 0.0244, 0.0681),
        (0.0034, 0.0210, 0.0687),
        (0.0275, -0.0668, -0.0433),
        (-0.0174, 0.0160, 0.0617),
        (0.0859, 0.0721, 0.0329),
        (0.0004, 0.0383, 0.0115),
        (0.0405, 0.0861, 0.0915),
        (-0.0236, -0.0185, -0.0259),
        (-0.0245, 0.0250, 0.1180),
        (0.1008, 0.0755, -0.0421),
        (-0.0515, 0.0201, 0.0011),
        (0.0428, -0.0012, -0.0036),
        (0.0817, 0.0765, 0.0749),
        (-0.1264, -0.0522, -0.1103),
        (-0.0280, -0.0881, -0.0499),
        (-0.1262, -0.0982, -0.0778),
    ),
    (-0.0329, -0.0718, -0.0851),
)
_WAN = LatentColours(
    1.0,
    (
        (-0.1299, -0.1692, 0.2932),
        (0.0671, 0.0406, 0.0442),
        (0.3568, 0.2548, 0.1747),
        (0.0372, 0.2344, 0.1420),
        (0.0313, 0.0189, -0.0328),
        (0.0296, -0.0956, -0.0665),
        (-0.3477, -0.4059, -0.2925),
        (0.0166, 0.1902, 0.1975),
        (-0.0412, 0.0267, -0.1364),
        (-0.1293, 0.0740, 0.1636),
        (0.0680, 0.3019, 0.1128),
        (0.0032, 0.0581, 0.0639),
        (-0.1251, 0.0927, 0.1699),
        (0.0060, -0.0633, 0.0005),
        (0.3477, 0.2275, 0.2950),
        (0.1984, 0.0913, 0.1861),
    ),
    (-0.1835, -0.0868, -0.3360),
)
_FLUX_2 = LatentColours(
    1.0,
    (
        (0.0058, 0.0113, 0.0073),
        (0.0495, 0.0443, 0.0836),
        (-0.0099, 0.0096, 0.0644),
        (0.2144, 0.3009, 0.3652),
        (0.0166, -0.0039, -0.0054),
        (0.0157, 0.0103, -0.0160),
        (-0.0398, 0.0902, -0.0235),
        (-0.0052, 0.0095, 0.0109),
        (-0.3527, -0.2712, -0.1666),
        (-0.0301, -0.0356, -0.0180),
        (-0.0107, 0.0078, 0.0013),
        (0.0746, 0.0090, -0.0941),
        (0.0156, 0.0169, 0.0070),
        (-0.0034, -0.0040, -0.0114),
        (0.0032, 0.0181, 0.0080),
        (-0.0939, -0.0008, 0.0186),
        (0.0018, 0.0043, 0.0104),
        (0.0284, 0.0056, -0.0127),
        (-0.0024, -0.0022, -0.0030),
        (0.1207, -0.0026, 0.0065),
        (0.0128, 0.0101, 0.0142),
        (0.0137, -0.0072, -0.0007),
        (0.0095, 0.0092, -0.0059),
        (0.0000, -0.0077, -0.0049),
        (-0.0465, -0.0204, -0.0312),
        (0.0095, 0.0012, -0.0066),
        (0.0290, -0.0034, 0.0025),
        (0.0220, 0.0169, -0.0048),
        (-0.0332, -0.0457, -0.0468),
        (-0.0085, 0.0389, 0.0609),
        (-0.0076, 0.0003, -0.0043),
        (-0.0111, -0.0460, -0.0614),
    ),
    (-0.0329, -0.0718, -0.0851),
)
_QWEN_21 = LatentColours(1.0, colours21.FACTORS, colours21.BIAS)
_SPACES = (_SD1, _SDXL, _SD3, _FLUX, _FLUX_2, _WAN, _QWEN_21)


def colours_of(channels: int, scaling: float) -> LatentColours | None:
    """The latent space with so many channels whose scaling is nearest; None: none is known."""
    fitting = [space for space in _SPACES if len(space.factors) == channels]
    return min(fitting, key=lambda space: abs(space.scaling - scaling), default=None)


def preview(latents: torch.Tensor, scaling: float) -> bytes:
    """A PNG of one image's latents, a pixel each, or smaller; empty where no colours are known.

    :param latents: 1 x channels [x frames] x height x width, scaled as the diffusion model has
        them; noise of any spread, and numbers that are none, are borne.
    :param scaling: the VAE's ``scaling_factor``.
    """
    import torch
    from PIL import Image

    if latents.ndim == 5:
        latents = latents[:, :, 0]
    if latents.ndim != 4 or (colours := colours_of(latents.shape[1], scaling)) is None:
        return b""
    values = latents[:1].detach().to("cpu", torch.float32).nan_to_num(0.0, 0.0, 0.0)
    values = values / max(float(values.std()), _NOISE_OF_A_PICTURE)
    factors, bias = torch.tensor(colours.factors), torch.tensor(colours.bias)
    colour = torch.einsum("chw,cr->hwr", values[0], factors) + bias
    pixels = ((colour + 1.0) * 127.5).clamp(0, 255).to(torch.uint8).numpy()
    picture = Image.fromarray(pixels)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    written = io.BytesIO()
    picture.save(written, "png")
    return written.getvalue()
