"""The program in a terminal of its own: how it ends, and what it leaves there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.terminal import on_terminal, read_all
from tests.tui.desk import PATIENCE, Desk
from tests.tui.stock import fill

ALTERNATE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"


@dataclass
class Terminal:
    """A program in a pseudo-terminal."""

    pid: int
    handle: int
    data: bytes = b""

    def read(self, *until: bytes) -> None:
        """Read until all these were written; without any, until the program ends."""
        deadline = time.monotonic() + PATIENCE
        while not until or not all(one in self.data for one in until):
            assert time.monotonic() < deadline, self.data[-2_000:]
            ready, _, _ = select.select([self.handle], [], [], 0.1)
            if not ready:
                continue
            try:
                block = os.read(self.handle, 65_536)
            except OSError:
                block = b""
            if not block:
                assert not until, self.data[-2_000:]
                return
            self.data += block

    def end(self) -> int:
        """Wait for the end; the exit code."""
        self.read()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextlib.contextmanager
def terminal(desk: Desk, *arguments: str, term: str = "xterm-256color") -> Iterator[Terminal]:
    """`modelhub ARGUMENTS` in a terminal of 80 by 24."""
    environ = desk.environ | {"TERM": term}
    environ.pop("TMUX", None)
    pid, handle = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "modelhub", *arguments], environ)
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        yield Terminal(pid, handle)
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


@pytest.mark.parametrize("way", ["q", "\x03", "SIGTERM"])
def test_the_terminal_is_left_as_it_was(desk: Desk, way: str) -> None:
    fill(desk)
    with terminal(desk, "tui") as window:
        window.read(ALTERNATE, b"Settings", b"dream")
        if way == "SIGTERM":
            os.write(window.handle, b"/ink")  # letters behind the key belong in the filter
            window.read(b"1 of 5")
            os.kill(window.pid, signal.SIGTERM)
        else:
            os.write(window.handle, way.encode())
        assert window.end() == 0
        tail = window.data[window.data.rindex(ALTERNATE) :]
        assert BACK in tail
        assert SHOW_CURSOR in tail
        assert tail.rindex(b"Settings") < tail.rindex(BACK)


def test_a_terminal_that_is_closed_ends_the_program(desk: Desk) -> None:
    fill(desk)
    with terminal(desk, "tui") as window:
        window.read(b"Settings", b"dream")
        os.close(window.handle)
        deadline = time.monotonic() + PATIENCE
        while os.waitpid(window.pid, os.WNOHANG) == (0, 0):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_without_a_terminal_one_line_says_so(desk: Desk) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "modelhub", "tui"],
        env=desk.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "the terminal UI needs a terminal to be shown in" in ended.stderr


_ERRORS_ELSEWHERE = """
import json, os, sys
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 2)
os.execve(sys.executable, [sys.executable, "-m", "modelhub", "tui"], json.loads(sys.argv[2]))
"""


def test_with_its_errors_sent_to_a_file_it_says_so_there(desk: Desk, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    arguments = ("-c", _ERRORS_ELSEWHERE, str(errors), json.dumps(desk.environ))
    with on_terminal(*arguments) as (process, ours):
        assert ALTERNATE.decode() not in read_all(ours)
        assert process.wait() == 1
    assert "the terminal UI needs a terminal to be shown in" in errors.read_text()


def test_a_dumb_terminal_is_refused(desk: Desk) -> None:
    with terminal(desk, "tui", term="dumb") as window:
        assert window.end() == 1
    assert b"TERM=dumb" in window.data
    assert ALTERNATE not in window.data


def test_a_mistake_in_the_settings_is_told_before_the_terminal_is_taken(desk: Desk) -> None:
    desk.environ["MODELHUB_DOWNLOAD_CONNECTIONS"] = "many"
    with terminal(desk, "tui") as window:
        assert window.end() == 2
    assert b"MODELHUB_DOWNLOAD_CONNECTIONS" in window.data
    assert ALTERNATE not in window.data
