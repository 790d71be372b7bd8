"""From where to where a library may be moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from modelhub.catalog import sqlitefile
from modelhub.catalog.revision import HEAD
from modelhub.catalog.store import shown_database
from modelhub.config.paths import catalog_url
from modelhub.errors import CatalogUnreachable, MigrationRefused, UsageError

if TYPE_CHECKING:
    from modelhub.config import Config

_LIKE = "postgresql+psycopg://user@host/name"


def source_path(config: Config) -> Path:
    """The file of the library's catalog.

    :raises MigrationRefused: it is in PostgreSQL already, or there is none.
    :raises CatalogCorrupt: the file is no catalog.
    """
    url = make_url(catalog_url(config))
    if url.get_backend_name() != "sqlite":
        raise MigrationRefused(
            "the library is not in SQLite: catalog.database_url names a server already",
            hint="to move it on from there, use the server's own pg_dump and pg_restore",
        )
    path = Path(url.database or "").expanduser().absolute()
    if not path.exists():
        raise MigrationRefused(f"there is no catalog at {path}: nothing to move")
    sqlitefile.check_header(path)
    return path


def target_url(url: str) -> str:
    """The target as SQLAlchemy takes it.

    :raises UsageError: it is no URL of a PostgreSQL database.
    """
    try:
        parsed = make_url(url)
        name = parsed.drivername
    except (ArgumentError, ValueError):
        raise UsageError("the target is no database URL", hint=f"write {_LIKE}") from None
    if name not in ("postgresql", "postgresql+psycopg") or not parsed.database:
        raise UsageError("the target is no PostgreSQL database", hint=f"name one as in {_LIKE}")
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def holds_password(url: str) -> bool:
    """Whether a database URL has a password in it."""
    parsed = make_url(url)
    return parsed.password is not None or "password" in parsed.query


def refuse_another_revision(config: Config) -> None:
    """See that opening the target upgrades nothing that somebody else's modelhub has made.

    :param config: names the target, as :func:`target_url` wrote it.
    :raises MigrationRefused: there is a catalog of another revision.
    :raises CatalogUnreachable: the server does not answer or refuses.
    """
    url = make_url(config.catalog.database_url)
    shown = shown_database(url)
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(address, connect_timeout=15) as connection:
            found = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
            if found is None or found[0] is None:
                return
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.Error as error:
        # Without its text, which may repeat the address that it was given.
        state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        raise CatalogUnreachable(
            f"the database {shown} does not answer or refuses{state}",
            hint="check the URL, the server, and the user's rights",
        ) from None
    if revision is not None and revision[0] != HEAD:
        raise MigrationRefused(
            f"{shown} holds a library already, of another revision than this modelhub's",
            hint="name an empty database; `createdb` makes one",
        )
