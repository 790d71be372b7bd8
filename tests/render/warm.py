"""One process that renders for all tests of a session: to import torch takes longer than any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelhub.render.client import RenderWorker
from modelhub.render.worker.started import StartedWorker

_AUDIT = """
import sys
def note(event, arguments):
    # To bind is to ask nobody: urllib3 looks so whether there is IPv6.
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        with open({path!r}, "a") as stream:
            stream.write(event + "\\n")
if "modelhub.render.worker" in sys.orig_argv:
    open({path!r}, "a").close()
    sys.addaudithook(note)
"""


class AuditedWorker(RenderWorker):
    """On one thread, since tests run beside each other; what it asks of a network is noted.

    :param folder: for the notes.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(keep_warm=3600.0)
        self.network = folder / "network.txt"
        self._hook = folder / "audit"
        self._hook.mkdir()
        (self._hook / "sitecustomize.py").write_text(_AUDIT.format(path=str(self.network)))

    def _started(self) -> StartedWorker:
        paths = [str(self._hook), *filter(None, [os.environ.get("PYTHONPATH")])]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(paths))
            patch.setenv("OMP_NUM_THREADS", "1")
            return super()._started()


_WORKERS: list[AuditedWorker] = []


def shared_worker(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> AuditedWorker:
    """The worker of this session; it is closed with the session."""
    if not _WORKERS:
        _WORKERS.append(AuditedWorker(tmp_path_factory.mktemp("network")))
        config.add_cleanup(_WORKERS[0].close)
    return _WORKERS[0]
