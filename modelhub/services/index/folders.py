"""One folder as the walk sees it: which names in it are models, folders, or neither."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from modelhub.services.index.ignore import IgnoreRules, read_lines
from modelhub.services.index.names import (
    COMPANION_SUFFIXES,
    IGNORE_FILE,
    MAIN_COMPONENTS,
    MODEL_INDEX,
    MODEL_SUFFIXES,
    is_model_name,
)

_LARGEST_INDEX = 1 << 20
"""Bytes of a `model_index.json` that are read; real ones have one or two thousand."""


@dataclass(slots=True)
class Folder:
    """What one folder holds.

    :param path: relative to the root, as :mod:`os` gives it, with a slash at its end; the root
        itself is empty.
    :param descriptor: the open folder.
    :param rules: what is ignored in it.
    :param part_of: the model, as a path below the root, whose parts all models in it are.
    """

    path: str
    descriptor: int
    rules: IgnoreRules
    part_of: str | None = None
    names: list[str] = field(default_factory=list)
    """Models, and folders with a slash at their end, in the byte order of their paths."""
    links: set[str] = field(default_factory=set)
    """Of the folders among them, those that are symbolic links."""
    dangling: list[str] = field(default_factory=list)
    """Symbolic links that lead nowhere: a disk that is not there, perhaps."""
    companions: frozenset[str] = frozenset()
    """What downloads under way leave beside their file."""
    components: frozenset[str] = frozenset()
    """Of a diffusers folder: the folders with its parts."""
    main: str | None = None
    """Of a diffusers folder: the weights that stand for the whole, relative to the root."""
    entries: int = 0
    """How many names the folder has, of whatever sort."""

    def read(self, *, follow_links: bool) -> None:
        """List the folder.

        :raises OSError: it cannot be read.
        """
        companions: list[str] = []
        names = self.names
        own_rules = pipeline = False
        number = 0
        with os.scandir(self.descriptor) as entries:
            for number, entry in enumerate(entries, 1):  # noqa: B007 (how many there were)
                name = entry.name
                if name[0] == ".":
                    own_rules = own_rules or name == IGNORE_FILE
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link that leads to itself
                    is_folder = False
                if is_folder:
                    if not entry.is_symlink():
                        names.append(name + "/")
                    elif follow_links:
                        names.append(name + "/")
                        self.links.add(name + "/")
                    continue
                suffix = name[name.rfind(".") + 1 :].lower()
                if suffix in MODEL_SUFFIXES:
                    if follow_links or not entry.is_symlink():
                        names.append(name)
                elif suffix in COMPANION_SUFFIXES:
                    companions.append(name)
                elif name == MODEL_INDEX:
                    pipeline = True
                elif entry.is_symlink():
                    self._note_dangling(name)
        self.entries = number
        if own_rules:
            self._read_rules()
        if self.rules:
            self.names = [one for one in names if not self.rules.ignores(self.path + one)]
        self.names.sort()
        self.companions = frozenset(companions)
        if self.part_of is None and pipeline:
            self.components = self._components()
            self.main = self._main_weights() if self.components else None

    def shards(self) -> dict[str, str]:
        """The main file of each name here that is a further shard of one."""
        if not any("-of-" in name for name in self.names):
            return {}
        from modelhub.formats.grouping import groups_of

        files = [name for name in self.names if not name.endswith("/")]
        return {
            part: group.main
            for group in groups_of(files)
            for part in group.parts
            if part != group.main
        }

    def close(self) -> None:
        """Close the folder, if it is open."""
        if self.descriptor >= 0:
            with suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = -1

    def _models_in(self, component: str) -> list[str]:
        descriptor = self._open(component)
        try:
            with os.scandir(descriptor) as entries:
                return sorted(entry.name for entry in entries if is_model_name(entry.name))
        finally:
            os.close(descriptor)

    def _note_dangling(self, name: str) -> None:
        try:
            os.stat(name, dir_fd=self.descriptor)
        except OSError:
            self.dangling.append(name)

    def _open(self, name: str) -> int:
        # Non-blocking: a FIFO of this name would wait for a writer for ever.
        return os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.descriptor)

    def _read_rules(self) -> None:
        try:
            lines = read_lines(self._open(IGNORE_FILE))
        except OSError as error:
            self.rules.refused.append(f"{self.path}{IGNORE_FILE}: {error.strerror}")
            return
        self.rules = self.rules.with_lines(lines, self.path, f"{self.path}{IGNORE_FILE}")

    def _components(self) -> frozenset[str]:
        """The component folders that `model_index.json` names, as diffusers writes it: each key
        with a list of library and class (`diffusers/configuration_utils.py`)."""
        try:
            with open(self._open(MODEL_INDEX), "rb") as file:  # noqa: PTH123
                document = msgspec.json.decode(file.read(_LARGEST_INDEX))
        except (OSError, msgspec.DecodeError, RecursionError):
            return frozenset()
        if not isinstance(document, dict):
            return frozenset()
        named = {key + "/" for key, value in document.items() if isinstance(value, list)}
        return frozenset(named.intersection(self.names))

    def _main_weights(self) -> str | None:
        others = sorted(name[:-1] for name in self.components)
        for component in (*MAIN_COMPONENTS, *others):
            if component + "/" in self.components:
                try:
                    names = self._models_in(component)
                except OSError:
                    continue
                if names:
                    return f"{self.path}{component}/{names[0]}"
        return None
