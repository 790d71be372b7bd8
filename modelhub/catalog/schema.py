"""What only Alembic needs to know of the tables: indexes with options of one database, naming which
imports PostgreSQL's dialect; and which tables belong to which database, as the full-text index has
its own on each."""

from __future__ import annotations

from sqlalchemy import Index, Table

from modelhub.catalog.listingtables import search_vectors
from modelhub.catalog.tables import local_files

Index(
    "ix_search_vectors_document",
    search_vectors.c.document,
    postgresql_using="gin",
)
# Few rows are in these two, so they cost the others nothing.
_WAITING = local_files.c.state.in_(("new", "changed"))
Index(
    "ix_local_files_waiting",
    local_files.c.id,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)
_IS_PART = local_files.c.part_of.is_not(None)
Index(
    "ix_local_files_part_of",
    local_files.c.part_of,
    sqlite_where=_IS_PART,
    postgresql_where=_IS_PART,
)
_FTS5 = "search_index"


def belongs(item: object, name: str | None, kind: str, backend: str) -> bool:
    """Whether Alembic is to compare a table or index on a database of this kind.

    FTS5 keeps tables of its own (``search_index_data`` ...), which no metadata describes.
    """
    if name is not None and (name == _FTS5 or name.startswith(f"{_FTS5}_")):
        return False
    table = item if isinstance(item, Table) else getattr(item, "table", None)
    if isinstance(table, Table):
        return bool(table.info.get("backend", backend) == backend)
    return True
