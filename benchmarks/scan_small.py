"""What a scan of many small pickles costs, beside picklescan, both in one process.

    python benchmarks/scan_small.py [FILES] [RUNS]

Half of the files are torch files of `tests/data/torch`, half the harmless and harmful pickles of
`tests/data/pickles`, each under a name of its own. It may take no longer than picklescan.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _common import REPOSITORY, claim
from picklescan.scanner import scan_file_path  # type: ignore[import-untyped]

from modelhub.formats.scan import scan_file

DATA = REPOSITORY / "tests" / "data"
PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt"}


def written(folder: Path, count: int) -> list[Path]:
    """Copies of the files, in turns."""
    kinds = [
        sorted(one for one in (DATA / kind).iterdir() if one.suffix in PICKLES)
        for kind in ("torch", "pickles")
    ]
    sources = itertools.chain.from_iterable(
        zip(*(itertools.cycle(kind) for kind in kinds), strict=False)
    )
    paths = []
    for number, source in zip(range(count), sources, strict=False):
        paths.append(folder / f"{number:04d}-{source.name}")
        shutil.copyfile(source, paths[-1])
    return paths


def seconds(scan: Callable[[Path], object], paths: list[Path]) -> float:
    """How long all of them take."""
    began = time.perf_counter()
    for path in paths:
        scan(path)
    return time.perf_counter() - began


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    logging.disable(logging.CRITICAL)
    scanners: dict[str, Callable[[Path], object]] = {
        "modelhub": scan_file,
        "picklescan": lambda path: scan_file_path(str(path)),
    }
    times: dict[str, list[float]] = {name: [] for name in scanners}
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as folder:
        paths = written(Path(folder), count)
        for scan in scanners.values():
            seconds(scan, paths[:50])
        for _ in range(runs):
            for name, scan in scanners.items():
                times[name].append(seconds(scan, paths))
    print(f"{count:,} small files, {runs} runs in turns")
    for name, taken in times.items():
        every = " ".join(f"{one:.3f}" for one in taken)
        print(f"{name:12}{statistics.median(taken):8.3f} s   {every}")
    ours, theirs = (statistics.median(taken) for taken in times.values())
    return 0 if claim("times the peer's time", ours / theirs, 1.0) else 1


if __name__ == "__main__":
    sys.exit(main())
