"""The words by which metadata name architectures, kinds, families and variants.

Architectures are compared in lower case with everything that is no letter or digit as ``-``, so
that ``Flux.1-dev``, ``flux_1_dev`` and ``flux-1-dev`` are one.

Sources: Stability-AI/ModelSpec (``modelspec.architecture``); kohya-ss/sd-scripts
``library/sai_model_spec.py`` and ``library/*_util*.py`` (``ss_base_model_version``);
kohya-ss/musubi-tuner ``utils/sai_model_spec.py``, ``dataset/architectures.py``;
mcmonkeyprojects/SwarmUI ``T2IModelClassSorter.cs``; city96/ComfyUI-GGUF ``tools/convert.py``
(``general.architecture``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from modelhub.formats.identity import ModelKind

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_LONGEST = 120
"""A longer value is no name of an architecture, in characters."""


class Named(NamedTuple):
    """What the name of an architecture says."""

    architecture: str | None
    edition: str | None = None
    variants: tuple[str, ...] = ()
    kind: ModelKind | None = None
    adapter: str | None = None


_NAMES: tuple[tuple[str, str, str | None], ...] = (
    ("stable-diffusion-v1", "sd1", None),
    ("stable-diffusion-1", "sd1", None),
    ("sd-v1", "sd1", None),
    ("sd-1", "sd1", None),
    ("sd1", "sd1", None),
    ("stable-diffusion-v2-768-v", "sd2", "768-v"),
    ("stable-diffusion-v2-512", "sd2", "512-base"),
    ("stable-diffusion-v2", "sd2", None),
    ("stable-diffusion-2", "sd2", None),
    ("sd-v2-768-v", "sd2", "768-v"),
    ("sd-v2", "sd2", None),
    ("sd-2", "sd2", None),
    ("sd2", "sd2", None),
    ("stable-diffusion-xl-v1-refiner", "sdxl", "refiner"),
    ("stable-diffusion-xl-v0-9-refiner", "sdxl", "refiner"),
    ("stable-diffusion-xl", "sdxl", None),
    ("segmind-stable-diffusion-1b", "sdxl", "ssd-1b"),
    ("sdxl-refiner", "sdxl", "refiner"),
    ("sdxl", "sdxl", None),
    ("pony", "sdxl", None),
    ("illustrious", "sdxl", None),
    ("noobai", "sdxl", None),
    ("stable-diffusion-v3-5-large", "sd3", "3.5 large"),
    ("stable-diffusion-v3-5-medium", "sd3", "3.5 medium"),
    ("stable-diffusion-3-5-large", "sd3", "3.5 large"),
    ("stable-diffusion-3-5-medium", "sd3", "3.5 medium"),
    ("stable-diffusion-v3-m", "sd3", "3 medium"),
    ("stable-diffusion-3-m", "sd3", "3 medium"),
    ("stable-diffusion-v3", "sd3", None),
    ("stable-diffusion-3", "sd3", None),
    ("sd3-5-large", "sd3", "3.5 large"),
    ("sd3-5-medium", "sd3", "3.5 medium"),
    ("sd-3", "sd3", None),
    ("sd3", "sd3", None),
    ("flux-1-dev-kontext", "flux", "kontext"),
    ("flux-1-dev-inpaint", "flux", "fill"),
    ("flux-1-dev-depth", "flux", "depth"),
    ("flux-1-dev-canny", "flux", "canny"),
    ("flux-1-kontext", "flux", "kontext"),
    ("flux-kontext", "flux", "kontext"),
    ("flux-1-schnell", "flux", "schnell"),
    ("flux-1-dev", "flux", "dev"),
    ("flux-schnell", "flux", "schnell"),
    ("flux-dev", "flux", "dev"),
    ("flux-2-klein-base-4b", "flux2", "klein 4B"),
    ("flux-2-klein-base-9b", "flux2", "klein 9B"),
    ("flux-2-klein-4b", "flux2", "klein 4B"),
    ("flux-2-klein-9b", "flux2", "klein 9B"),
    ("flux-2-dev", "flux2", "dev"),
    ("flux-2", "flux2", None),
    ("flux2", "flux2", None),
    ("flux", "flux", None),
    ("chroma", "chroma", None),
    ("stable-cascade", "cascade", None),
    ("stable-video-diffusion", "svd", None),
    ("pixart", "pixart", None),
    ("auraflow", "auraflow", None),
    ("aura", "auraflow", None),
    ("kolors", "kolors", None),
    ("hunyuan-image", "hunyuanimage", None),
    ("hunyuan-video", "hunyuanvideo", None),
    ("hunyuanvideo", "hunyuanvideo", None),
    ("hyvid", "hunyuanvideo", None),
    ("framepack", "hunyuanvideo", None),
    ("hunyuan-dit", "hunyuan", None),
    ("hunyuandit", "hunyuan", None),
    ("lumina", "lumina", None),
    ("hidream", "hidream", None),
    ("qwen-image-edit", "qwen", "edit"),
    ("qwen-image-2-1", "qwen", "2.1"),
    ("qwen-image", "qwen", None),
    ("z-image", "zimage", None),
    ("zimage", "zimage", None),
    ("anima-preview", "anima", None),
    ("anima-unknown", "anima", None),
    ("lightricks-ltx-video", "ltxv", None),
    ("ltx", "ltxv", None),
    ("genmo-mochi", "mochi", None),
    ("mochi", "mochi", None),
    ("cogvideox", "cogvideox", None),
    ("nvidia-cosmos", "cosmos", None),
    ("cosmos", "cosmos", None),
    ("nvidia-sana", "sana", None),
    ("krea-2-raw", "krea2", "raw"),
    ("krea-2-turbo", "krea2", "turbo"),
    ("krea-2", "krea2", None),
    ("krea2", "krea2", None),
    ("omnigen-2", "omnigen2", None),
    ("wan", "wan", None),
)
"""Beginnings of names, of two alike the longer first: architecture and edition."""

_KINDS: dict[str, tuple[ModelKind, str | None]] = {
    "lora": (ModelKind.LORA, None),
    "lora-depth": (ModelKind.LORA, None),
    "lora-canny": (ModelKind.LORA, None),
    "lokr": (ModelKind.LORA, "lokr"),
    "loha": (ModelKind.LORA, "loha"),
    "locon": (ModelKind.LORA, "locon"),
    "oft": (ModelKind.LORA, "oft"),
    "textual-inversion": (ModelKind.EMBEDDING, None),
    "controlnet": (ModelKind.CONTROLNET, None),
    "control-net": (ModelKind.CONTROLNET, None),
    "control-net-lllite": (ModelKind.CONTROLNET, None),
    "control-lora": (ModelKind.CONTROLNET, None),
    "vae": (ModelKind.VAE, None),
}
"""What follows the slash of ``modelspec.architecture``."""

_MARKS: tuple[tuple[str, str], ...] = (
    ("inpaint", "inpainting"),
    ("turbo", "turbo"),
    ("xl-v1-edit", "instruct-pix2pix"),
    ("unclip", "unclip"),
    ("v2-depth", "depth"),
)
"""What an architecture's name may hold, and the variant it means."""

_FAMILY = re.compile(r"(noob)|(illustrious)|(animagine)|(pony)", re.IGNORECASE)
_FAMILIES = ("noobai", "illustrious", "animagine", "pony")
# Words of a name: `SDXL_lightning_4step`, `LCM-LoRA`, `myModelTurboV2`.
_VARIANT = re.compile(
    r"(?<![A-Za-z])(LCM|DMD2?)(?![A-Za-z])"
    r"|([Tt]urbo|TURBO|[Ll]ightning|LIGHTNING|[Ll]ightx2v|[Ii]npaint(?:ing)?|INPAINT(?:ING)?)"
    r"(?![a-z])|(?<![A-Za-z])(lcm|hyper|Hyper|HYPER|dmd2?)(?![a-z])"
)
_VARIANTS = {"inpaint": "inpainting", "dmd2": "dmd"}
_MODULES: dict[str, str] = {
    "networks.lora": "kohya",
    "networks.lora_flux": "kohya",
    "networks.lora_sd3": "kohya",
    "networks.lora_lumina": "kohya",
    "networks.lora_anima": "kohya",
    "networks.lora_fa": "kohya",
    "networks.dylora": "kohya",
    "networks.oft": "oft",
    "networks.oft_flux": "oft",
    "lycoris.kohya": "locon",
    "locon.locon_kohya": "locon",
}
_ALGORITHMS = {
    *("locon", "loha", "lokr", "ia3", "full", "glora", "boft", "dora"),
}


@lru_cache(512)
def architecture_named(text: str) -> Named | None:
    """What `text`, the name of an architecture, says; None when it names none that is known."""
    if not text or len(text) > _LONGEST:
        return None
    plain = _NOT_A_WORD.sub("-", text.lower()).strip("-")
    suffix = _NOT_A_WORD.sub("-", text.lower().partition("/")[2]).strip("-")
    kind, adapter = _KINDS.get(suffix, (None, None))
    for beginning, architecture, edition in _NAMES:
        if plain.startswith(beginning):
            variants = tuple(variant for mark, variant in _MARKS if mark in plain)
            return Named(architecture, edition, variants, kind, adapter)
    return Named(None, kind=kind, adapter=adapter) if kind is not None else None


def family_named(text: str) -> str | None:
    """The family of SDXL that a name of a model speaks of."""
    found = _FAMILY.search(text)
    return _FAMILIES[(found.lastindex or 1) - 1] if found else None


def variants_named(text: str) -> tuple[str, ...]:
    """The variants that a title speaks of: ``lcm``, ``turbo``, ``lightning``, ..."""
    found = (match[0].lower() for match in _VARIANT.finditer(text))
    return tuple(dict.fromkeys(_VARIANTS.get(word, word) for word in found))


def adapter_named(module: str, arguments: str) -> str | None:
    """The family of adapter that a trainer's module makes.

    :param module: ``ss_network_module``.
    :param arguments: ``ss_network_args``, where LyCORIS names its algorithm.
    """
    adapter = _MODULES.get(module)
    if adapter != "locon" or '"algo"' not in arguments:
        return adapter
    _, _, rest = arguments.partition('"algo"')
    algorithm = rest[:20].strip(' :"').partition('"')[0]
    return {"lora": "locon", "diag-oft": "oft"}.get(
        algorithm, algorithm if algorithm in _ALGORITHMS else adapter
    )
