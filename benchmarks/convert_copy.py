"""A checkpoint in fp16, 2 GiB, to safetensors: nothing is cast, all of it is copied.

    python benchmarks/convert_copy.py

As whole processes: opening, planning and writing, until the result is on the disk; `cp`, which
leaves that to the system; and `cp` with `sync` of what it wrote. Reading the result back and
comparing it comes after that, and is printed apart.

Like is compared with like: claims at most 1.15 times `cp` until all is written, and at most 1.15
times `cp` with `sync` until it is on the disk. Until it is on the disk against a plain `cp`, which
has nothing there, is printed too: no writer can be faster there than the disk.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

from _common import REPOSITORY, claim
from _convert import GIB, write_checkpoint
from _library import workplace

RUNS = 7
OURS = """
import json, sys
from pathlib import Path
from modelhub.convert.options import ConvertOptions
from modelhub.convert.plan import make_plan
from modelhub.convert.readers import open_source
from modelhub.convert.writers import write_safetensors
with open_source(Path(sys.argv[1])) as source:
    written = write_safetensors(make_plan(source, ConvertOptions()), Path(sys.argv[2]))
print(json.dumps([written.seconds_writing, written.seconds_syncing, written.seconds_verifying]))
"""


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    rows: dict[str, list[float]] = {}
    with workplace() as place:
        source, target = place / "source.ckpt", place / "target.safetensors"
        write_checkpoint(source, 2 * GIB, "F16", ema=False)
        commands = {
            "modelhub": [sys.executable, "-c", OURS, str(source), str(target)],
            "cp": ["cp", str(source), str(target)],
            "cp, sync": ["sh", "-c", 'cp "$0" "$1"; sync "$1"', str(source), str(target)],
        }
        for _ in range(RUNS):
            for name, command in commands.items():
                target.unlink(missing_ok=True)
                os.sync()
                seconds, output = timed(command)
                if name == "modelhub":
                    _, syncing, verifying = json.loads(output)
                    rows.setdefault("  of which waiting for the disk", []).append(syncing)
                    rows.setdefault("  reading back, comparing", []).append(verifying)
                    seconds -= verifying
                    rows.setdefault("modelhub, written", []).append(seconds - syncing)
                rows.setdefault(name, []).append(seconds)
    print(f"{'':34}{'median s':>10}   all runs")
    for name in sorted(rows, key=lambda one: one.startswith("  ")):
        every = " ".join(f"{one:.2f}" for one in rows[name])
        print(f"{name:34}{statistics.median(rows[name]):10.2f}   {every}")
    middle = {name: statistics.median(every) for name, every in rows.items()}
    print(f"on the disk: {middle['modelhub'] / middle['cp']:.2f} times cp, which is not")
    written = claim("times cp, written", middle["modelhub, written"] / middle["cp"], 1.15)
    synced = middle["modelhub"] / middle["cp, sync"]
    on_disk = claim("times cp with sync, on the disk", synced, 1.15)
    return 0 if written and on_disk else 1


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds that a process took, and what it printed."""
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    began = time.perf_counter()
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    sys.exit(main())
