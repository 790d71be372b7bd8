"""`dupes`: what is here more than once."""

from __future__ import annotations

from collections import defaultdict
from threading import Event
from typing import TYPE_CHECKING

from modelhub.catalog.keeprows import WeightScope
from modelhub.config.paths import library_root
from modelhub.progress import Listener, Outcome, TaskFinished, TaskStarted, silent
from modelhub.services.dupes.copies import group_of
from modelhub.services.dupes.model import DupesReport, Group, Member, Part, Same
from modelhub.services.vaes import vae_groups
from modelhub.services.weights import TASK, Keyed, KeyReader, groups

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.catalog.keeprows import WeightFile
    from modelhub.config import Config


def dupes(
    catalog: Catalog,
    *,
    config: Config,
    weights: bool = True,
    listener: Listener = silent,
    cancel: Event | None = None,
) -> DupesReport:
    """Files of the same bytes; of the same weights; and checkpoints with a VAE that is here too.

    :param weights: compare weights, which reads files that were not compared before; False: the
        hashes alone.
    :raises Cancelled: `cancel` was set; what was read so far is recorded.
    :raises CatalogError: the catalog cannot be written to.
    """
    library = library_root(config)
    found = [group for one in catalog.duplicates() if (group := group_of(one, library)) is not None]
    found.sort(key=lambda group: -group.saves)
    if not weights:
        return DupesReport(groups=tuple(found))
    reader = KeyReader(catalog, listener, cancel or Event())
    listener(TaskStarted(TASK, "compare weights"))
    try:
        files = catalog.weight_files()
        found += _same_weights(reader, files)
        found += [_vae_group(one) for one in vae_groups(reader, files)]
    except BaseException:
        listener(TaskFinished(TASK, Outcome.CANCELLED))
        raise
    listener(TaskFinished(TASK, Outcome.DONE))
    return DupesReport(
        groups=tuple(found), read_bytes=reader.read_bytes, not_compared=tuple(reader.unreadable)
    )


def _same_weights(reader: KeyReader, files: list[WeightFile]) -> list[Group]:
    kinds: dict[tuple[str | None, ...], list[WeightFile]] = defaultdict(list)
    for file in files:
        kinds[file.kind, file.architecture, file.adapter].append(file)
    found = [
        _group(Same.WEIGHTS, group, Part.SOURCE, Part.DERIVED)
        for alike in kinds.values()
        for group in groups(reader, alike, WeightScope.SAMPLE, WeightScope.ALL)
    ]
    found.sort(key=lambda group: -sum(one.size for one in group.members))
    return found


def _vae_group(group: list[Keyed]) -> Group:
    alone = [one for one in group if one.file.kind == "vae"]
    baked = [one for one in group if one.file.kind != "vae"]
    return _group(Same.VAE, [*alone, *baked], Part.ALONE, Part.BAKED, count=len(alone))


def _group(same: Same, group: list[Keyed], first: Part, rest: Part, count: int = 1) -> Group:
    # At the level of the least precise one all can be compared.
    levels = [level for one in group if (level := group[0].keys.same_at(one.keys))]
    level = max(levels, key=["exact", "fp16", "bf16"].index)
    return Group(
        same=same,
        key=group[0].keys.keys[level],
        level=level.value,
        members=tuple(
            _member(one, first if number < count else rest) for number, one in enumerate(group)
        ),
    )


def _member(one: Keyed, part: Part) -> Member:
    file = one.file
    return Member(
        id=file.id,
        path=file.file,
        size=file.size,
        mtime_ns=file.mtime_ns,
        part=part,
        sha256=file.sha256,
        format=file.format,
        precision=file.precision,
    )
