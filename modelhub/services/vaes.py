"""Which VAE a checkpoint has baked in: told by the digest of its weights, among the VAEs here.

No table of well-known VAEs comes with this: their digests are published nowhere, so that only a
VAE that is in the library is named with certainty. A few well-known ones are named besides by the
number that :mod:`modelhub.formats.identify.known_vaes` computes over their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING

from modelhub.catalog.keeprows import WeightScope
from modelhub.catalog.records import BlobRecord
from modelhub.errors import DiskError, FormatError
from modelhub.formats.digests import Level, canonical_names
from modelhub.formats.identify.known_vaes import VaeMetric, counts_towards
from modelhub.formats.identify.parts import Role
from modelhub.formats.reading import read_header
from modelhub.formats.tensor_data import read_values, stored_tensors
from modelhub.progress import Listener, Outcome, TaskFinished, TaskStarted, silent
from modelhub.services.weights import TASK, Keyed, KeyReader, groups, keys_of, vae_keys

if TYPE_CHECKING:
    from pathlib import Path

    from modelhub.catalog import Catalog, FileRow
    from modelhub.catalog.keeprows import WeightFile
    from modelhub.formats.tensors import Header

_LEVELS = (Level.FP16, Level.BF16, Level.EXACT)


def vae_key(path: Path, header: Header) -> str | None:
    """The key of the VAE in a file, at the level of fp16, or of bf16 where its numbers need that.

    :returns: None for a file without a VAE.
    :raises FormatError: its values cannot be compared, or the file is damaged.
    :raises FileUnreadable: it cannot be read, or changed meanwhile.
    """
    keys = vae_keys(path, header)
    return next((keys.keys[one] for one in _LEVELS if one in keys.keys), None) if keys else None


def read_vaes(catalog: Catalog, *, listener: Listener = silent, cancel: Event | None = None) -> int:
    """Read the VAEs of all files that have one and were not read for it before; how many those are.

    :raises Cancelled: `cancel` was set; what was read so far is recorded.
    """
    files = catalog.weight_files(with_vae=True)
    known = catalog.weight_keys(WeightScope.VAE)
    unread = [one for one in files if one.sha256 not in known]
    if not unread:
        return 0
    reader = KeyReader(catalog, listener, cancel or Event())
    listener(TaskStarted(TASK, "read VAEs"))
    outcome = Outcome.CANCELLED
    number = 0
    try:
        for file in unread:
            if not reader.keyed([file], WeightScope.VAE):
                continue
            number += 1
            name = known_vae(file.file)
            if name is not None:
                catalog.record_blob(
                    BlobRecord(sha256=file.sha256, size=file.size, known_vae=f"{name} (likely)")
                )
        outcome = Outcome.DONE
    finally:
        listener(TaskFinished(TASK, outcome, f"{number:,} read"))
    return number


def known_vae(path: Path) -> str | None:
    """Which well-known VAE is in the file, likely; None for another one, or for none.

    Reads the VAE's weights, a MiB at a time.
    """
    try:
        header = read_header(path)
        names = canonical_names(header, Role.VAE)
        metric = VaeMetric()
        with path.open("rb") as file:
            for one in stored_tensors(path, header):
                if one.name in names and counts_towards(one.name):
                    for data in read_values(file.fileno(), one):
                        metric.add(one.dtype, data)
    except (FormatError, DiskError, OSError, ValueError):
        return None
    return metric.name()


def same_vae(catalog: Catalog, sha256: str) -> list[FileRow]:
    """The VAE files in the catalog that have the weights of the VAE in this content.

    Reads nothing: a content whose VAE was never read has none.
    """
    mine = keys_of(catalog, sha256, WeightScope.VAE)
    if mine is None:
        return []
    alike = {
        other
        for level, key in mine.keys.items()
        for other in catalog.with_weight_key(WeightScope.VAE, level.value, key)
        if other != sha256.upper()
    }
    found = []
    for other in sorted(alike):
        theirs = keys_of(catalog, other, WeightScope.VAE)
        if theirs is not None and mine.same_at(theirs) is not None:
            found += [row for row in catalog.find_local_by_sha256(other) if row.type == "vae"]
    return found


def vae_groups(reader: KeyReader, files: Sequence[WeightFile]) -> list[list[Keyed]]:
    """VAE files, each with the checkpoints that have it baked in."""
    return groups(
        reader, _with_vae(files), WeightScope.VAE_SAMPLE, WeightScope.VAE, _alone_and_baked
    )


def _with_vae(files: Sequence[WeightFile]) -> list[WeightFile]:
    return [one for one in files if one.kind == "vae" or one.vae]


def _alone_and_baked(files: Sequence[WeightFile]) -> bool:
    return len({one.kind == "vae" for one in files}) == 2
