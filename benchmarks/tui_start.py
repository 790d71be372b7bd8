"""The terminal UI's start, with 100,000 files in the catalog, and the memory that it takes.

    python benchmarks/tui_start.py [RUNS]

In a terminal of 80 by 24: until the first paint, and until rows are there; in turns with
`import textual.app` and `import textual.app, sqlalchemy.orm`. The least of each counts, since a
busy machine can only make a start longer. Bounds: 1.3 and 1.5 times those, and 250 MiB.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from _catalog import build
from _common import REPOSITORY, claim

FILES = 100_000
PAINT, ROWS = b"Settings", b"GiB"
PATIENCE = 60.0


def start(environ: dict[str, str]) -> tuple[float, float, float]:
    """Seconds to the first paint and to rows, and the peak of memory in MiB."""
    began = time.perf_counter()
    pid, handle = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "modelhub", "tui"], environ)
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    data, seen = b"", dict[bytes, float]()
    while len(seen) < 2:
        if time.perf_counter() - began > PATIENCE:
            raise RuntimeError(f"nothing was painted: {data[-500:]!r}")
        data += _read(handle)
        for mark in (PAINT, ROWS):
            if mark in data:
                seen.setdefault(mark, time.perf_counter() - began)
    peak = _peak(pid)
    os.write(handle, b"q")
    while _read(handle, last=True):
        pass
    os.waitpid(pid, 0)
    os.close(handle)
    return seen[PAINT], seen[ROWS], peak


def _peak(pid: int) -> float:
    """MiB at most, two seconds after the rows. Not what `wait4` says: that counts this process
    before the program took its place."""
    time.sleep(2.0)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _read(handle: int, *, last: bool = False) -> bytes:
    ready, _, _ = select.select([handle], [], [], 5.0 if last else 0.05)
    if not ready:
        return b""
    try:
        return os.read(handle, 65_536)
    except OSError:
        return b""


def imported(modules: str, environ: dict[str, str]) -> float:
    """Seconds that a bare interpreter takes to import these."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True, env=environ)
    return time.perf_counter() - began


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as name:
        home = Path(name)
        build(home / "data" / "catalog.db", FILES)
        environ = {
            **{one: value for one, value in os.environ.items() if one != "TMUX"},
            "MODELHUB_HOME": str(home),
            "TERM": "xterm-256color",
            "PYTHONPATH": str(REPOSITORY),
        }
        paints, rows, memory, screens, tables = [], [], [], [], []
        for _ in range(runs):
            screens.append(imported("textual.app", environ))
            tables.append(imported("textual.app, sqlalchemy.orm", environ))
            paint, row, peak = start(environ)
            paints.append(paint)
            rows.append(row)
            memory.append(peak)
    print(f"least of {runs} runs, {FILES:,} files")
    print(f"  first paint {min(paints):.3f} s, import textual.app {min(screens):.3f} s")
    print(f"  rows {min(rows):.3f} s, import textual.app, sqlalchemy.orm {min(tables):.3f} s")
    held = [
        claim("first paint over its import", min(paints) / min(screens), 1.3),
        claim("rows over their imports", min(rows) / min(tables), 1.5),
        claim("memory, MiB", max(memory), 250),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
