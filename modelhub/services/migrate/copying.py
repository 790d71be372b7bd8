"""One table from SQLite to PostgreSQL, and whether it arrived as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from threading import Event
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, LargeBinary, Row, Table, select, type_coerce

from modelhub.catalog.types import PackedText
from modelhub.errors import Cancelled, MigrationFailed

_AT_ONCE = 2_000
_AGAIN = "the database is as it was before; the same command begins anew"
_Rows = Generator[Row[*tuple[Any, ...]], None, None]


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table that was copied.

    :param digest: BLAKE2b of all its rows in the order of their keys, the same on both sides.
    """

    name: str
    rows: int
    digest: str


def copy_table(source: Connection, target: Connection, table: Table, cancel: Event) -> int:
    """Copy all rows of a table; how many.

    :raises MigrationFailed: the server does not take a row.
    :raises Cancelled: `cancel` was set.
    """
    driver = target.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
    )
    number = 0
    try:
        with driver.cursor() as cursor, cursor.copy(into) as copy:
            for row in _rows(source, table, cancel):
                copy.write_row(tuple(row))
                number += 1
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        why = error.diag.message_primary or error
        raise MigrationFailed(f"PostgreSQL does not take the table {table.name}: {why}") from error
    return number


def compare_table(
    source: Connection, target: Connection, table: Table, cancel: Event
) -> CopiedTable:
    """Read a table on both sides and compare it row by row.

    :raises MigrationFailed: a row is missing, is too much, or is another.
    :raises Cancelled: `cancel` was set.
    """
    digest = hashlib.blake2b(digest_size=16)
    number = 0
    with (
        closing(_rows(source, table, cancel)) as ours,
        closing(_rows(target, table, cancel)) as theirs,
    ):
        for here, there in zip_longest(ours, theirs):
            if here is None or there is None or tuple(here) != tuple(there):
                where = _key(here, there)
                raise MigrationFailed(
                    f"the table {table.name} did not arrive as it was: it differs in {where}"
                )
            digest.update(repr(tuple(here)).encode())
            number += 1
    return CopiedTable(table.name, number, digest.hexdigest())


def _rows(connection: Connection, table: Table, cancel: Event) -> _Rows:
    """The rows in the order of their keys; what is packed stays so."""
    columns = [
        type_coerce(column, LargeBinary).label(column.name)
        if isinstance(column.type, PackedText)
        else column
        for column in table.columns
    ]
    query = select(*columns).order_by(*table.primary_key.columns)
    query = query.execution_options(stream_results=True, yield_per=_AT_ONCE)
    with connection.execute(query) as result:
        for part in result.partitions():
            if cancel.is_set():
                raise Cancelled("stopped before the library was copied", hint=_AGAIN)
            yield from part


def _key(here: Row[Any] | None, there: Row[Any] | None) -> str:
    row = here if here is not None else there
    assert row is not None
    name = row._fields[0]
    return f"the row {name}={row[0]!r}"
