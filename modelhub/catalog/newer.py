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
    return listings.c.version_id.in_(_outdated_versions())


def _outdated_versions() -> Select[int]:
    older, newer, here = versions.alias("older"), versions.alias("newer"), listings.alias("here")
    has_files = select(remote_files.c.id).where(remote_files.c.version_id == newer.c.id)
    is_here = select(here.c.id).where(here.c.version_id == newer.c.id)
    return (
        select(older.c.id)
        .join(newer, newer.c.model_id == older.c.model_id)
        .where(
            newer.c.published_at > older.c.published_at,
            func.lower(func.coalesce(newer.c.base_model, ""))
            == func.lower(func.coalesce(older.c.base_model, "")),
            newer.c.gone_at.is_(None),
            has_files.exists(),
            ~is_here.exists(),
        )
    )


def newer_among(store: Store, file_ids: Sequence[int]) -> set[int]:
    """See :meth:`modelhub.catalog.Catalog.newer_among`."""
    found: set[int] = set()
    with store.read() as connection:
        for batch in batches(file_ids):
            of_these = select(listings.c.version_id).where(listings.c.id.in_(batch))
            outdated = _outdated_versions()
            statement = select(listings.c.id).where(
                listings.c.id.in_(batch),
                listings.c.version_id.in_(
                    outdated.where(outdated.selected_columns[0].in_(of_these))
                ),
            )
            found.update(connection.scalars(statement))
    return found
