"""The program as a user runs it: a process of its own, a library of its own, a demo hub."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub
from modelhub.demo.published import PublishedFile
from tests.environment import without_settings


@dataclass
class Program:
    """`modelhub` on one library; `run` waits for it, `start` does not."""

    hub: DemoHub
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return Path(self.variables.get("MODELHUB_LIBRARY_ROOT", str(self.folder / "models")))

    @property
    def environ(self) -> dict[str, str]:
        own = {
            "MODELHUB_HOME": str(self.folder / "home"),
            "MODELHUB_LIBRARY_ROOT": str(self.folder / "models"),
            "MODELHUB_CIVITAI_URL": self.hub.url,
            "MODELHUB_CIVITAI_REQUESTS_PER_SECOND": "100",
            "MODELHUB_CIVITAI_RETRIES": "2",
            "MODELHUB_DOWNLOAD_MIN_FREE": "0",
            "MODELHUB_SIDECARS_PREVIEW": "false",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        return without_settings() | own | self.variables

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "modelhub", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=timeout)
            return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def publish(self, name: str, mib: int) -> tuple[str, PublishedFile]:
        """A reference to a new file of `mib` MiB, and the file."""
        file = self.hub.publish_bytes(name, mib)
        return f"https://civitai.com/model-versions/{file.version_id}", file

    def files(self) -> list[Path]:
        """All files below the root, sidecars and the locks of downloads aside."""
        return sorted(
            path
            for path in self.root.rglob("*")
            if path.is_file() and not path.name.endswith((".lock", ".civitai.info"))
        )


@pytest.fixture
def program(hub: DemoHub, tmp_path: Path) -> Program:
    (tmp_path / "models").mkdir()
    return Program(hub, tmp_path)
