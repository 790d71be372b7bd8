"""Other processes at the catalog: scripts run by this Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

OPEN = """
import sys
from pathlib import Path
from modelhub.catalog import *
from modelhub.config.settings import CatalogSettings, Config
from modelhub.errors import ModelhubError

def opened(url, patience=10.0):
    return open_catalog(Config(catalog=CatalogSettings(database_url=url, busy_timeout=patience)))

def put(catalog, name):
    blob = BlobRecord(sha256=name.encode().hex().rjust(64, "0")[-64:], size=1)
    file = LocalFileRecord(root=Path("/library"), path=Path(name), size=1, mtime_ns=1)
    return catalog.record_local_file(file, blob=blob)

"""
"""What each script starts with."""


def start(script: str, *arguments: str, bound: bool = False) -> subprocess.Popen[str]:
    """Start a script after :data:`OPEN`; its output is piped.

    :param bound: by the rights of files, as root is not.
    """
    return subprocess.Popen(
        [*(_bound() if bound else ()), sys.executable, "-c", OPEN + script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env={
            "PYTHONPATH": str(REPOSITORY),
            "PATH": os.environ.get("PATH", ""),
            "MODELHUB_HOME": "/nowhere",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )


def output(script: str, *arguments: str, bound: bool = False) -> str:
    """What a script prints, which must end well."""
    process = start(script, *arguments, bound=bound)
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 0, printed
    return printed


def _bound() -> tuple[str, ...]:
    """A command before another that takes root's freedom from rights away."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root is above the rights of files, and setpriv is not installed")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
