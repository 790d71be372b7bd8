"""What is asked of the renderer: which files together, with which settings.

Plain values that travel to the worker process as JSON; nothing here knows torch or the catalog.
"""

from __future__ import annotations

import msgspec

from modelhub.convert.options import Precision


class Weighted(msgspec.Struct, frozen=True):
    """An add-on and how strongly it counts.

    :param path: absolute.
    :param weight: 1.0 is what its author meant; 0 leaves the model as it is.
    """

    path: str
    weight: float = 1.0


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """The files that make one pipeline. Two requests with the same recipe share what is loaded.

    :param model: the checkpoint, absolute; or a diffusion model alone, with `parts` for the rest.
    :param vae: takes the place of the baked one.
    :param parts: files for what the model lacks: ``{"text_encoder": path, ...}``, by the names of
        a diffusers pipeline's components.
    :param precision: to which the weights are rounded; None: as they are stored.
    :param vae_precision: the same for the VAE, and stronger.
    :param ema: the averaged weights in place of the others.
    :param allow_unsafe: also a file that the scan calls dangerous (it is still never executed).
    """

    model: str
    vae: str | None = None
    loras: tuple[Weighted, ...] = ()
    embeddings: tuple[str, ...] = ()
    refiner: str | None = None
    parts: dict[str, str] = {}
    precision: Precision | None = None
    vae_precision: Precision | None = None
    ema: bool = False
    allow_unsafe: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one image is made. None: the default of the architecture and of what the file says.

    :param sampler: as A1111 or ComfyUI call it: ``DPM++ 2M``, ``euler_a``.
    :param schedule: of the noise: ``karras``, ``exponential``, ``normal``, ...
    :param width: in pixels, a multiple of 8; `height` the same.
    :param clip_skip: as A1111 counts: 1 is the last layer, 2 the one before.
    :param refiner_from: the share of the steps after which the refiner takes over, 0 to 1.
    """

    prompt: str = ""
    negative: str = ""
    seed: int = 0
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    schedule: str | None = None
    width: int | None = None
    height: int | None = None
    clip_skip: int | None = None
    refiner_from: float | None = None


class DeviceWish(msgspec.Struct, frozen=True, kw_only=True):
    """Where to compute. None: what is best here.

    :param device: ``cuda``, ``cuda:1``, ``mps``, ``xpu``, ``cpu``.
    :param offload: ``none``, ``model``, ``sequential``.
    """

    device: str | None = None
    offload: str | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One image to make.

    :param id: given back with every answer.
    :param preview: also a small picture of the latents after each step.
    :param fix_black: when the image comes out black or not a number, decode it once more with the
        VAE in fp32.
    """

    id: str
    recipe: Recipe
    settings: Settings
    wish: DeviceWish = DeviceWish()
    preview: bool = False
    fix_black: bool = True
