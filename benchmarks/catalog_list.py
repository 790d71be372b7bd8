"""What listing costs as a whole process, over importing SQLAlchemy's ORM and doing nothing.

    python benchmarks/catalog_list.py [RUNS]

The claim: `modelhub list --limit 50` in a catalog of 100,000 files takes at most 1.4 times as long
as `python -c 'import sqlalchemy.orm'`. Times are medians of alternating runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from _catalog import build
from _common import Ran, claim, median, run

FILES = 100_000
LIMIT = 1.4
PEER = "import sqlalchemy.orm"
LIST = "modelhub list --limit 50"
MORE = {
    "modelhub list type:lora": ["type:lora", "--limit", "50"],
    "modelhub list anime --json": ["anime", "--json", "--limit", "50"],
}


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    python = sys.executable
    commands = {
        PEER: [python, "-c", PEER],
        LIST: [python, "-m", "modelhub", "list", "--limit", "50"],
        **{name: [python, "-m", "modelhub", "list", *rest] for name, rest in MORE.items()},
    }
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as home:
        os.environ["MODELHUB_HOME"] = home
        seconds = build(Path(home) / "data" / "catalog.db", FILES)
        print(f"{FILES:,} files put into a catalog in {seconds:.0f} s")
        results: dict[str, list[Ran]] = {name: [] for name in commands}
        for number in range(runs + 1):
            for name, command in commands.items():
                once = run(command)
                if number:  # the first run of each fills the page cache
                    results[name].append(once)
    print(f"\nmedians of {runs} alternating runs{'ms':>18}{'ratio':>8}")
    base = median(results[PEER])
    for name, ran in results.items():
        print(f"  {name:<40}{median(ran) * 1000:8.0f}{median(ran) / base:8.2f}")
    return 0 if claim(f"{LIST} over {PEER}", median(results[LIST]) / base, LIMIT) else 1


if __name__ == "__main__":
    sys.exit(main())
