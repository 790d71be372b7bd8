"""The memory of `modelhub index` at a million files: new ones, and then unchanged ones.

    python benchmarks/index_memory.py [FILES]

Claims less than 200 MiB for the process that walks, compares and records: all that is resident,
with the pages of the catalog that are mapped into it. The files are empty, so that they fit any
disk, and each of them is read, found faulty and recorded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from _common import REPOSITORY, claim, run
from _library import INDEX, workplace, write_empty


class Measured(NamedTuple):
    """One run: seconds, and MiB."""

    seconds: float
    own: float
    resident: float


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with workplace() as place:
        root = place / "models"
        write_empty(root, files)
        run(["sleep", "2.5"])
        cold = measured(root)
        warm = measured(root)
    print(f"{'':24}{'seconds':>10}{'own MiB':>10}{'resident MiB':>14}")
    for name, one in (("new", cold), ("unchanged", warm)):
        print(f"{files:>12,} {name:11}{one.seconds:10.1f}{one.own:10.0f}{one.resident:14.0f}")
    return 0 if claim("MiB resident at most", max(cold.resident, warm.resident), 200) else 1


def measured(root: Path) -> Measured:
    """Run `modelhub index`, and look at its memory twenty times a second."""
    began = time.monotonic()
    own = resident = 0
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([*INDEX, str(root)], stdout=subprocess.DEVNULL, env=environ) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            numbers = dict(line.split(":", 1) for line in status)
            if "RssAnon" in numbers:
                own = max(own, int(numbers["RssAnon"].split()[0]))
                resident = max(resident, int(numbers["VmHWM"].split()[0]))
            time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"modelhub index ended with {process.returncode}")
    return Measured(time.monotonic() - began, own / 1024, resident / 1024)


if __name__ == "__main__":
    sys.exit(main())
