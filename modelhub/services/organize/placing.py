"""Where a file belongs: as a pull would place it, from what was published, or else from what it
was identified as."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelhub.placement.layouts import LAYOUTS, TEMPLATE, Placeable, place
from modelhub.placement.names import split_name
from modelhub.services.organize.arrangement import DIFFUSERS, Arrangement

if TYPE_CHECKING:
    from modelhub.catalog import FileRow, PublishedAs

_WORDS: Mapping[str, str] = {
    "checkpoint": "Checkpoint",
    "unet": "UNet",
    "vae": "VAE",
    "textencoder": "TextEncoder",
    "clipvision": "CLIPVision",
    "lora": "LORA",
    "embedding": "TextualInversion",
    "hypernetwork": "Hypernetwork",
    "aestheticgradient": "AestheticGradient",
    "controlnet": "Controlnet",
    "t2iadapter": "Controlnet",
    "upscaler": "Upscaler",
    "motionmodule": "MotionModule",
    "detection": "Detection",
    "visionlanguage": "VisionLanguage",
}
"""Civitai's word for a kind that was identified (:class:`modelhub.formats.identity.ModelKind`).
The others have no folder of their own in any layout."""

_HERE = PurePosixPath()
_VARIANT = re.compile(r" \(\d+\)$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model belongs; `folder` is absolute, `name` its file's (or folder's) name there.

    :param in_place: it is there already, or in a folder of the user's below.
    :param below: where it is below the folder of its kind: ``anime/old``.
    """

    folder: Path
    name: str
    why: str
    in_place: bool
    below: PurePosixPath = _HERE


def place_of(
    row: FileRow,
    source: Path,
    published: Sequence[PublishedAs],
    arrangement: Arrangement,
    *,
    guesses: bool,
    folder: bool = False,
) -> Place | str:
    """Where the model at `source` belongs in a root; or why it is left alone, in words.

    :param guesses: place also what was identified by a guess.
    :param folder: `source` is a diffusers folder.
    :raises ConfigError: layout, template or folders are wrong.
    """
    item, why = _placeable(row, source, published, arrangement, folder=folder)
    if item is None:
        return "what it is, is not known"
    if not published and row.guessed and not guesses:
        return f"it is only guessed to be {_an(row.type or '')}: --guesses moves it all the same"
    layout = arrangement.library.layout
    if folder and layout not in (TEMPLATE, "flat"):
        named = DIFFUSERS.get(layout)
        if named is None:
            return f"the {layout} layout has no folder for diffusers models"
        relative = PurePosixPath(named, source.name)
    else:
        relative = place(arrangement.library, item)
        if _homeless(arrangement, item, relative):
            return f"the {layout} layout has no folder for {_an(item.kind.value)}"
    return _compared(source, relative, why, arrangement)


def _placeable(
    row: FileRow,
    source: Path,
    published: Sequence[PublishedAs],
    arrangement: Arrangement,
    *,
    folder: bool,
) -> tuple[Placeable | None, str]:
    first = next(iter(published), None)
    name = source.name
    if first is not None:
        if first.file_name and not folder and not _keeps_names(arrangement):
            name = first.file_name
        item = Placeable(
            file_name=name,
            model_type=first.model_type,
            file_type=first.file_type or "Model",
            base_model=first.base_model or "",
            creator=first.creator or "",
            model=first.model_name,
            version=first.version_name,
            model_id=first.model_id,
            version_id=first.version_id,
        )
        return item, f"{_an(item.kind.value)}, as published"
    word = _WORDS.get(row.type or "")
    if word is None:
        return None, ""
    item = Placeable(file_name=name, model_type=word, base_model=row.base or "")
    how = "by a guess" if row.guessed else "by its tensors"
    return item, f"{_an(item.kind.value)}, {how}"


def _keeps_names(arrangement: Arrangement) -> bool:
    """Whether a file keeps the name that it has: a template may make names of its own."""
    library = arrangement.library
    last = library.template.rpartition("/")[2]
    return library.layout != TEMPLATE or last == "{file}"


def _homeless(arrangement: Arrangement, item: Placeable, relative: PurePosixPath) -> bool:
    layout = LAYOUTS.get(arrangement.library.layout)
    if layout is None or layout.name == "flat" or item.kind in layout.folders:
        return False
    return relative.parent == PurePosixPath(layout.other)


def _compared(source: Path, relative: PurePosixPath, why: str, arrangement: Arrangement) -> Place:
    """The place, compared with where the file is."""
    folder = arrangement.base / relative.parent
    if arrangement.library.layout == TEMPLATE:
        same = _same_folder(source.parent, folder) and (
            _keeps_names(arrangement) or _bare(source.name) == _bare(relative.name)
        )
        name = source.name if _keeps_names(arrangement) else relative.name
        return Place(folder, name, why, same)
    also = (arrangement.base / one for one in arrangement.also_read(str(relative.parent)))
    for home in (folder, *also):
        below = _below(source.parent, home)
        if below is not None:
            return Place(folder, source.name, why, in_place=True, below=below)
    whole = arrangement.whole_tree and _below(source.parent, arrangement.folder) is not None
    return Place(folder, source.name, why, in_place=whole)


def _below(folder: Path, home: Path) -> PurePosixPath | None:
    """Where `folder` is below `home`, by name or after following links; None when it is not."""
    if folder.is_relative_to(home):
        return PurePosixPath(folder.relative_to(home))
    one, two = Path(os.path.realpath(folder)), Path(os.path.realpath(home))
    return PurePosixPath(one.relative_to(two)) if one.is_relative_to(two) else None


def _same_folder(one: Path, two: Path) -> bool:
    return one == two or os.path.realpath(one) == os.path.realpath(two)


def _bare(name: str) -> str:
    """A name without the number that a taken one gets."""
    stem, extension = split_name(name)
    return _VARIANT.sub("", stem) + extension


def _an(words: str) -> str:
    written = {"lora": "LoRA", "vae": "VAE", "controlnet": "ControlNet"}.get(words, words)
    return f"{'an' if written[:1].lower() in 'aeiou' else 'a'} {written}"
