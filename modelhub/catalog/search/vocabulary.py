"""The words of the trade as people write them, as data: types, formats, precisions, base models.

Each table maps what is kept to the ways in which it is written. Ways are compared without case,
spaces and punctuation: "SD 1.5", "sd1.5" and "sd15" are one.

Sources: Civitai's enums (``GET /api/v1/enums``: ModelType, BaseModel, ModelFileFormat, fp) and the
ecosystem names of AIR (``sd1``, ``sdxl``, ``flux1`` ...).
"""

from __future__ import annotations

import re
from functools import lru_cache

_PLAIN = re.compile(r"[\W_]+")


def plain(text: str) -> str:
    """`text` as it is compared: lower-case letters and digits only."""
    return _PLAIN.sub("", text).lower()


TYPES: dict[str, tuple[str, ...]] = {
    "checkpoint": ("checkpoint", "ckpt", "model", "checkpoints"),
    "lora": ("lora", "loras"),
    "locon": ("locon", "lycoris", "loha", "lokr"),
    "dora": ("dora",),
    "embedding": ("embedding", "embeddings", "textualinversion", "ti"),
    "hypernetwork": ("hypernetwork", "hypernet"),
    "aestheticgradient": ("aestheticgradient", "ag"),
    "controlnet": ("controlnet", "cnet", "t2iadapter"),
    "ipadapter": ("ipadapter",),
    "upscaler": ("upscaler", "esrgan"),
    "motionmodule": ("motionmodule", "motion", "animatediff"),
    "vae": ("vae",),
    "textencoder": ("textencoder", "te", "clip"),
    "unet": ("unet", "diffusionmodel", "transformer", "dit"),
    "clipvision": ("clipvision",),
    "visionlanguage": ("visionlanguage", "vlm"),
    "poses": ("poses", "pose"),
    "wildcards": ("wildcards", "wildcard"),
    "workflows": ("workflows", "workflow"),
    "detection": ("detection", "detector"),
    "other": ("other",),
}

FORMATS: dict[str, tuple[str, ...]] = {
    "safetensors": ("safetensors", "safetensor", "st"),
    "ckpt": ("ckpt", "pickle", "pickletensor", "pt", "pth", "bin"),
    "gguf": ("gguf",),
    "diffusers": ("diffusers",),
    "onnx": ("onnx",),
    "coreml": ("coreml",),
    "archive": ("archive", "zip", "7z", "rar"),
    "other": ("other",),
}

PRECISIONS: dict[str, tuple[str, ...]] = {
    "fp32": ("fp32", "float32", "f32"),
    "fp16": ("fp16", "float16", "f16", "half"),
    "bf16": ("bf16", "bfloat16"),
    "fp8": ("fp8", "float8", "fp8e4m3fn", "fp8e5m2", "fp8scaled", "fp8mixed"),
    "mxfp8": ("mxfp8",),
    "fp64": ("fp64", "float64"),
    "int8": ("int8",),
    "int4": ("int4",),
    "nf4": ("nf4",),
    "nvfp4": ("nvfp4",),
    "mixed": ("mixed",),
    "quantized": ("quantized", "quant"),
}

VERDICTS = ("safe", "suspicious", "dangerous")
"""What a scan of pickles says; a file that can carry none, or was not scanned, has no verdict."""

STATES: dict[str, tuple[str, ...]] = {
    "new": ("new", "unhashed"),
    "hashed": ("hashed",),
    "changed": ("changed",),
    "missing": ("missing",),
    "quarantined": ("quarantined",),
}

BASES: dict[str, tuple[str, ...]] = {
    "sd1": ("sd1", "sd15", "sd14", "sd1x", "sd15lcm", "sd15hyper", "stablediffusion15"),
    "sd2": ("sd2", "sd20", "sd21", "sd2x", "sd20768", "sd21768", "sd21unclip"),
    "sd3": ("sd3", "sd35", "sd35medium", "sd35large", "sd35largeturbo", "sd3medium"),
    "sdxl": ("sdxl", "sdxl10", "sdxl09", "xl", "sdxl10lcm", "sdxldistilled", "sdxlturbo"),
    "sdxllightning": ("sdxllightning",),
    "sdxlhyper": ("sdxlhyper",),
    "pony": ("pony", "ponyxl", "ponyv6", "ponydiffusion", "ponydiffusionv6xl"),
    "ponyv7": ("ponyv7",),
    "illustrious": ("illustrious", "illustriousxl", "il", "ilxl"),
    "noobai": ("noobai", "noob", "noobaixl"),
    "flux": ("flux", "flux1", "flux1d", "flux1s", "fluxdev", "fluxschnell", "flux1dev",
             "flux1schnell", "flux1krea", "flux1kontext", "fluxd", "fluxs"),
    "flux2": ("flux2", "flux2d", "flux2klein", "flux2klein9b", "flux2klein4b"),
    "svd": ("svd", "svdxt"),
    "cascade": ("cascade", "stablecascade"),
    "pixart": ("pixart", "pixarta", "pixarte", "pixartalpha", "pixartsigma"),
    "auraflow": ("auraflow",),
    "kolors": ("kolors",),
    "hunyuan": ("hunyuan", "hunyuan1", "hunyuandit"),
    "hunyuanvideo": ("hunyuanvideo",),
    "lumina": ("lumina", "lumina2"),
    "chroma": ("chroma",),
    "hidream": ("hidream",),
    "qwen": ("qwen", "qwenimage"),
    "zimage": ("zimage", "zimageturbo", "zimagebase"),
    "anima": ("anima",),
    "ltxv": ("ltxv", "ltxv2", "ltx"),
    "mochi": ("mochi",),
    "cogvideox": ("cogvideox",),
    "wan": ("wan", "wanvideo", "wan21", "wan22", "wanvideo13bt2v", "wanvideo14bt2v",
            "wanvideo14bi2v480p", "wanvideo14bi2v720p", "wanvideo22ti2v5b",
            "wanvideo22t2va14b", "wanvideo22i2va14b"),
    "hunyuanimage": ("hunyuanimage", "hunyuanimage21"),
    "hunyuan3d": ("hunyuan3d",),
    "cosmos": ("cosmos", "cosmospredict2"),
    "sana": ("sana",),
    "cogview4": ("cogview4",),
    "omnigen2": ("omnigen2", "omnigen"),
    "kandinsky5": ("kandinsky5", "kandinsky"),
    "krea2": ("krea2",),
    "ideogram4": ("ideogram4", "ideogram"),
    "ovis": ("ovis", "ovisimage"),
    "longcat": ("longcat", "longcatimage"),
    "stableaudio": ("stableaudio",),
    "acestep": ("acestep",),
    "playgroundv2": ("playgroundv2", "playground"),
    "openai": ("openai",),
    "imagen4": ("imagen4",),
    "other": ("other",),
}  # fmt: skip
"""Families of base models. Pony, Illustrious and NoobAI are SDXL by their tensors, but nobody who
asks for ``base:sdxl`` means them: ``arch:sdxl`` finds them all."""

ADAPTERS: dict[str, tuple[str, ...]] = {
    "kohya": ("kohya", "kohyass"),
    "locon": ("locon",),
    "loha": ("loha",),
    "lokr": ("lokr",),
    "dora": ("dora",),
    "oft": ("oft",),
    "boft": ("boft",),
    "glora": ("glora",),
    "ia3": ("ia3",),
    "full": ("full", "diff"),
    "diffusers": ("diffusers",),
    "peft": ("peft",),
}
"""Families of LoRA, by how their tensors are named and multiplied."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "pony": BASES["pony"],
    "illustrious": BASES["illustrious"],
    "noobai": BASES["noobai"],
}

VARIANTS: dict[str, tuple[str, ...]] = {
    "inpainting": ("inpainting", "inpaint", "fill"),
    "instructpix2pix": ("instructpix2pix", "instruct", "ip2p", "pix2pix", "edit"),
    "depth": ("depth",),
    "vprediction": ("vprediction", "vpred", "768v"),
    "lcm": ("lcm",),
    "turbo": ("turbo",),
    "lightning": ("lightning",),
    "hyper": ("hyper",),
    "refiner": ("refiner",),
    "dev": ("dev",),
    "schnell": ("schnell",),
    "kontext": ("kontext",),
}
"""Editions of an architecture, and what was trained for another purpose than its base."""


def _ways(table: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {way: kept for kept, ways in table.items() for way in ways}


_WAYS = {
    "type": _ways(TYPES),
    "format": _ways(FORMATS),
    "fp": _ways(PRECISIONS),
    "state": _ways(STATES),
    "base": _ways(BASES),
    "arch": _ways(BASES),
    "adapter": _ways(ADAPTERS),
    "family": _ways(FAMILIES),
    "variant": _ways(VARIANTS),
}


@lru_cache(4_096)
def canonical(field: str, text: str) -> str | None:
    """What `text` is kept as, or None when it is not in the table of that field."""
    return _WAYS[field].get(plain(text))


@lru_cache(4_096)
def kept(field: str, text: str) -> str:
    """What `text` is kept as: by the table, else as it is written, plain."""
    return canonical(field, text) or plain(text)


def ways(field: str) -> list[str]:
    """Every way to write a value of that field."""
    return list(_WAYS[field])


def names(field: str) -> list[str]:
    """What the values of that field are called first of all."""
    return list(dict.fromkeys(_WAYS[field].values()))
