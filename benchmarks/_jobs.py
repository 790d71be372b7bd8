"""What the benchmarks of the daemon share: a library of its own, a demo hub, a daemon process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _common import REPOSITORY

from modelhub.config import Config
from modelhub.config.load import load_config
from modelhub.demo.hub import DemoHub
from modelhub.errors import DaemonFailed, DaemonNotRunning
from modelhub.services.jobs.contact import Contact
from modelhub.services.jobs.durable import DurableQueue, open_queue
from modelhub.services.jobs.place import jobs_place


@dataclass
class Library:
    """A library in a temporary folder, whose Civitai is a demo hub."""

    folder: Path
    url: str
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its processes."""
        own = {
            "MODELHUB_HOME": str(self.folder / "home"),
            "MODELHUB_LIBRARY_ROOT": str(self.folder / "models"),
            "MODELHUB_CIVITAI_URL": self.url,
            "MODELHUB_CIVITAI_REQUESTS_PER_SECOND": "100",
            "MODELHUB_DOWNLOAD_MIN_FREE": "0",
            "MODELHUB_SIDECARS_PREVIEW": "false",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "PYTHONPATH": str(REPOSITORY),
        }
        return {**os.environ, **own, **self.variables}

    @property
    def config(self) -> Config:
        """Its settings."""
        return load_config(None, self.environ).config

    @property
    def contact(self) -> Contact:
        """The way to its daemon."""
        return Contact(jobs_place(self.config))

    def queue(self) -> DurableQueue:
        """Its jobs."""
        return open_queue(self.config)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        command = [sys.executable, "-m", "modelhub", *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True)

    def start_daemon(self) -> subprocess.Popen[bytes]:
        """Start a daemon, and wait until it answers."""
        command = [sys.executable, "-m", "modelhub", "daemon", "run", "--quiet"]
        process = subprocess.Popen(command, env=self.environ, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(DaemonNotRunning, DaemonFailed):
                if self.contact.ask("ping")["pid"] == process.pid:
                    return process
            time.sleep(0.02)
        raise RuntimeError("the daemon does not start")

    @contextlib.contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """A running daemon, stopped with the block."""
        process = self.start_daemon()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)

    def status(self) -> dict[str, Any]:
        """What the daemon says of itself."""
        return self.contact.ask("status")


@contextlib.contextmanager
def library(**variables: str) -> Iterator[tuple[Library, DemoHub]]:
    """A new library and its hub; this process's data folder is the library's as well."""
    with tempfile.TemporaryDirectory(prefix="modelhub-jobs-") as name, DemoHub() as hub:
        folder = Path(name)
        (folder / "models").mkdir()
        made = Library(folder, hub.url, variables)
        before = dict(os.environ)
        os.environ["MODELHUB_HOME"] = made.environ["MODELHUB_HOME"]
        try:
            yield made, hub
        finally:
            os.environ.clear()
            os.environ.update(before)
