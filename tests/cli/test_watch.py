from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.index.shelf import lora

_REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 30.0


class Watch:
    """`modelhub watch` as a process, with the lines that it wrote so far."""

    def __init__(self, home: Path, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modelhub", "watch", str(root)],
            env={**os.environ, "MODELHUB_HOME": str(home), "PYTHONPATH": str(_REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.lines.extend(iter(stream.readline, ""))

    def errors(self) -> str:
        """What the process wrote to standard error; waits until it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def end(self) -> None:
        """End the process, however far it is."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def until(self, *words: str) -> str:
        """The first line with all these words, waited for."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            for line in list(self.lines):
                if all(word in line for word in words):
                    return line
            assert time.monotonic() < deadline, f"no line with {words}: {self.lines}"
            assert self.process.poll() is None, self.errors()
            time.sleep(0.02)


@contextmanager
def watching(home: Path, root: Path) -> Iterator[Watch]:
    watch = Watch(home, root)
    try:
        watch.until("watching", str(root))
        yield watch
    finally:
        watch.end()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_what_it_does_and_ends_cleanly(
    tmp_path: Path, root: Path, number: signal.Signals
) -> None:
    with watching(tmp_path / "home", root) as watch:
        (root / "a.safetensors").write_bytes(lora(1))
        watch.until("indexed", "a.safetensors")
        watch.until("hashed", "a.safetensors")
        (root / "a.safetensors").rename(root / "b.safetensors")
        assert "a.safetensors -> " in watch.until("moved", "b.safetensors")
        (root / "b.safetensors").unlink()
        watch.until("missing", "b.safetensors")
        watch.process.send_signal(number)
        assert watch.process.wait(_PATIENCE) == 0
        errors = watch.errors()
    assert "Traceback" not in errors
    assert "catches up" in errors


def test_what_happened_after_a_kill_is_caught_up_with(tmp_path: Path, root: Path) -> None:
    with watching(tmp_path / "home", root) as watch:
        (root / "a.safetensors").write_bytes(lora(1))
        watch.until("hashed", "a.safetensors")
        watch.process.kill()
    (root / "a.safetensors").rename(root / "b.safetensors")
    (root / "c.safetensors").write_bytes(lora(2))
    with watching(tmp_path / "home", root) as watch:
        watch.until("moved", "b.safetensors")
        watch.until("indexed", "c.safetensors")
