"""A diffusers folder as one model: ``model_index.json``, and the weights of each part.

A pipeline's index names its parts, each with a library and a class
(``huggingface/diffusers``, ``src/diffusers/configuration_utils.py``); the weights of a part lie in
its folder as ``diffusion_pytorch_model`` or ``model`` (``utils/constants.py``). Of several
variants the full one is read, if it is whole, as ``from_pretrained`` without a variant does.

In the header of such a folder the tensors are named ``<part>/<name>``; ``_class_name`` of the
metadata is the pipeline's class, ``<part>`` that of a part, and ``<part>/<key>`` a setting out of
its configuration. A folder of one part alone (a ``config.json`` beside its weights) has its
tensors under their own names, and its settings as ``/<key>``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.grouping import Group, groups_of
from modelhub.formats.sharded import is_plain_name, merge, read_json, read_shards
from modelhub.formats.tensors import FileFormat, Header

MODEL_INDEX: Final = "model_index.json"
"""The file that makes a folder a pipeline of diffusers."""

_CONFIGS = ("config.json", "scheduler_config.json")
_BASES = ("diffusion_pytorch_model", "pytorch_model", "model")
_SUFFIXES = (".safetensors", ".bin")
_WITHOUT_WEIGHTS = (
    "Scheduler",
    "Tokenizer",
    "TokenizerFast",
    "Processor",
    "ProcessorFast",
    "FeatureExtractor",
)
_NUMBERS = re.compile(r"-\d+-of-\d+")
_LARGEST_JSON = 4 << 20
_MOST_PARTS = 64
_MOST_SETTINGS = 200
_LONGEST_SETTING = 500
_MOST_NAMES = 10_000


def read_folder(folder: Path) -> Header:
    """The header of the whole folder.

    A part without weights is told in the notices.

    :raises FormatError: it is no diffusers folder, or a file of it is damaged.
    :raises FileUnreadable: a file of it cannot be read.
    """
    if not _is_file(folder / MODEL_INDEX):
        return _read_part_alone(folder)
    index = read_json(folder / MODEL_INDEX, _LARGEST_JSON)
    parts = _parts(index, folder / MODEL_INDEX)
    metadata = {"_class_name": str(index.get("_class_name", ""))} | parts
    notices: list[str] = []
    headers: list[tuple[str, Header]] = []
    files: list[str] = []
    for part, kind in parts.items():
        metadata |= _settings(folder / part, part)
        header, remarks = _weights(folder / part, part, kind)
        notices += remarks
        if header is not None:
            files += [f"{part}/{name}" for name in header.parts]
            headers.append((part, _prefixed(header, part)))
    merged = merge(headers, place=folder)
    return replace(
        merged,
        format=FileFormat.DIFFUSERS,
        metadata=metadata,
        parts=tuple(files),
        notices=(*notices, *merged.notices),
    )


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (never raises)


def _parts(index: Mapping[str, Any], place: Path) -> dict[str, str]:
    """By the name of a part, its class; parts that the pipeline goes without are left out."""
    parts: dict[str, str] = {}
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or len(value) != 2:
            continue
        if not is_plain_name(name):
            raise FormatError(f"the part {name[:80]!r} is no plain folder name", path=place)
        if value[1] is not None:
            parts[name] = str(value[1])
    if len(parts) > _MOST_PARTS:
        raise FormatError(f"{len(parts):,} parts, more than the {_MOST_PARTS} allowed", path=place)
    return parts


def _read_part_alone(folder: Path) -> Header:
    if not _is_file(folder / "config.json"):
        raise FormatError(
            f"the folder is no model: it has neither {MODEL_INDEX} nor config.json",
            path=folder,
            hint="give a file, or a folder that diffusers or transformers wrote",
        )
    config = read_json(folder / "config.json", _LARGEST_JSON)
    kind = config.get("_class_name")
    architectures = config.get("architectures")
    if kind is None and isinstance(architectures, list) and architectures:
        kind = architectures[0]
    header, notices = _weights(folder, "", str(kind or ""))
    if header is None:
        raise FormatError("the folder holds no weights", path=folder)
    return replace(
        header,
        format=FileFormat.DIFFUSERS,
        metadata={"_class_name": str(kind or "")} | _settings(folder, ""),
        notices=(*notices, *header.notices),
    )


def _weights(folder: Path, part: str, kind: str) -> tuple[Header | None, list[str]]:
    names = _names(folder)
    groups = [group for group in groups_of(names) if _is_weights(group.main)]
    if not groups:
        lacking = not kind.endswith(_WITHOUT_WEIGHTS)
        return None, [f"the part {part} has no weights here"] if lacking and part else []
    chosen, *others = sorted(groups, key=_preference)
    notices = [f"beside {chosen.main}: {', '.join(sorted(one.main for one in others))}"]
    return read_shards(folder, chosen), notices if others else []


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names: list[str] = []
            for entry in entries:
                names.append(entry.name)
                if len(names) >= _MOST_NAMES:
                    break
            return names
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FileUnreadable(f"cannot read {folder}: {error.strerror}") from error


def _is_weights(name: str) -> bool:
    return name.endswith(_SUFFIXES) and name.startswith(_BASES)


def _preference(group: Group) -> tuple[object, ...]:
    """The first of the order is read: whole, safetensors, the full variant, the usual name."""
    return (
        bool(group.missing),
        not group.main.endswith(".safetensors"),
        _variant(group),
        next(i for i, base in enumerate(_BASES) if group.main.startswith(base)),
        group.main,
    )


def _variant(group: Group) -> str:
    """``fp16`` of ``model.fp16-00001-of-00002.safetensors``; empty for the full variant."""
    return ".".join(_NUMBERS.sub("", group.main).split(".")[1:-1])


def _prefixed(header: Header, part: str) -> Header:
    return replace(
        header,
        tensors={f"{part}/{name}": tensor for name, tensor in header.tensors.items()},
        metadata={},
    )


def _settings(folder: Path, part: str) -> dict[str, str]:
    """The single values of a part's configuration."""
    path = next((folder / name for name in _CONFIGS if _is_file(folder / name)), None)
    if path is None:
        return {}
    return dict(_single_values(read_json(path, _LARGEST_JSON), part))


def _single_values(config: Mapping[str, Any], part: str) -> Iterator[tuple[str, str]]:
    told = 0
    for key, value in config.items():
        if isinstance(value, str | int | float) and told < _MOST_SETTINGS:
            told += 1
            yield f"{part}/{key}", str(value)[:_LONGEST_SETTING]
