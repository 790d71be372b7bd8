"""A real terminal without a window: tmux, typed into and read from."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 120.0


@dataclass
class Terminal:
    """A tmux server of its own, with one window of a fixed size.

    :param socket: where the server listens: nobody else's sessions are touched.
    """

    socket: Path
    columns: int = 160
    lines: int = 50

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", str(self.socket), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout

    def start(self, command: list[str], environ: Mapping[str, str]) -> None:
        """Run a command in the window; its exit code is printed when it has ended."""
        given = " ".join(f"{name}={shlex.quote(value)}" for name, value in environ.items())
        size = ["-x", str(self.columns), "-y", str(self.lines)]
        self.tmux("new-session", "-d", *size, "env -u TMUX -u COLUMNS -u LINES sh")
        self.type(f"clear; {given} {shlex.join(command)}; echo ended with $?", "Enter")

    def type(self, text: str, *keys: str) -> None:
        """Type a text, then keys by their names."""
        if text:
            self.tmux("send-keys", "-l", text)
        if keys:
            self.tmux("send-keys", *keys)

    def text(self) -> str:
        """What is on the screen."""
        return self.tmux("capture-pane", "-p")

    def sees(self, *words: str, without: str = "") -> str:
        """Wait until all these words are on the screen, and that other one is not."""
        deadline = time.monotonic() + PATIENCE
        while True:
            text = self.text()
            if all(word in text for word in words) and not (without and without in text):
                return text
            assert time.monotonic() < deadline, f"waited in vain for {words}:\n{text}"
            time.sleep(0.1)

    def close(self) -> None:
        """End the server and what runs in it."""
        self.tmux("kill-server")
