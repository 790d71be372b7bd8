"""Writing many rows at once, past SQLAlchemy's treatment of each value.

A library's first index is a million rows. The values are ready for the driver here; SQLAlchemy
would look at each of them again, which takes longer than SQLite takes to store them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table

from modelhub.catalog.store import Writer
from modelhub.catalog.tables import local_files
from modelhub.catalog.texts import json_text
from modelhub.catalog.types import UtcDateTime

_DEFERRED_TYPES = {"TSVECTOR": "%s::tsvector"}


def insert_rows(
    writer: Writer, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows of values that the driver takes as they are: see :func:`time_for`."""
    if rows:
        statement = _insert(writer.backend, table, columns)
        writer.connection.exec_driver_sql(statement, list(rows))


def run_many(writer: Writer, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement once for each of `rows`. Its parameters are written ``?``."""
    if rows:
        if writer.backend == "postgresql":
            statement = statement.replace("?", "%s")
        writer.connection.exec_driver_sql(statement, list(rows))


def rows_in(
    connection: Connection, statement: str, values: Sequence[int] | Sequence[str], *others: object
) -> Sequence[Sequence[Any]]:
    """The rows of a statement that asks for any number of values, as plain tuples.

    :param statement: its parameters are `others`, written ``?``, and at its end ``IN (?)``.
    """
    if connection.dialect.name == "postgresql":
        statement = statement.replace("IN (?)", "= ANY(?)").replace("?", "%s")
        parameters: tuple[object, ...] = (*others, list(values))
    else:
        statement = statement.replace("IN (?)", "IN (SELECT value FROM json_each(?))")
        parameters = (*others, json_text(values))
    cursor = connection.exec_driver_sql(statement, parameters)
    try:
        assert cursor.cursor is not None
        rows: Sequence[Sequence[Any]] = cursor.cursor.fetchall()
        return rows
    finally:
        cursor.close()


@cache
def _insert(backend: str, table: Table, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    if backend == "postgresql":
        types = [str(table.c[name].type) for name in columns]
        values = ", ".join(_DEFERRED_TYPES.get(one, "%s") for one in types)
    else:
        values = ", ".join("?" * len(columns))
    return f"INSERT INTO {table.name} ({names}) VALUES ({values})"  # noqa: S608 (our own names)


def time_for(writer: Writer) -> Callable[[datetime], Any]:
    """What turns a time into what the driver of this database is given for it."""
    dialect = writer.connection.dialect
    process = UtcDateTime().dialect_impl(dialect).bind_processor(dialect)
    return process or (lambda value: value)


def new_file_ids(writer: Writer, number: int) -> Sequence[int]:
    """Numbers for so many new local files; none of them was ever given before."""
    connection = writer.connection
    if writer.backend == "postgresql":
        return (
            connection.exec_driver_sql(
                f"SELECT nextval(pg_get_serial_sequence('{local_files.name}', 'id'))"  # noqa: S608
                " FROM generate_series(1, %s)",
                (number,),
            )
            .scalars()
            .all()
        )
    found = connection.exec_driver_sql(
        "SELECT seq FROM sqlite_sequence WHERE name = ?", (local_files.name,)
    ).scalar()
    first = int(found or 0) + 1
    return range(first, first + number)
