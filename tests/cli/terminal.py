"""Programs run on a terminal of their own, as a user runs them."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

# Makes standard input the controlling terminal (so that Ctrl-C and /dev/tty work), then becomes
# the program. Not done by forking here: the test process has threads.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


@contextmanager
def on_terminal(
    *arguments: str, stdout: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Python with `arguments` on a terminal of 80 columns: the process, and our end.

    :param stdout: a descriptor for standard output instead of the terminal.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environ = {**os.environ, "TERM": "xterm"}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        environ.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, sys.executable, *arguments],
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env=environ,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            yield process, ours
        except BaseException:
            process.kill()  # or a failing test would wait for it
            raise
        finally:
            os.close(ours)


def read_until(terminal: int, text: str) -> str:
    """Everything written to the terminal up to `text`, and what came with it."""
    received = b""
    while text.encode() not in received:
        try:
            received += os.read(terminal, 65536)
        except OSError as closed:
            raise AssertionError(f"the program ended with {received!r}") from closed
    return received.decode("utf-8", "replace")


def read_all(terminal: int) -> str:
    """Everything written to the terminal until the program ends."""
    received = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux reports that the other end is closed
            break
        if not part:
            break
        received += part
    return received.decode("utf-8", "replace")
