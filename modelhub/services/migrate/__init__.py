"""Moving a library from its SQLite files to PostgreSQL, where several machines share it."""

from __future__ import annotations

from modelhub.services.migrate.copying import CopiedTable
from modelhub.services.migrate.run import Migration, migrate_to

__all__ = ["CopiedTable", "Migration", "migrate_to"]
