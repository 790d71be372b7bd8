"""Which files of a folder are models, told by their names and sizes alone.

What is listed: ``.safetensors .sft .ckpt .gguf`` whatever their size, since a truncated one must
be told of; ``.pt .pt2 .pth .bin .pkl .onnx`` from :data:`SMALLEST` bytes on, since trainers and
tokenizers write small files of these names beside models, and no embedding is that small. Of a
model in several files (shards, a diffusers folder) one stands for all, the others are its parts.

What is left out: hidden files and folders, and downloads under way. Those have suffixes of their
own (``.part``, ``.crdownload``, ``.aria2__temp`` ...), which are no model's; aria2 writes under the
final name with ``NAME.aria2`` beside it until it is done, and Firefox keeps an empty file under the
final name beside ``NAME.part``.
"""

from __future__ import annotations

MODEL_SUFFIXES = frozenset(
    ("safetensors", "sft", "ckpt", "gguf", "pt", "pt2", "pth", "bin", "pkl", "onnx")
)
CERTAIN_ENDINGS = ("safetensors", "sft", "ckpt", "gguf")
"""Of names that are models whatever their size."""
SMALLEST = 1024
"""Bytes; smaller files of the other suffixes hold no model."""
COMPANION_SUFFIXES = frozenset(("aria2", "part", "crdownload", "partial", "download", "tmp"))
"""Of files beside a name that is still being downloaded."""
MODEL_INDEX = "model_index.json"
"""What makes a folder one of diffusers, and names the folders of its components."""
MAIN_COMPONENTS = ("transformer", "unet", "prior", "decoder", "vqvae", "vae")
"""Of a diffusers folder: the component whose weights stand for the whole model is the first of
these that is there. Not `model_index.json`: that is the same for all models of an architecture."""
IGNORE_FILE = ".modelhubignore"


def suffix_of(name: str) -> str:
    """The suffix without its dot, in lower case; empty where there is none."""
    return name[name.rfind(".") + 1 :].lower() if "." in name else ""


def is_model_name(name: str) -> bool:
    """Whether a file of this name is listed, if it is large enough."""
    return name[:1] != "." and (suffix_of(name) in MODEL_SUFFIXES)


def too_small(name: str, size: int) -> bool:
    """Whether a file of this name and size (bytes) is what trainers and tokenizers leave."""
    return size < SMALLEST and not name.lower().endswith(CERTAIN_ENDINGS)


def unfinished(name: str, size: int, companions: frozenset[str]) -> bool:
    """Whether `name`, of `size` bytes, is a download under way.

    :param companions: the names in its folder that have a suffix of :data:`COMPANION_SUFFIXES`.
    """
    if f"{name}.aria2" in companions:
        return True
    if size:
        return False
    stem = name[: name.rfind(".")]
    return any(companion.startswith(f"{stem}.") for companion in companions)
