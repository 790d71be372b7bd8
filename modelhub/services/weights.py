"""Which files have the same weights: told by digests, read once and kept in the catalog.

Files of the same kind and architecture could be the same weights. A sample of a few tensors tells
most of them apart, whatever precision each has; only those whose samples agree are read whole.
What was read is kept with the content, so that the next run reads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from modelhub.catalog.keeprows import KnownKeys, WeightScope
from modelhub.errors import Cancelled, DiskError, FormatError
from modelhub.formats.digests import Level, WeightKeys
from modelhub.formats.identify.parts import Role
from modelhub.progress import Advanced, Listener, Notice, Stage, StageEntered, TaskRenamed

if TYPE_CHECKING:
    from pathlib import Path

    from modelhub.catalog import Catalog
    from modelhub.catalog.keeprows import WeightFile
    from modelhub.formats.tensors import Header

TASK = "compare"
_SAMPLES = frozenset({WeightScope.SAMPLE, WeightScope.VAE_SAMPLE})
_VAES = frozenset({WeightScope.VAE, WeightScope.VAE_SAMPLE})


@dataclass(frozen=True, slots=True)
class Keyed:
    """A file with the keys of its weights."""

    file: WeightFile
    keys: WeightKeys


class KeyReader:
    """Gives the keys of files' weights: the recorded ones, or else those that it reads and records.

    :param listener: hears of each file that is read, as stages of one task.
    """

    def __init__(self, catalog: Catalog, listener: Listener, cancel: Event) -> None:
        self._catalog, self._listener, self._cancel = catalog, listener, cancel
        self.read_bytes = 0
        self.unreadable: list[tuple[Path, str]] = []

    def keyed(self, files: Sequence[WeightFile], scope: WeightScope) -> list[Keyed]:
        """The files that have keys, with them.

        :raises Cancelled: it was stopped; what was read so far is recorded.
        """
        known = self._catalog.weight_keys(scope, [file.sha256 for file in files])
        found = []
        for file in files:
            if self._cancel.is_set():
                raise Cancelled("stopped while comparing weights")
            one = known.get(file.sha256) or self._read(file, scope)
            keys = None if one is None else _decoded(one)
            if keys is not None:
                found.append(Keyed(file, keys))
        return found

    def _read(self, file: WeightFile, scope: WeightScope) -> KnownKeys | None:
        """None for a file that cannot be read now, or is another than the catalog knows."""
        path = file.file
        refused = ""
        try:
            if not _as_known(file):
                return None
            self._listener(TaskRenamed(TASK, file.path))
            self._listener(StageEntered(TASK, Stage.COMPARE))
            try:
                keys = self._computed(path, scope)
            except FormatError as error:
                keys, refused = None, error.message
            if not _as_known(file):
                return None
        except (DiskError, OSError) as error:
            self._listener(Notice(TASK, f"not compared: {error}", warning=True))
            return None
        if refused:
            self.unreadable.append((path, refused))
        # Of a content that is refused there will never be any keys: that is kept as well.
        known = KnownKeys("none", {}) if keys is None else _encoded(keys)
        self._catalog.record_weight_keys(file.sha256, scope, known)
        return known

    def _computed(self, path: Path, scope: WeightScope) -> WeightKeys | None:
        from modelhub.formats.digests import read_digests, weight_keys
        from modelhub.formats.reading import read_header

        header = read_header(path)
        before = self.read_bytes

        def tell(done: int) -> None:
            self.read_bytes = before + done
            self._listener(Advanced(TASK, done, header.size))

        digests = read_digests(
            path,
            header,
            only=_role(scope),
            sampled=scope in _SAMPLES,
            progress=tell,
            cancel=self._cancel,
        )
        return weight_keys(digests)


def keys_of(catalog: Catalog, sha256: str, scope: WeightScope) -> WeightKeys | None:
    """The recorded keys of a content's weights; None where there are none."""
    known = catalog.weight_keys(scope, [sha256]).get(sha256.upper())
    return None if known is None else _decoded(known)


def vae_keys(path: Path, header: Header) -> WeightKeys | None:
    """The keys of the VAE in a checkpoint, or of a VAE alone; None where there is none.

    :raises FormatError, FileUnreadable: as :func:`modelhub.formats.digests.read_digests`.
    """
    from modelhub.formats.digests import read_digests, weight_keys

    return weight_keys(read_digests(path, header, only=_role(WeightScope.VAE)))


def groups(
    reader: KeyReader,
    files: Sequence[WeightFile],
    sample: WeightScope,
    whole: WeightScope,
    matters: Callable[[Sequence[WeightFile]], bool] = lambda _: True,
) -> list[list[Keyed]]:
    """The files whose weights are the same, in groups of two and more, the most precise one first.

    Each member is the same as the first one, at the level of the less precise of both.

    :param matters: whether a set of files, whose samples agree, is to be looked into.
    """
    if len(files) < 2 or not matters(files):
        return []
    alike = {
        one.file.id
        for bucket in _buckets(reader.keyed(files, sample))
        if matters([one.file for one in bucket])
        for one in bucket
    }
    keyed = reader.keyed([file for file in files if file.id in alike], whole)
    order = {Level.EXACT: 0, Level.FP16: 1, Level.BF16: 2}
    left = sorted(keyed, key=lambda one: (order[one.keys.own], one.file.id))
    found = []
    while left:
        head, *others = left
        same = [one for one in others if head.keys.same_at(one.keys) is not None]
        if same and matters([one.file for one in (head, *same)]):
            found.append([head, *same])
        left = [one for one in others if one not in same]
    return found


def _buckets(keyed: Sequence[Keyed]) -> list[list[Keyed]]:
    """Those that share a key, where it is one of a level that some of them has of its own."""
    found: dict[tuple[Level, str], list[Keyed]] = {}
    for one in keyed:
        for level, key in one.keys.keys.items():
            found.setdefault((level, key), []).append(one)
    return [
        bucket
        for (level, _), bucket in found.items()
        if len(bucket) > 1
        and (level is Level.EXACT or any(one.keys.own is level for one in bucket))
    ]


def _role(scope: WeightScope) -> Role | None:
    return Role.VAE if scope in _VAES else None


def _as_known(file: WeightFile) -> bool:
    now = os.stat(file.file)  # noqa: PTH116 (as `require_regular` does)
    return (now.st_size, now.st_mtime_ns) == (file.size, file.mtime_ns)


def _encoded(keys: WeightKeys) -> KnownKeys:
    return KnownKeys(keys.own.value, {level.value: key for level, key in keys.keys.items()})


def _decoded(known: KnownKeys) -> WeightKeys | None:
    if not known.keys:
        return None
    return WeightKeys(Level(known.own), {Level(level): key for level, key in known.keys.items()})
