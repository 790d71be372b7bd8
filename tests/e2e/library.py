"""A program on a library of its own, run with the rights of a user and measured."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conftest import Program


@dataclass
class Ended:
    """How a run of the program ended; `most_memory` in bytes, of the largest of its processes."""

    code: int
    out: str
    err: str
    seconds: float
    most_memory: int

    @property
    def document(self) -> Any:
        assert "Traceback" not in self.err, self.err
        return json.loads(self.out)


def run(program: Program, *arguments: str, timeout: float = 100) -> Ended:
    """Run the program with the rights of a user: root too may not read what its mode forbids."""
    command = [sys.executable, "-m", "modelhub", *arguments]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    began = time.monotonic()
    out, err = program.folder / "out", program.folder / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            command, env=program.environ, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        most_memory = 0
        while process.poll() is None:
            if time.monotonic() - began > timeout:
                process.kill()
            most_memory = max(most_memory, _peak(process.pid))
            time.sleep(0.01)
    return Ended(
        process.returncode,
        out.read_text(errors="surrogateescape"),
        err.read_text(errors="surrogateescape"),
        time.monotonic() - began,
        most_memory,
    )


def _peak(pid: int) -> int:
    """The most memory that a process and its children held so far, each for itself, in bytes.

    Not by `getrusage`: that counts what this process held when it was forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return max([int(peak[1]) * 1024 if peak else 0, *(_peak(int(one)) for one in children)])


def rest(root: Path) -> None:
    """Let all files below `root` be an hour old."""
    then = time.time() - 3600
    for path in root.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode):
            os.utime(path, (then, then))


def put(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def say_of(program: Program, *arguments: str) -> str:
    ended = run(program, *arguments)
    assert ended.code == 0, ended.err
    return ended.out


def listed(program: Program, query: str = "") -> dict[str, dict[str, Any]]:
    """The rows of the catalog, by the paths below the library's root."""
    rows = json.loads(say_of(program, "list", "--json", "--limit", "0", *query.split()))
    return {str(Path(row["file"]).relative_to(program.root)): row for row in rows}
