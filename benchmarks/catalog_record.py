"""What recording newly scanned files costs, over the least that a searchable index of them costs.

    python benchmarks/catalog_record.py [RUNS]

The claim: recording 20,000 files, in transactions of 500, takes at most 6 times as long as putting
their words alone into a bare FTS5 table, by Python's own sqlite3, in the same transactions; though
a file is recorded in four more tables with thirteen indexes: one for each order of listing.
Both are CPU seconds of the process, as others may use the machine meanwhile.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from _catalog import NOW, opened
from _common import claim

from modelhub.catalog import Found, Prepared, ScannedFile, prepare

FILES = 20_000
AT_ONCE = 500
LIMIT = 6.0
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
_HEADER = (
    '{"identity": {"kind": "lora", "evidence": [{"field": "kind", "value": "lora", "because":'
    ' "lora_down and lora_up in 264 modules"}]}, "metadata": {"ss_output_name": "%s",'
    ' "ss_network_dim": "32", "ss_network_alpha": "16"}, "parts": []}'
)


def prepared() -> list[Prepared]:
    """Files as a scan of many folders of LoRAs prepares them."""
    chance = random.Random(1)
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(8_000)]
    files = []
    for number in range(FILES):
        name = f"{chance.choice(words)}_{chance.choice(words)}_{number}.safetensors"
        found = Found(
            format="safetensors",
            kind="lora",
            adapter="kohya",
            architecture="sdxl",
            precision="fp16",
            parameters=chance.randrange(10**8),
            trigger_words=(chance.choice(words),),
            header=_HEADER % name,
        )
        files.append(
            ScannedFile(
                path=f"loras/{number // 100:04}/{name}",
                size=chance.randrange(10**8),
                mtime_ns=chance.randrange(10**18),
                inode=chance.randrange(10**9),
                found=found,
            )
        )
    return [prepare(one, NOW) for one in files]


def ours(files: list[Prepared], folder: Path) -> float:
    """Seconds for recording all of them."""
    with opened(folder / "catalog.db") as catalog:
        root = catalog.add_root(Path("/models"))
        began = time.process_time()
        for at in range(0, len(files), AT_ONCE):
            catalog.record_scanned(root, files[at : at + AT_ONCE])
        seconds = time.process_time() - began
        began = time.process_time()
        assert sum(1 for _ in catalog.known_files(root)) == len(files)
        reading = time.process_time() - began
    print(f"  {len(files) / seconds:,.0f} files/s; read again: {len(files) / reading:,.0f} files/s")
    return seconds


def bare(files: list[Prepared], folder: Path) -> float:
    """Seconds for putting their words alone into FTS5."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, prefix='1 2 3')")
    rows = [(" ".join(one.texts or ()),) for one in files]
    began = time.process_time()
    for at in range(0, len(rows), AT_ONCE):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO words(text) VALUES (?)", rows[at : at + AT_ONCE])
        connection.execute("COMMIT")
    seconds = time.process_time() - began
    connection.close()
    return seconds


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    began = time.process_time()
    files = prepared()
    each = (time.process_time() - began) / FILES
    print(f"preparing, made-up headers included: {each * 1e6:.0f} us a file")
    ratios = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as home:
            ratios.append(ours(files, Path(home)) / bare(files, Path(home)))
    ratio = statistics.median(ratios)
    return 0 if claim("recording files over indexing their words", ratio, LIMIT) else 1


if __name__ == "__main__":
    sys.exit(main())
