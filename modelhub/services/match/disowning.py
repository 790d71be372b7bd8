"""Words that were taken for the user's, and turn out to be Civitai's.

Many tools copy the description and the trigger words of a model into `STEM.json`, where the user
writes too. As long as nothing published is known they are imported as the user's; once it is, what
was imported and is Civitai's is taken off again. It is shown as published then, so nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelhub.placement.sidecars.read_words import Copied, Words, joined_words, own_words
from modelhub.services.match.sidecars import Read, SidecarReport, published_words, readings

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow


def disown_copied(files: Iterable[FileRow], *, catalog: Catalog) -> int:
    """Take off what was imported from the sidecars of these files and is Civitai's own.

    A note goes only where it is exactly what was imported: one that the user has changed is theirs.

    :returns: of how many contents something was taken off.
    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    found = list(readings(files, SidecarReport()))
    return sum(_disown(catalog, read) for read in found)


def _disown(catalog: Catalog, read: Read) -> bool:
    imported = joined_words(own_words(one.words, Copied()) for one in read.sidecars)
    published = published_words(catalog, read)
    own = joined_words(own_words(one.words, published) for one in read.sidecars)
    if imported == own:
        return False
    return _take_off(catalog, read.row.id, imported, own)


def _take_off(catalog: Catalog, file_id: int, imported: Words, own: Words) -> bool:
    details = catalog.show(file_id)
    changed = False
    if imported.note != own.note and details.note == imported.note:
        changed |= bool(catalog.note([file_id], own.note or None).blobs)
    foreign = set(imported.trigger_words) - set(own.trigger_words)
    kept = [word for word in details.own_trigger_words if word not in foreign]
    if len(kept) < len(details.own_trigger_words):
        changed |= bool(catalog.set_trigger_words([file_id], kept).blobs)
    copied = {
        name: None
        for name, value in imported.values.items()
        if name not in own.values and details.user_values.get(name) == value
    }
    if copied:
        changed |= bool(catalog.set_user_values([file_id], copied).blobs)
    return changed
