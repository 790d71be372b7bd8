"""Kill a download at half of the file with SIGKILL, and see what going on from there costs.

Counts the bytes that come over the network again, and, from /proc, those that the second run
reads from files. What was there must be read once, to check it and to hash it. What comes while
that goes on, or out of order, is read back from the page cache: no byte more than once in all,
and none of them from the disk.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from _common import MIB, REPOSITORY, claim, need, ours, served

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
MOST_AGAIN = 16
PAGE = 4096


def counters(pid: int) -> dict[str, int]:
    """What the kernel counted of a process: `rchar` is what it read, network included."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}


def written(pid: int) -> int:
    """The bytes that a process wrote, journal included; 0 before it exists."""
    try:
        return counters(pid)["wchar"]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def killed_half_way(command: list[str], size: int) -> None:
    """Start, and kill when half of the file is written."""
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        while written(process.pid) < size // 2:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)


def bytes_there(partial: Path, whole: Path) -> int:
    """How many bytes of `whole`, which is noise, the killed process had written to `partial`."""
    found = 0
    with partial.open("rb") as one, whole.open("rb") as other:
        while block := other.read(MIB):
            part = one.read(len(block))
            if part == block:
                found += len(block)
            else:
                pages = range(0, len(part), PAGE)
                same = (at for at in pages if part[at : at + PAGE] == block[at : at + PAGE])
                found += sum(min(PAGE, len(part) - at) for at in same)
    return found


def gone_on(command: list[str]) -> tuple[int, int, dict[str, int], float]:
    """Go on to the end: bytes fetched and resumed, the kernel's counters, and the seconds."""
    began = time.perf_counter()
    # The process itself tells its counters at its end: later they are gone.
    command = [*command]
    command[2] += "\nprint(open('/proc/self/io').read().replace('\\n', ' '))\n"
    ran = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - began
    told, io = ran.stdout.splitlines()
    fetched, resumed = (int(word) for word in told.split())
    words = io.split()
    return fetched, resumed, dict(zip(words[::2], map(int, words[1::2]), strict=True)), seconds


def main() -> int:
    """Run it; 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the file")
    parser.add_argument("--slow", action="store_true", help="40 MB/s a connection")
    options = parser.parse_args()
    need("nginx")
    if not Path("/proc/self/io").exists():
        print("skipped: no /proc/PID/io here")
        return 0
    size = options.mib * MIB
    with served(size) as (file, folder):
        work = folder / "work"
        command = ours(file.slow_url if options.slow else file.url, work, file.sha256)
        killed_half_way(command, size)
        done = bytes_there(work / ".big.bin.part", file.path)
        fetched, resumed, io, seconds = gone_on(command)
    again = fetched - (size - done)
    reads = io["rchar:"] / MIB
    print(f"killed after {done / MIB:.0f} MiB were written; {resumed / MIB:.1f} MiB were kept")
    print(f"then {fetched / MIB:.1f} MiB fetched in {seconds:.1f} s")
    back = reads - resumed / MIB
    print(f"read from files: {reads:.1f} MiB, {back:.1f} of them besides what was kept")
    held = [
        claim("MiB fetched again", again / MIB, MOST_AGAIN),
        claim("MiB read from files / size of the file", reads / options.mib, 1.05),
        claim("MiB read from the disk / MiB kept", io["read_bytes:"] / resumed, 1.05),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
