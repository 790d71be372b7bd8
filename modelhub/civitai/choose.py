"""Which of a version's files to take, and why.

Unless asked for, only files that a user of the model needs come into question: its main weights, or
for a type of model that has none (poses, wildcards, workflows) what it consists of. Of those the
published primary file is taken, but a safetensors variant before a pickle. Training data is taken
only when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from modelhub.civitai.answers import printable
from modelhub.civitai.reference_values import FileWish
from modelhub.civitai.schema import (
    COMPONENT_TYPES,
    WEIGHTS_TYPES,
    Model,
    ModelFile,
    Version,
    VersionModel,
)
from modelhub.errors import ArchivedModel, NoFilesPublished, NoMatchingFile

_FORMAT_NAMES: Final = {
    "safetensors": "SafeTensor",
    "safetensor": "SafeTensor",
    "ckpt": "PickleTensor",
    "pt": "PickleTensor",
    "pth": "PickleTensor",
    "bin": "PickleTensor",
    "pickle": "PickleTensor",
    "pickletensor": "PickleTensor",
    "diffuser": "Diffusers",
    "coreml": "Core ML",
}
_FP_NAMES: Final = {"float32": "fp32", "float16": "fp16", "half": "fp16", "bfloat16": "bf16"}
_WITHOUT_WEIGHTS: Final = frozenset(
    {"Poses", "Wildcards", "Workflows", "ComfyWorkflows", "Other", "Detection"}
)
"""Model types whose main file may be an archive, a text or a workflow."""
_PREFERRED: Final = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quant_type": "Q4_K_M"}
_WEIGHT: Final = {"format": 100.0, "size": 10.0, "fp": 1.0, "quant_type": 0.5}
_ALIKE: Final = ("format", "quant_type", "fp", "size", "type")
"""What makes files alike to their user, the most telling first."""
_LISTED: Final = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """The file to take, and one line that says why this one."""

    file: ModelFile
    reason: str


def choose_file(
    version: Version,
    wish: FileWish | None = None,
    *,
    model: Model | VersionModel | None = None,
) -> Choice:
    """Choose a file of `version`.

    :param wish: what is asked for; None leaves all open.
    :param model: the version's model, where the version came without it (inside a model's answer).
    :raises ArchivedModel: the model was archived, so that it has no files any more.
    :raises NoFilesPublished: the version has no file at all.
    :raises NoMatchingFile: it has files, but none as wished; the hint lists them.
    """
    wish = wish or FileWish()
    model = model or version.model
    if not version.files:
        raise _no_files(version, model)
    if wish.file_id is not None:
        file = version.file(wish.file_id)
        if file is None:
            raise _no_match(version, f"with the id {wish.file_id}")
        return Choice(file, f"the file with the id {wish.file_id}, as asked for")
    fitting = [file for file in version.files if _fits(file, wish)]
    if wish.type is None:
        fitting = _usable(fitting, model)
    if not fitting:
        raise _no_match(version, _wish_text(wish) or "of the model's own weights")
    return _best(fitting, wish)


def choose_alike(
    version: Version,
    usual: Choice,
    likes: Sequence[FileWish],
    *,
    model: Model | VersionModel | None = None,
) -> Choice:
    """Choose the file of `version` that comes closest to others, such as those of an older version.

    What is the same counts in the order of :data:`_ALIKE`. A pickle is not looked for because there
    was one before, and where no file comes closer, it is the usual one.

    :param usual: what :func:`choose_file` takes of it.
    :param likes: what the others were published as.
    """

    def closeness(file: ModelFile) -> int:
        return max((_common(file, like) for like in likes), default=0)

    usable = [file for file in _usable(version.files, model) if not file.is_pickle]
    closest = max(usable, key=lambda file: (closeness(file), server_score(file)), default=None)
    if closest is None or closeness(closest) <= closeness(usual.file):
        return usual
    return Choice(closest, "the one that is most like the file that is here")


def _common(file: ModelFile, like: FileWish) -> int:
    """What a file has in common with another, each thing more than all that follow it."""
    shared = [
        (wish := getattr(like, name)) is not None and _fits(file, FileWish(**{name: wish}))
        for name in _ALIKE
    ]
    return sum(1 << place for place, same in enumerate(reversed(shared)) if same)


def server_score(file: ModelFile) -> float:
    """The score by which Civitai's server chooses a primary file; the highest wins.

    1000, and for each of format (100), size (10), fp (1) and quantType (0.5) that is published the
    weight more when it is the preferred value, less when not; 1000 more for main weights
    (`getPrimaryFile` in the server's `model-helpers.ts`).
    """
    score = 1000.0
    for name, weight in _WEIGHT.items():
        value = getattr(file.metadata, name)
        if value is not None:
            score += weight if value == _PREFERRED[name] else -weight
    return score + (1000.0 if file.type in WEIGHTS_TYPES else 0.0)


def describe_file(file: ModelFile) -> str:
    """One line about a file: name, type, format, precision and size."""
    size = file.size_bytes
    traits = [
        file.type,
        file.metadata.format,
        file.metadata.size,
        file.metadata.fp,
        file.metadata.quant_type,
        None if size is None else _shown_size(size),
        f"id {file.id}",
    ]
    known = ", ".join(printable(trait, limit=40) for trait in traits if trait)
    return f"{printable(file.name) or 'a file without a name'} ({known})"


def _best(fitting: Sequence[ModelFile], wish: FileWish) -> Choice:
    wished = _wish_text(wish, bare=True)
    if len(fitting) == 1:
        if fitting[0].primary and wish.is_open:
            return Choice(fitting[0], "the published primary file")
        return Choice(fitting[0], f"the only {wished} file" if wished else "the only file of it")
    primary = next((file for file in fitting if file.primary), None)
    among = f" among the {len(fitting)} {wished} files" if wished else ""
    if primary and not primary.is_pickle:
        return Choice(primary, f"the published primary file{among}")
    safe = [file for file in fitting if file.is_safetensors]
    if primary and not safe:
        return Choice(primary, f"the published primary file{among}")
    ranked = sorted(safe or fitting, key=lambda file: (-server_score(file), file.id))
    best = ranked[0]
    if primary:
        return Choice(best, f"safetensors: the published primary file{among} is a pickle")
    ties = sum(server_score(file) == server_score(best) for file in ranked)
    if len(ranked) == 1:
        return Choice(best, f"the only safetensors{among or f' of {len(fitting)} files'}")
    if ties > 1:
        return Choice(
            best, f"the oldest of {ties} files{among} that Civitai's own order puts first alike"
        )
    return Choice(best, f"the first{among or f' of {len(ranked)} files'} in Civitai's own order")


def _usable(files: Sequence[ModelFile], model: Model | VersionModel | None) -> list[ModelFile]:
    """Main weights; else other weights; else, where the model has none, what it consists of."""
    rules: list[Callable[[ModelFile], bool]] = [
        lambda file: file.holds_main_weights,
        lambda file: file.type in COMPONENT_TYPES or (file.primary and _is_open_type(file)),
    ]
    if model and model.type in _WITHOUT_WEIGHTS:
        rules.append(lambda file: file.type not in ("Training Data", "Config"))
        rules.append(lambda file: file.type != "Training Data")
    for rule in rules:
        if found := [file for file in files if rule(file)]:
            return found
    return []


def _is_open_type(file: ModelFile) -> bool:
    """Whether its type is one that this version of modelhub does not know."""
    return not file.holds_weights and file.type not in {
        "Training Data",
        "Config",
        "Archive",
        "Workflow",
        "Other",
    }


def _fits(file: ModelFile, wish: FileWish) -> bool:
    meta = file.metadata
    pairs = (
        (wish.type, file.type),
        (_known(_FORMAT_NAMES, wish.format), _published_format(file)),
        (_known(_FP_NAMES, wish.fp), meta.fp),
        (wish.size, meta.size),
        (wish.quant_type, meta.quant_type),
    )
    return all(_same(wanted, published) for wanted, published in pairs if wanted is not None)


def _published_format(file: ModelFile) -> str | None:
    if file.metadata.format:
        return file.metadata.format
    return "SafeTensor" if file.is_safetensors else "PickleTensor" if file.is_pickle else None


def _same(wanted: str, published: str | None) -> bool:
    return published is not None and _squeezed(wanted) == _squeezed(published)


def _squeezed(text: str) -> str:
    """`Text Encoder`, `text-encoder` and `text_encoder` alike."""
    return re.sub(r"[\s_-]+", "", text).casefold()


def _known(names: dict[str, str], value: str | None) -> str | None:
    return None if value is None else names.get(value.strip().lstrip(".").casefold(), value)


def _wish_text(wish: FileWish, *, bare: bool = False) -> str:
    parts = {
        "type": wish.type,
        "format": _known(_FORMAT_NAMES, wish.format),
        "size": wish.size,
        "fp": _known(_FP_NAMES, wish.fp),
        "quant type": wish.quant_type,
    }
    given = {name: printable(value, limit=40) for name, value in parts.items() if value is not None}
    if bare:
        return " ".join(given.values())
    return "with " + ", ".join(f"{name} {value}" for name, value in given.items()) if given else ""


def _no_files(
    version: Version, model: Model | VersionModel | None
) -> ArchivedModel | NoFilesPublished:
    if model and model.mode == "Archived":
        return ArchivedModel(
            f"the model of version {version.id} is archived on Civitai: its files are gone",
            hint="its page may name a successor",
        )
    return NoFilesPublished(
        f"version {version.id} has no files on Civitai",
        hint="choose another version: write MODEL@VERSION",
    )


def _no_match(version: Version, what: str) -> NoMatchingFile:
    listed = "; ".join(describe_file(file) for file in version.files[:_LISTED])
    more = len(version.files) - _LISTED
    return NoMatchingFile(
        f"version {version.id} has no file {what}",
        hint=f"it has {listed}"
        + (f"; and {more} more" if more > 0 else "")
        + "; choose with --file ID, --type, --format, --fp or --size",
    )


def _shown_size(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"
