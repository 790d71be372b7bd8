"""The first index of a library: headers read, identified, recorded, all by `modelhub index`.

    python benchmarks/index_cold.py [FILES]

Claims at least 4,000 LoRA files of 200 tensors a second on two processors, catalog writes and the
start of the program included. Beside it, for scale: reading the headers' bytes and nothing else,
and `safetensors.safe_open` of the same files, which stops at the list of tensors.
"""

from __future__ import annotations

import shutil
import sys

from _common import Ran, claim, median, run
from _library import INDEX, workplace, write_loras

_RUNS = 3
_BARE = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(f"{folder}/{name}", "rb") as file:
            file.read(int.from_bytes(file.read(8), "little"))
"""
_SAFE_OPEN = """
import os, sys
from safetensors import safe_open
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with safe_open(f"{folder}/{name}", "np") as file:
            list(file.keys())
"""


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with workplace() as place:
        root = place / "models"
        write_loras(root, files)
        commands = {
            "bare read of the headers": [sys.executable, "-c", _BARE, str(root)],
            "safetensors.safe_open": [sys.executable, "-c", _SAFE_OPEN, str(root)],
            "modelhub index, cold catalog": [*INDEX, str(root)],
        }
        results: dict[str, list[Ran]] = {name: [] for name in commands}
        for _ in range(_RUNS):
            for name, command in commands.items():
                shutil.rmtree(place / "home", ignore_errors=True)
                results[name].append(run(command))
        for name, ran in results.items():
            every = " ".join(f"{files / one.seconds:,.0f}" for one in ran)
            print(f"{name:32}{files / median(ran):>10,.0f} files a second   all runs: {every}")
        ours = median(results["modelhub index, cold catalog"])
    return 0 if claim(f"seconds for {files:,} files", ours, files / 4000) else 1


if __name__ == "__main__":
    sys.exit(main())
