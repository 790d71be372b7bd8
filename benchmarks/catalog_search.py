"""How fast the search language answers in a catalog of a million files.

    python benchmarks/catalog_search.py [RUNS [CATALOG]]

The claim: every query below gives its first 50 files in 100 ms at most, the median of RUNS. A
CATALOG that an earlier run left there is used again; without one it is made in a temporary folder.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from _catalog import COMMON, RARE, build, opened

from modelhub.catalog import Catalog, Sort

FILES = 1_000_000
LIMIT_MS = 100.0
FIRST = 50

QUERIES: tuple[tuple[str, str, str | None], ...] = (
    ("everything", "", None),
    ("a rare word", RARE, None),
    ("a common word (30%)", COMMON, None),
    ("a two-letter prefix", "ka", None),
    ("a three-letter prefix", "kan", None),
    ("two words", f"{COMMON} style", None),
    ("a phrase", '"v1 0"', None),
    ("a word and fields", f"{COMMON} type:lora base:sdxl", None),
    ("a word and a size", f"{COMMON} size>2GB", None),
    ("a word and an age", f"{COMMON} added<30d", None),
    ("a word, not a tag", f"{COMMON} -tag:old", None),
    ("fields", "type:lora base:pony,sdxl fp:fp16", None),
    ("a tag", "tag:favourite", None),
    ("a rating", "rating>=4", None),
    ("any rating", "rating>=1", None),
    ("a size", "size>4GiB", None),
    ("an age", "added<7d", None),
    ("not a field", "-type:lora", None),
    ("a creator's start", "creator:ka", None),
    ("a folder", "path:lora/sdxl/", None),
    ("a part of a path", "path:nel", None),
    ("a path that is not there", "path:nowhere", None),
    ("an absolute path", "path:/models/lora/sdxl/", None),
    ("a hash", "hash:5B18", None),
    ("copies", "dup:yes", None),
    ("all, by size", "", "size"),
    ("all, newest first", "", "added"),
    ("all, by type", "", "type"),
    ("a rare word, by size", RARE, "size"),
    ("a common word, by size", COMMON, "size"),
    ("a common word, by name", COMMON, "name"),
    ("a prefix, newest first", "ka", "added"),
    ("fields, by rating", "type:lora base:sdxl", "rating"),
    ("an exact size, by name", "size:1234567890", "name"),
    ("a size, by name", "size<100MB", "name"),
    ("an age, by size", "added<1y type:checkpoint", "size"),
)
"""What it shows, the query, the order."""


def measured(catalog: Catalog, query: str, order: str | None, runs: int) -> tuple[float, int]:
    """The median of the milliseconds, after one run to warm up; and how many files came."""
    sort = Sort.parse(order) if order else None
    times = []
    for number in range(runs + 1):
        began = time.perf_counter()
        found = len(catalog.list_files(query, sort=sort, limit=FIRST))
        if number:
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), found


def run(path: Path, runs: int) -> int:
    """Measure and print every query."""
    if not path.exists():
        seconds = build(path, FILES)
        print(f"{FILES:,} files put into a catalog in {seconds:.0f} s")
    slow: list[str] = []
    with opened(path) as catalog:
        print(f"{catalog.count():,} files, {path.stat().st_size / 1e9:.1f} GB; the first {FIRST}")
        print(f"{'':26}{'query':36}{'sort':8}{'files':>9}{'median ms':>11}")
        for title, query, order in QUERIES:
            median, _ = measured(catalog, query, order, runs)
            total = catalog.count(query)
            verdict = "" if median <= LIMIT_MS else "  SLOW"
            if verdict:
                slow.append(title)
            print(f"{title:26}{query:36}{order or '':8}{total:9,}{median:11.1f}{verdict}")
    if slow:
        print(f"FAILS: more than {LIMIT_MS:.0f} ms: {', '.join(slow)}")
        return 1
    print(f"holds: all {len(QUERIES)} medians of {runs} runs are within {LIMIT_MS:.0f} ms")
    return 0


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    if len(sys.argv) > 2:
        return run(Path(sys.argv[2]), runs)
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as folder:
        return run(Path(folder) / "catalog.db", runs)


if __name__ == "__main__":
    sys.exit(main())
