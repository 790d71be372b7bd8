"""The keys of weights, kept with the content, so that a file is read for them only once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, or_, select

from modelhub.catalog.batching import batches
from modelhub.catalog.keeprows import KnownKeys, WeightFile, WeightScope
from modelhub.catalog.rows import FileState
from modelhub.catalog.tables import blobs, local_files, roots
from modelhub.catalog.tables import weight_keys as keys_table
from modelhub.errors import UnknownFile

if TYPE_CHECKING:
    from modelhub.catalog.store import Store

_COMPARABLE = ("safetensors", "ckpt", "gguf")
_NONE = "none"
"""The level of a row that says that there are no keys."""


def weight_files(store: Store, *, with_vae: bool) -> list[WeightFile]:
    """See :meth:`modelhub.catalog.Catalog.weight_files`."""
    files, part = local_files.c, local_files.alias()
    hashed = files.state == FileState.HASHED.value
    whole = files.part_of.is_(None) & ~exists().where(part.c.part_of == files.id)
    first = (
        select(func.min(files.id).label("id"))
        .where(hashed, whole, files.blob_id.is_not(None))
        .group_by(files.blob_id)
        .subquery()
    )
    statement = (
        select(
            files.id, roots.c.path.label("root"), files.path, files.size, files.mtime_ns,
            blobs.c.sha256, blobs.c.format, blobs.c.kind, blobs.c.architecture, blobs.c.adapter,
            blobs.c.precision, blobs.c.vae,
        )
        .select_from(first)
        .join(local_files, files.id == first.c.id)
        .join(roots, roots.c.id == files.root_id)
        .join(blobs, blobs.c.id == files.blob_id)
        .where(blobs.c.format.in_(_COMPARABLE))
        .order_by(files.id)
    )  # fmt: skip
    if with_vae:
        statement = statement.where(or_(blobs.c.vae, blobs.c.kind == "vae"))
    with store.read() as connection:
        return [WeightFile(**row._mapping) for row in connection.execute(statement)]


def weight_keys(
    store: Store, scope: WeightScope, sha256s: Iterable[str] | None
) -> dict[str, KnownKeys]:
    """See :meth:`modelhub.catalog.Catalog.weight_keys`."""
    columns = keys_table.c
    statement = (
        select(blobs.c.sha256, columns.level, columns.own, columns.key)
        .join(blobs, blobs.c.id == columns.blob_id)
        .where(columns.scope == scope.value)
    )
    found: dict[str, tuple[list[str], dict[str, str]]] = {}
    with store.read() as connection:
        wanted = None if sha256s is None else {one.upper() for one in sha256s}
        narrowed = (
            [statement]
            if wanted is None
            else [statement.where(blobs.c.sha256.in_(batch)) for batch in batches(wanted)]
        )
        for one in narrowed:
            for sha256, level, own, key in connection.execute(one):
                owns, keys = found.setdefault(sha256, ([], {}))
                if own:
                    owns.append(level)
                if key:
                    keys[level] = key
    return {
        sha256: KnownKeys(owns[0] if owns else _NONE, keys)
        for sha256, (owns, keys) in found.items()
    }


def record_weight_keys(store: Store, sha256: str, scope: WeightScope, known: KnownKeys) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_weight_keys`."""
    with store.write() as writer:
        connection = writer.connection
        which = blobs.c.sha256 == sha256.upper()
        blob_id = connection.scalar(select(blobs.c.id).where(which))
        if blob_id is None:
            raise UnknownFile(f"the catalog knows no content {sha256}")
        columns = keys_table.c
        connection.execute(
            delete(keys_table).where(columns.blob_id == blob_id, columns.scope == scope.value)
        )
        rows = [
            {
                "blob_id": blob_id,
                "scope": scope.value,
                "level": level,
                "own": level == known.own,
                "key": key,
            }
            for level, key in (known.keys or {_NONE: ""}).items()
        ]
        connection.execute(writer.insert(keys_table), rows)


def with_weight_key(store: Store, scope: WeightScope, level: str, key: str) -> list[str]:
    """See :meth:`modelhub.catalog.Catalog.with_weight_key`."""
    columns = keys_table.c
    statement = (
        select(blobs.c.sha256)
        .join(keys_table, columns.blob_id == blobs.c.id)
        .where(columns.key == key, columns.scope == scope.value, columns.level == level)
        .order_by(blobs.c.id)
    )
    with store.read() as connection:
        return list(connection.scalars(statement))
