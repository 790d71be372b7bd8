"""Inserting a row or completing the one that is there, by statements that are made once.

Recording a library is the same few statements a hundred thousand times: building them anew for
each file takes longer than running them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, func, null

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
    from sqlalchemy.engine import CursorResult

    from modelhub.catalog.store import Writer


def insert_into(table: Table, backend: str) -> SqliteInsert | PostgresInsert:
    """An INSERT of this database's kind, which knows ON CONFLICT."""
    if backend == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        return postgres_insert(table)
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table)


def upsert(
    writer: Writer,
    table: Table,
    keys: tuple[str, ...],
    row: dict[str, Any],
    *,
    fixed: tuple[str, ...] = (),
    overwritten: tuple[str, ...] = (),
    cleared: tuple[str, ...] = (),
    returning: tuple[str, ...] = (),
) -> CursorResult[*tuple[Any, ...]]:
    """Insert `row`, or update the row with its keys: where it has None, what is there stays.

    :param fixed: columns that an update leaves as they are.
    :param overwritten: columns that an update sets even to None.
    :param cleared: columns that an update empties.
    :param returning: columns of the row to give back.
    """
    statement = _statement(
        writer.backend, table, keys, tuple(row), fixed, overwritten, cleared, returning
    )
    return writer.connection.execute(statement, row)


@cache
def _statement(
    backend: str,
    table: Table,
    keys: tuple[str, ...],
    columns: tuple[str, ...],
    fixed: tuple[str, ...],
    overwritten: tuple[str, ...],
    cleared: tuple[str, ...],
    returning: tuple[str, ...],
) -> Any:
    statement = insert_into(table, backend)
    new: dict[str, Any] = {
        name: statement.excluded[name]
        if name in overwritten
        else func.coalesce(statement.excluded[name], table.c[name])
        for name in columns
        if name not in keys and name not in fixed
    }
    new.update((name, null()) for name in cleared)
    upserting = statement.on_conflict_do_update(
        index_elements=[table.c[key] for key in keys], set_=new
    )
    return upserting.returning(*(table.c[name] for name in returning)) if returning else upserting
