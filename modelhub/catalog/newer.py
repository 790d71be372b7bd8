"""Versions of which a newer one is known: what the last `updates` learnt, asked of the catalog.

A version is older than another of its model and of the same base model that was published later,
has files, is not gone from Civitai, and of which nothing is here.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, func, select

from modelhub.catalog.batching import batches
from modelhub.catalog.listingtables import listings
from modelhub.catalog.store import Store
from modelhub.catalog.tables import remote_files, versions


def is_outdated() -> ColumnElement[bool]:
    """The SQL condition that a newer version of the file of a `listings` row is known."""
    return listings.c.version_id.in_(_pairs().with_only_columns(_OLDER.c.id))


def _pairs() -> Select[int, int]:
    """Versions with those that are newer, oldest of these first."""
    here = listings.alias("here")
    has_files = select(remote_files.c.id).where(remote_files.c.version_id == _NEWER.c.id)
    is_here = select(here.c.id).where(here.c.version_id == _NEWER.c.id)
    return (
        select(_OLDER.c.id, _NEWER.c.id)
        .join(_NEWER, _NEWER.c.model_id == _OLDER.c.model_id)
        .where(
            _NEWER.c.published_at > _OLDER.c.published_at,
            func.lower(func.coalesce(_NEWER.c.base_model, ""))
            == func.lower(func.coalesce(_OLDER.c.base_model, "")),
            _NEWER.c.gone_at.is_(None),
            has_files.exists(),
            ~is_here.exists(),
        )
    )


_OLDER, _NEWER = versions.alias("older"), versions.alias("newer")


def newer_of(store: Store, file_ids: Sequence[int]) -> dict[int, int]:
    """See :meth:`modelhub.catalog.Catalog.newer_of`."""
    found: dict[int, int] = {}
    with store.read() as connection:
        for batch in batches(file_ids):
            of_these = select(listings.c.version_id).where(listings.c.id.in_(batch))
            pairs = _pairs().where(_OLDER.c.id.in_(of_these)).order_by(_NEWER.c.published_at)
            newest = {older: newer for older, newer in connection.execute(pairs)}  # noqa: C416
            rows = connection.execute(
                select(listings.c.id, listings.c.version_id).where(
                    listings.c.id.in_(batch), listings.c.version_id.in_(newest)
                )
            )
            found.update((number, newest[version]) for number, version in rows)
    return found
