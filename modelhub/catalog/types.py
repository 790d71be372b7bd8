"""Column types that SQLite and PostgreSQL both keep faithfully."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    DateTime,
    Integer,
    LargeBinary,
    Text,
    cast,
    type_coerce,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, UserDefinedType

from modelhub.catalog.texts import packed, stored_text, unpacked
from modelhub.errors import UsageError

RowId = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits; on SQLite exactly ``INTEGER``, so that a primary key is the rowid itself."""

KeyText = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared byte by byte on both databases: sort keys, prefixes, ranges."""

MOST_ROWS = 2**53
"""More than any table has; two of them are a number yet that a database takes."""


class ForeignText(TypeDecorator[str]):
    """Text that came from elsewhere, and may hold characters that no database stores."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be stored."""
        return None if value is None else stored_text(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept and given back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite has no zones, so they are dropped there.

        :raises ValueError: the datetime is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the catalog takes aware datetimes only")
        try:
            value = value.astimezone(UTC)
        except OverflowError:  # hours from the calendar's first or last day
            value = value.replace(tzinfo=UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PackedText(TypeDecorator[str]):
    """Long text that is only ever read whole (raw JSON): deflated UTF-8."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Pack."""
        return None if value is None else packed(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Unpack."""
        return None if value is None else unpacked(value)


def taken(number: int) -> int:
    """How many rows a statement takes or skips, of as many as were asked for.

    :raises UsageError: it is negative.
    """
    if number < 0:
        raise UsageError("a limit or an offset cannot be negative")
    return min(number, MOST_ROWS)


class TsVector(UserDefinedType[str]):
    """PostgreSQL's ``tsvector``, given as its literal.

    SQLAlchemy has one too, but in a package whose import costs every start.
    """

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Its name in DDL."""
        return "TSVECTOR"

    def bind_expression(self, bindvalue: BindParameter[str]) -> ColumnElement[str]:
        """Have the server parse the literal."""
        return cast(type_coerce(bindvalue, Text()), self)
