"""Libraries with daemons of their own, each a process as the user's would be."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelhub.config import Config
from modelhub.config.load import load_config
from modelhub.demo.hub import DemoHub
from modelhub.demo.published import PublishedFile
from modelhub.errors import DaemonFailed, DaemonNotRunning
from modelhub.services.jobs import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.contact import Contact
from modelhub.services.jobs.durable import DurableQueue, open_queue
from modelhub.services.jobs.place import JobsPlace, jobs_place
from tests.environment import without_settings

PATIENCE = 60.0
"""Seconds that anything may take on a machine that is busy with other tests."""


def wait_for(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until `condition` holds.

    :raises AssertionError: it does not, for longer than anything takes.
    """
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"it never came about: {what}"
        time.sleep(0.03)


@dataclass
class Library:
    """A library, its jobs, and the daemons that are started for it."""

    folder: Path
    hub: DemoHub
    variables: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "models").mkdir()
        self.queue: DurableQueue = open_queue(self.config)

    @property
    def environ(self) -> dict[str, str]:
        own = {
            "MODELHUB_HOME": str(self.folder / "home"),
            "MODELHUB_LIBRARY_ROOT": str(self.folder / "models"),
            "MODELHUB_CATALOG_DATABASE_URL": f"sqlite:///{self.folder / 'catalog.db'}",
            "MODELHUB_CIVITAI_URL": self.hub.url,
            "MODELHUB_CIVITAI_REQUESTS_PER_SECOND": "100",
            "MODELHUB_CIVITAI_RETRIES": "0",
            "MODELHUB_DOWNLOAD_MIN_FREE": "0",
            "MODELHUB_DOWNLOAD_RETRIES": "0",
            "MODELHUB_SIDECARS_PREVIEW": "false",
            "MODELHUB_JOBS_BACKOFF": "0.1",
            "MODELHUB_DAEMON_WATCH": "false",
            "MODELHUB_DAEMON_UPDATES_HOURS": "0",
            "MODELHUB_DAEMON_MATCH_HOURS": "0",
            "MODELHUB_DAEMON_VERIFY_HOURS": "0",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        return without_settings() | own | self.variables

    @property
    def config(self) -> Config:
        return load_config(None, self.environ).config

    @property
    def place(self) -> JobsPlace:
        return jobs_place(self.config)

    @property
    def contact(self) -> Contact:
        return Contact(self.place)

    @property
    def models(self) -> list[Path]:
        """All model files, those under way included."""
        return sorted(
            path
            for path in (self.folder / "models").rglob("*")
            if path.is_file() and not path.name.endswith((".lock", ".civitai.info"))
        )

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelhub", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def start(self) -> subprocess.Popen[bytes]:
        """A daemon that answers."""
        process = self.popen("daemon", "run", "--quiet")
        wait_for(lambda: self._answers(process), "the daemon answers")
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise AssertionError(f"the daemon ended: {process.communicate()[1].decode()}")
        with suppress(DaemonNotRunning, DaemonFailed):
            return bool(self.contact.ask("ping", patience=10)["pid"] == process.pid)
        return False

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a daemon in an orderly way."""
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err.decode()

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.communicate(timeout=PATIENCE)

    def close(self) -> None:
        self.queue.close()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    # Jobs

    def publish(self, name: str, data: bytes | int = 1) -> tuple[str, PublishedFile]:
        file = self.hub.publish_bytes(name, data)
        return f"https://civitai.com/model-versions/{file.version_id}", file

    def pull(self, reference: str, **more: Any) -> Job:
        """Queue a download."""
        arguments = {"reference": reference, "options": {}, **more.pop("arguments", {})}
        request = JobRequest(kind=JobKind.DOWNLOAD, arguments=arguments, title=reference, **more)
        return self.queue.enqueue(request)

    def state(self, job: Job) -> JobState:
        return self.queue.get(job.id).state

    def ended(self, job: Job) -> Job:
        """The job once it has ended."""
        wait_for(lambda: self.state(job).ended, f"{job.title} ends")
        return self.queue.get(job.id)

    def reaches(self, job: Job, state: JobState) -> Job:
        wait_for(lambda: self.state(job) is state, f"{job.title} is {state}")
        return self.queue.get(job.id)

    def downloads(self, job: Job, least: int) -> Job:
        """The job once so many bytes of it are through."""

        def far_enough() -> bool:
            found = self.queue.get(job.id)
            assert not found.state.ended, found
            return found.progress.stage == "download" and found.progress.done >= least

        wait_for(far_enough, f"{job.title} gets {least} bytes far")
        return self.queue.get(job.id)


@contextmanager
def opened(folder: Path, hub: DemoHub, **variables: str) -> Iterator[Library]:
    library = Library(folder, hub, variables)
    try:
        yield library
    finally:
        library.close()


@pytest.fixture
def library(tmp_path: Path, hub: DemoHub) -> Iterator[Library]:
    """A library without a daemon yet."""
    with opened(tmp_path, hub) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, shared_hub: DemoHub) -> Iterator[Library]:
    """A library whose daemon all tests of a module share."""
    with opened(tmp_path_factory.mktemp("served"), shared_hub) as made:
        made.start()
        yield made
