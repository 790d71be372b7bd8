"""From latents to a picture, keeping the numbers that are none so that they can be told."""

from __future__ import annotations

import inspect
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


def unpacked(pipe: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Latents of any step, laid out as the VAE takes them: 1 x channels x height x width.

    Transformers compute on rows of patches; their pipelines have the way back, ``_unpack_latents``
    (`huggingface/diffusers src/diffusers/pipelines/flux/pipeline_flux.py`).

    :param width: of the picture in pixels; `height` the same.
    """
    if latents.ndim != 3:
        return latents
    if hasattr(pipe, "_unpatchify_latents"):
        return _unpatched(pipe, _patches(pipe, latents, width, height))
    size: tuple[int, ...] = (height, width)
    if "vae_scale_factor" in inspect.signature(pipe._unpack_latents).parameters:
        size = (*size, pipe.vae_scale_factor)
    unpacked: torch.Tensor = pipe._unpack_latents(latents, *size)
    return unpacked


def finished(pipe: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """The last latents as :func:`decode` takes them.

    Of FLUX.2, patches are scaled by what a batch norm of the VAE counted; klein's pipeline has done
    so, dev's has not (`huggingface/diffusers src/diffusers/pipelines/flux2`).
    """
    if latents.ndim != 3 or not hasattr(pipe, "_unpatchify_latents"):
        return unpacked(pipe, latents, width, height)
    patches, counted = _patches(pipe, latents, width, height), pipe.vae.bn
    spread = (counted.running_var + pipe.vae.config.batch_norm_eps).sqrt()
    means, spreads = (
        one.view(1, -1, 1, 1).to(patches.device, patches.dtype)
        for one in (counted.running_mean, spread)
    )
    return _unpatched(pipe, patches * spreads + means)


def _patches(pipe: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Rows of FLUX.2's patches, each where it belongs: 1 x numbers x height x width."""
    side = pipe.vae_scale_factor * 2
    return latents.transpose(1, 2).reshape(*latents.shape[::2], height // side, width // side)


def _unpatched(pipe: Any, patches: torch.Tensor) -> torch.Tensor:
    whole: torch.Tensor = pipe._unpatchify_latents(patches)
    return whole


def decode(vae: Any, latents: torch.Tensor) -> NDArray[np.float32]:
    """The picture, height x width x 3, from 0 to 1; NaN stays NaN.

    The scaling is that of the pipelines (`huggingface/diffusers src/diffusers/pipelines`): by
    ``scaling_factor``, moved by ``shift_factor`` or by ``latents_mean`` and ``latents_std`` where
    the VAE has them.

    :param vae: an ``AutoencoderKL``, or one of video of whose frames the first is taken.
    :param latents: 1 x channels [x frames] x height x width.
    """
    import torch

    with torch.no_grad():
        scaled = unscaled(vae, latents).to(_dtype_of(vae))
        image = vae.decode(scaled, return_dict=False)[0]
        if image.ndim == 5:
            image = image[:, :, 0]
        values = (image * 0.5 + 0.5).clamp(0, 1)[0].permute(1, 2, 0)
    pixels: NDArray[np.float32] = on_white(values.to("cpu", torch.float32)).numpy()
    return pixels


def on_white(values: torch.Tensor) -> torch.Tensor:
    """A picture with opacity (Qwen-Image 2.1's) as it looks on white; others as they are.

    :param values: height x width x 3, or 4 with the opacity, from 0 to 1.
    """
    if values.shape[-1] != 4:
        return values
    colours, opacity = values[..., :3], values[..., 3:]
    return 1 - (1 - colours) * opacity


def unscaled(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """The latents in the VAE's own scale."""
    import torch

    config = vae.config
    mean, spread = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    scaling = getattr(config, "scaling_factor", None) or 1.0
    if mean is not None and spread is not None:
        shape = (1, -1, *(1 for _ in range(latents.ndim - 2)))
        means, spreads = (
            torch.tensor(one, device=latents.device, dtype=latents.dtype).view(shape)
            for one in (mean, spread)
        )
        return latents * spreads / scaling + means
    unscaled: torch.Tensor = latents / scaling
    shift = getattr(config, "shift_factor", None)
    return unscaled if shift is None else unscaled + shift


def png_of(pixels: NDArray[np.float32]) -> bytes:
    """The picture as PNG in 8 bits a channel, without metadata; NaN becomes black.

    Rounded as diffusers does (``VaeImageProcessor.numpy_to_pil``).
    """
    import numpy as np
    from PIL import Image

    whole = np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0)
    written = io.BytesIO()
    Image.fromarray((whole * 255).round().astype(np.uint8)).save(written, "png", compress_level=4)
    return written.getvalue()


def _dtype_of(module: Any) -> torch.dtype:
    dtype: torch.dtype = next(module.parameters()).dtype
    return dtype
