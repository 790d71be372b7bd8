"""The models below a root, as a stream in the order in which the catalog keeps their paths.

The order is that of the bytes of the whole path, so that what is on disk and what the catalog
knows are compared as they come, a million of them without any being kept. To get it, the names of
a folder are sorted with a slash put to those that are folders. Paths with bytes that are not UTF-8
are spelled otherwise in the catalog than on disk, and sort otherwise: they are few, and go apart
(:attr:`Walk.odd`).

Symbolic links to folders are followed to places outside the root, each once; one to a place inside
a root is not, as it is walked there. Folders that are roots themselves are left to those.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from modelhub.catalog.paths import escaped
from modelhub.services.index.folders import Folder
from modelhub.services.index.ignore import IgnoreRules
from modelhub.services.index.names import too_small, unfinished

_CHUNK = 4096
_DEEPEST_OPEN = 64
"""Folders deeper than so many are closed while those below them are walked."""
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK


class Seen(NamedTuple):
    """A model file on disk; `path` in the catalog's spelling, `part_of` likewise."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    part_of: str | None


Chunk: TypeAlias = list[tuple[str, int, int, int, str | None]]
"""Plain tuples in the order of :class:`Seen`: at a million files, making one takes twice as long
as the rest of the walk."""


@dataclass(slots=True, kw_only=True)
class Scope:
    """What to look at below a root: everything below `folder`, or only the files `names` in it."""

    folder: str = ""
    """Relative to the root, as :mod:`os` gives it, with a slash at its end; empty: the root."""
    names: frozenset[str] | None = None


@dataclass(slots=True)
class Walk:
    """One walk of one root.

    :param root: absolute.
    :param others: other roots, as real paths: folders that are one of them are left out.
    """

    root: Path
    scope: Scope = field(default_factory=Scope)
    others: frozenset[str] = frozenset()
    follow_links: bool = True
    ignore: tuple[str, ...] = ()
    unmounted: frozenset[str] = frozenset()
    """Mount points without anything mounted."""
    odd: list[Seen] = field(default_factory=list)
    """Files whose paths are not UTF-8; complete when the walk is through."""
    unreadable: list[str] = field(default_factory=list)
    """Folders, spelled as in the catalog and with a slash at their end, that could not be read or
    are not mounted: nothing below them counts as gone."""
    held: set[str] = field(default_factory=set)
    """Files that are on disk and left alone: downloads under way."""
    pipelines: set[str] = field(default_factory=set)
    """The files that stand for diffusers folders: they are ``FOLDER/COMPONENT/NAME``."""
    notices: list[str] = field(default_factory=list)
    entries: int = 0
    """Names met, of whatever sort."""
    _visited: set[tuple[int, int]] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    """Where the links to folders that were followed lead: the link's path, relative to the root
    and with a slash at its end, by the real path."""
    _real: str = ""

    def chunks(self) -> Iterator[Chunk]:
        """The files, in order, as lists of plain tuples.

        :raises OSError: the root itself cannot be read.
        """
        self._real = os.path.realpath(self.root)
        rules = IgnoreRules(refused=self.notices)
        if self.ignore:
            rules = rules.with_lines(self.ignore, "", "index.ignore")
        start = self._start(rules)
        if start is None:
            return
        if self.scope.names is not None:
            start.names = [name for name in start.names if name in self.scope.names]
            yield from self._files(start, start.names, start.shards())
            start.close()
            return
        yield from self._below(start)

    def _start(self, rules: IgnoreRules) -> Folder | None:
        """The folder of the scope, reached from the root step by step, so that all rules hold;
        None where one of them keeps it out."""
        folder = self._opened("", rules, None)
        for part in filter(None, self.scope.folder.split("/")):
            below, wanted = folder, part + "/"
            try:
                if wanted not in below.names or self._left_out(below, wanted):
                    return None
                folder = self._opened(below.path + wanted, below.rules, self._owner(below, wanted))
            except OSError as error:
                self._note_unreadable(below.path + wanted, error)
                return None
            finally:
                below.close()
        return folder

    def _opened(self, path: str, rules: IgnoreRules, part_of: str | None) -> Folder:
        place = f"{self.root}/{path}"
        folder = Folder(path, os.open(place, _OPEN_FOLDER), rules, part_of)
        try:
            folder.read(follow_links=self.follow_links)
        except OSError:
            folder.close()
            raise
        self.entries += folder.entries
        self.unreadable += [escaped(path + name) + "/" for name in folder.dangling]
        return folder

    def _below(self, start: Folder) -> Iterator[Chunk]:
        """All files of `start` and below, by a stack of our own: folders may lie deep."""
        stack = [(start, self._runs(start))]
        while stack:
            folder, runs = stack[-1]
            step = next(runs, None)
            if step is None:
                folder.close()
                stack.pop()
            elif isinstance(step, list):
                yield step
            else:
                below = self._entered(folder, step)
                if below is not None:
                    if len(stack) >= _DEEPEST_OPEN:
                        folder.close()
                    stack.append((below, self._runs(below)))

    def _entered(self, folder: Folder, name: str) -> Folder | None:
        path = folder.path + name
        try:
            if self._left_out(folder, name):
                return None
            return self._opened(path, folder.rules, self._owner(folder, name))
        except OSError as error:
            self._note_unreadable(path, error)
            return None

    @staticmethod
    def _owner(folder: Folder, name: str) -> str | None:
        if folder.part_of is not None or name not in folder.components:
            return folder.part_of
        return folder.main

    def _left_out(self, folder: Folder, name: str) -> bool:
        """Whether the folder `name` is another root's, not mounted, or reached by another way.

        :raises OSError: it cannot be looked at.
        """
        place = f"{self.root}/{folder.path}{name}".rstrip("/")
        if place in self.others:
            return True
        if place in self.unmounted and not any(Path(place).iterdir()):
            self.unreadable.append(escaped(folder.path + name))
            self.notices.append(f"{place} is not mounted: what is known below it is kept")
            return True
        if name not in folder.links:
            return bool(self.links) and _key(place) in self._visited
        real = os.path.realpath(place)
        within = real.rstrip("/") + "/"
        roots = (self._real, *self.others)
        if any(f"{root}/".startswith(within) or real.startswith(f"{root}/") for root in roots):
            return True
        key = _key(place)
        if key in self._visited or self._climbs(folder, real):
            return True
        if any(real.startswith(f"{one}/") for one in self.links):
            return True
        self._visited.add(key)
        self.links[real] = folder.path + name
        return False

    def _climbs(self, folder: Folder, real: str) -> bool:
        """Whether `real`, where a link in `folder` leads, is around that folder: a loop."""
        here = os.path.realpath(f"{self.root}/{folder.path}")
        return f"{here}/".startswith(real.rstrip("/") + "/")

    def _runs(self, folder: Folder) -> Iterator[Chunk | str]:
        """The files of a folder in lists, and the names of the folders between them."""
        shards = folder.shards()
        names = folder.names
        at = 0
        for index, name in enumerate(names):
            if name[-1] == "/":
                if at < index:
                    yield from self._files(folder, names[at:index], shards)
                yield name
                at = index + 1
        if at < len(names):
            yield from self._files(folder, names[at:], shards)

    def _files(self, folder: Folder, names: list[str], shards: dict[str, str]) -> Iterator[Chunk]:
        if folder.descriptor < 0:
            try:
                folder.descriptor = os.open(f"{self.root}/{folder.path}", _OPEN_FOLDER)
            except OSError as error:
                self._note_unreadable(folder.path, error)
                return
        for at in range(0, len(names), _CHUNK):
            chunk = self._looked_at(folder, names[at : at + _CHUNK], shards)
            if chunk:
                yield chunk

    def _looked_at(self, folder: Folder, names: list[str], shards: dict[str, str]) -> Chunk:
        chunk: Chunk = []
        look, regular, descriptor = os.stat, stat.S_ISREG, folder.descriptor
        prefix, part_of = escaped(folder.path), folder.part_of
        companions = folder.companions
        main = None if part_of is None else escaped(part_of)
        plain = "//" not in prefix
        ascii_names = "".join(names).isascii()
        for name in names:
            try:
                found = look(name, dir_fd=descriptor)
            except OSError:
                continue  # gone since, or a link that leads nowhere
            size = found.st_size
            if not regular(found.st_mode):
                continue
            if size < 1024 and too_small(name, size):
                continue
            if companions and unfinished(name, size, companions):
                self.held.add(prefix + escaped(name))
                continue
            if shards and part_of is None:
                first = shards.get(name)
                main = None if first is None else prefix + escaped(first)
            owner = main
            if part_of is not None and main == prefix + escaped(name):
                self.pipelines.add(main)
                owner = None
            item = (prefix + name, size, found.st_mtime_ns, found.st_ino, owner)
            if plain and (ascii_names or escaped(name) == name):
                chunk.append(item)
            else:
                self.odd.append(Seen(prefix + escaped(name), *item[1:]))
        return chunk

    def _note_unreadable(self, path: str, error: OSError) -> None:
        self.unreadable.append(escaped(path))
        self.notices.append(f"{self.root}/{path.rstrip('/')}: {error.strerror}")


def _key(place: str) -> tuple[int, int]:
    """What tells a folder from all others, whatever path leads to it."""
    found = Path(place).stat()
    return found.st_dev, found.st_ino
