"""Names of results: the source's own, and a word for each thing that was done to its weights.

A change of the container alone keeps the name (``model.ckpt`` becomes ``model.safetensors``); what
changes the weights is told by a word (``model-pruned-fp16.safetensors``). The name follows from the
source's name and from what was asked, never from what else is in the folder: the same command
finds its own result again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from modelhub.convert.options import Ema, Extract, Target
from modelhub.errors import UsageError
from modelhub.services.convert.request import ConvertRequest, Work, part_words

_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".pkl", ".tar")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_PRECISION = re.compile(r"(?:^|[-_. ])(fp32|fp16|bf16|float32|float16|bfloat16|f32|f16)$", re.I)
_VAE = ".vae"
_WEIGHTS_INSIDE = "diffusion_pytorch_model"
_LONGEST_STEM = 200
"""Bytes; with words and suffix the name stays below the 255 of most file systems."""
RESULT_SUFFIXES = {Target.SAFETENSORS: ".safetensors", Target.CKPT: ".ckpt", Target.DIFFUSERS: ""}


def result_path(source: Path, request: ConvertRequest, *, several: bool) -> Path:
    """Where the result of `source` goes.

    :param several: there are other sources as well, so that `output` has to be a folder.
    :raises UsageError: `output` is the name of a file of another kind, or of one for several.
    """
    target = request.options.target
    name = result_name(source, request)
    output = request.output
    folder = source.parent
    if output is not None:
        if request.output_is_folder or output.is_dir() or (several and not output.suffix):
            folder = output
        elif several:
            raise UsageError(
                f"--output {output} is one file, and there are several to convert",
                hint="name a folder; each result gets a name that says what was done",
            )
        else:
            return _named(output, target)
    path = folder / name
    if _same_name(path, source):
        path = folder / _with_suffix(f"{source_stem(source)}-converted", target)
    return path


def result_name(source: Path, request: ConvertRequest) -> str:
    """The file's name of the result: stem, words, and the suffix of its format."""
    stem = source_stem(source)
    extract = request.options.extract
    # By the end of its name the web UIs tell a VAE, also that of the checkpoint of that name.
    ending = _VAE if extract is Extract.VAE or _without_vae(stem) != stem else ""
    stem = _without_vae(stem)
    for word in _words(request):
        stem = _joined(stem, word)
    stem += ending
    return _with_suffix(stem, request.options.target)


def source_stem(source: Path) -> str:
    """The name of a model without what only says how it is stored."""
    name = source.name
    if name == "model_index.json" or name.startswith(_WEIGHTS_INSIDE):
        name = source.absolute().parent.name
    lowered = name.lower()
    for suffix in (".index.json", *_SUFFIXES):
        if lowered.endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            lowered = name.lower()
    stem = _SHARD.sub("", name) or name
    cut = os.fsencode(stem)[:_LONGEST_STEM]
    try:
        return cut.decode()
    except UnicodeDecodeError as error:
        # Not within a letter, where only the cut is to blame.
        return os.fsdecode(cut[: error.start] if error.end == _LONGEST_STEM else cut)


def _words(request: ConvertRequest) -> list[str]:
    options = request.options
    words: list[str] = []
    if request.work is Work.EXTRACT_LORA:
        words.append("lora")
    if request.loras:
        words += [f"with-{source_stem(path)[:40]}" for path, _ in request.loras[:2]]
        if len(request.loras) > 2:
            words.append(f"and-{len(request.loras) - 2}-more")
    if request.vae is not None:
        words.append(f"vae-{_without_vae(source_stem(request.vae))[:40]}")
    if request.lora_keys is not None:
        words.append(request.lora_keys.value)
    if request.rank is not None:
        words.append(f"rank{request.rank}")
    if options.extract not in (None, Extract.VAE):
        words.append(options.extract.value)
    if options.ema is Ema.SWAP:
        words.append("ema")
    if options.prune:
        words.append("pruned")
    elif options.ema is Ema.DROP:
        words.append("no-ema")
    if options.dtype is not None:
        words.append(options.dtype.value)
    words += [f"{role.value.replace(' ', '-')}-{kind}" for role, kind in part_words(options)]
    return words


def _without_vae(stem: str) -> str:
    return stem[: -len(_VAE)] if stem.lower().endswith(_VAE) and len(stem) > len(_VAE) else stem


def _joined(stem: str, word: str) -> str:
    """`stem` with `word` behind it, once; a precision takes the place of another one."""
    if re.search(rf"(?:^|[-_. ]){re.escape(word)}(?:$|[-_. ])", stem, re.IGNORECASE):
        return stem
    found = _PRECISION.search(stem) if _PRECISION.fullmatch(word) else None
    if found is not None and found.start(1) > 0:
        return stem[: found.start(1)] + word
    return f"{stem}-{word}"


def _with_suffix(stem: str, target: Target) -> str:
    return stem + RESULT_SUFFIXES[target]


def _named(output: Path, target: Target) -> Path:
    """`output` as a file of the format; its suffix may be left out, and must not lie."""
    suffix = RESULT_SUFFIXES[target]
    if target is Target.DIFFUSERS:
        if output.suffix.lower() in _SUFFIXES:
            raise UsageError(f"--to diffusers writes a folder, and {output} is a file's name")
        return output
    alike = {".safetensors", ".sft"} if target is Target.SAFETENSORS else {".ckpt", ".pt", ".pth"}
    if output.suffix.lower() in alike:
        return output
    if output.suffix.lower() in _SUFFIXES:
        raise UsageError(
            f"{output} is not a name for {target}",
            hint=f"call it {output.with_suffix(suffix).name}, or choose the format with --to",
        )
    return output.with_name(output.name + suffix)


def _same_name(one: Path, other: Path) -> bool:
    return os.path.normcase(one.absolute()) == os.path.normcase(other.absolute())
