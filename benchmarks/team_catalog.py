"""What a large catalog costs on PostgreSQL: moving it there, its size, listing and searching.

    python benchmarks/team_catalog.py [--files N] [--url URL]

Makes up a catalog of so many files in SQLite, moves it as `modelhub migrate-to` does, and asks it.
Without a URL (of an empty database) a server is started for it, as in team_scale.py.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from _catalog import COMMON, RARE, build, config_of
from sqlalchemy import create_engine, text
from team_scale import _server

from modelhub.catalog import Catalog, open_catalog
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings
from modelhub.progress import silent
from modelhub.services.migrate import migrate_to


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--url", default="")
    wanted = parser.parse_args()
    with _server(wanted.url) as url, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        build(path, wanted.files)
        began = time.perf_counter()
        done = migrate_to(url, config=config_of(path), listener=silent, cancel=threading.Event())
        took = time.perf_counter() - began
        print(f"{done.rows:,} rows and {done.listed:,} listings moved and compared in {took:.0f} s")
        print(f"{path.stat().st_size / wanted.files:,.0f} bytes a file in SQLite")
        _measure_size(url, wanted.files)
        with open_catalog(Config(catalog=CatalogSettings(database_url=url))) as catalog:
            _ask(catalog)
    return 0


def _measure_size(url: str, files: int) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
        size = connection.scalar(text("SELECT pg_database_size(current_database())")) or 0
    engine.dispose()
    print(f"{size / files:,.0f} bytes a file in PostgreSQL")


def _ask(catalog: Catalog) -> None:
    questions: dict[str, Callable[[], object]] = {
        "the first 50 files": lambda: catalog.list_files(limit=50),
        "50 of a field": lambda: catalog.list_files("type:lora base:sdxl", limit=50),
        "50 of a common word": lambda: catalog.list_files(COMMON, limit=50),
        "50 of a rare word": lambda: catalog.list_files(RARE, limit=50),
        "how many of a common word": lambda: catalog.count(COMMON),
        "all about a file": lambda: catalog.show(1),
    }
    for name, ask in questions.items():
        took = []
        for _ in range(9):
            began = time.perf_counter()
            ask()
            took.append((time.perf_counter() - began) * 1000)
        print(f"{name}: median {statistics.median(took):.0f} ms, worst {max(took):.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
