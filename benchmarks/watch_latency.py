"""How soon `modelhub watch` has a new file in the catalog while 10,000 others are indexed.

    python benchmarks/watch_latency.py [FILES]

Claims one second at most from the file's last write to its line, which is written once the catalog
has it: the worst of twenty files, written one after the other while the others are read.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from _common import claim
from _library import lora, workplace, write_loras

_FILES = 20


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with workplace() as place:
        root = place / "models"
        write_loras(root / "bulk", number)
        command = [sys.executable, "-m", "modelhub", "watch", "--no-hash", str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
            took, bulk = _measure(watch, root)
            watch.terminate()
            watch.communicate()
    print(f"{'median':10}{statistics.median(took):8.2f} s")
    print(f"{'worst':10}{max(took):8.2f} s, while {bulk:,} of {number:,} others were indexed")
    enough = bulk < number
    if not enough:
        print("the others were done before the last file was: take more of them")
    return 0 if claim("seconds until a new file is in the catalog", max(took), 1) and enough else 1


def _measure(watch: subprocess.Popen[str], root: Path) -> tuple[list[float], int]:
    """The seconds that each new file took, and how many others were indexed by then."""
    assert watch.stdout is not None
    took: list[float] = []
    bulk = 0
    written = 0.0
    for line in watch.stdout:
        if "/bulk/" in line:
            bulk += 1
            if written:
                continue
        elif "indexed" in line:
            took.append(time.monotonic() - written)
            if len(took) == _FILES:
                return took, bulk
        if bulk:
            file = root / f"new_{len(took)}.safetensors"
            file.write_bytes(lora(10**6 + len(took)))
            written = time.monotonic()
    raise RuntimeError("the watch ended")


if __name__ == "__main__":
    sys.exit(main())
