"""What stands beside a model and belongs to it: the other shards, sidecars, previews, configs."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelhub.formats.grouping import Group, groups_of
from modelhub.placement.names import split_name
from modelhub.services.index.names import COMPANION_SUFFIXES, is_model_name

_VAE_ENDINGS = (".vae.pt", ".vae.safetensors", ".vae.ckpt")
"""A VAE that A1111 loads with the checkpoint of the same stem (`modules/sd_vae.py`,
`find_vae_near_checkpoint`)."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The files that move with a model, by name, in its folder.

    :param shards: the model's own other files, the index of its shards among them.
    :param companions: what is told apart from them by its name alone.
    :param rivals: other models with the same stem, whose companions these are as well.
    """

    shards: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    downloading: bool = False


class FolderOfModels:
    """The names in one folder, read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files: list[str] = []
        self.used: set[str] = set()
        """Every name, as file systems that ignore case and Unicode form compare it."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.used.add(same_name(entry.name))
                    if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                        files.append(entry.name)
        except OSError:
            files = []
        self._groups = {part: one for one in groups_of(files) for part in one.parts}
        self._companions: dict[str, list[str]] = {}
        self._models: dict[str, list[str]] = {}
        models = [name for name in files if is_model_name(name)]
        for name in models:
            for stem in _stems(name, self._groups.get(name)):
                self._models.setdefault(stem, []).append(name)
        self._indexes = {one.index for one in self._groups.values() if one.index}
        known = set(models) | self._indexes
        for name in files:
            if name not in known:
                self._note_companion(name)

    def _note_companion(self, name: str) -> None:
        """A companion belongs to the model with the longest stem that its name begins with."""
        at = len(name)
        while (at := name.rfind(".", 0, at)) > 0:
            if name[:at] in self._models:
                self._companions.setdefault(name[:at], []).append(name)
                return

    def beside(self, main: str) -> Beside:
        """What belongs to the model whose (first) file is `main`."""
        group = self._groups.get(main)
        own = set(group.parts) if group is not None else {main}
        stems = _stems(main, group)
        near = [one for stem in stems for one in self._companions.get(stem, ())]
        rivals = {one for stem in stems for one in self._models.get(stem, ())} - own
        downloads = tuple(f".{one}" for one in COMPANION_SUFFIXES if one != "tmp")
        index = {group.index} if group is not None and group.index else set()
        return Beside(
            shards=tuple(sorted((own | index) - {main})),
            companions=tuple(sorted(set(near))),
            rivals=tuple(sorted(rivals)),
            downloading=any(one.lower().endswith(downloads) for one in near),
        )

    def vaes_of(self, main: str) -> Iterator[str]:
        """VAEs that A1111 and Forge load with the checkpoint `main`."""
        stem, _ = split_name(main)
        for ending in _VAE_ENDINGS:
            if stem + ending in self._groups:
                yield stem + ending

    def checkpoint_of(self, vae: str) -> str | None:
        """The checkpoint with which `vae` is loaded by its name."""
        ending = next((one for one in _VAE_ENDINGS if vae.lower().endswith(one)), None)
        if ending is None:
            return None
        return next(iter(self._models.get(vae[: -len(ending)], ())), None)


def same_name(name: str) -> str:
    """What a file system compares that ignores case and Unicode form."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", folded)


def _stems(name: str, group: Group | None) -> tuple[str, ...]:
    """The stem of a model; of shards, also the one that they share."""
    stem = split_name(name)[0]
    if group is None or len(group.parts) < 2:
        return (stem,)
    return (stem, stem.rpartition("-of-")[0].rpartition("-")[0])
