from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile_files import safetensors, tensor

from .test_interruptions import REPOSITORY

MIB = 1 << 20
MEASURED = """
import sys
from pathlib import Path
from modelhub.convert.planning import Plan
from modelhub.convert.readers import open_source
from modelhub.convert.values import Planned
from modelhub.convert import writers
most = 0
def look(*_):
    global most
    lines = Path("/proc/self/status").read_text().splitlines()
    most = max(most, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))
with open_source(Path(sys.argv[1])) as opened:
    plan = Plan(tensors=tuple(Planned(name, one, "F16") for name, one in opened.tensors.items()))
    getattr(writers, sys.argv[3])(plan, Path(sys.argv[2]), progress=look)
print(most)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("writer", ["write_safetensors", "write_ckpt"])
def test_memory_stays_far_below_the_size_of_the_file(tmp_path: Path, writer: str) -> None:
    size = 300 * MIB
    header = {
        "a": tensor(0, size // 2, size // 8, dtype="F32"),
        "b": tensor(size // 2, size, size // 8, dtype="F32"),
    }
    source = tmp_path / "in.safetensors"
    source.write_bytes(safetensors(header))
    os.truncate(source, source.stat().st_size + size)
    measured = subprocess.run(
        [sys.executable, "-c", MEASURED, str(source), str(tmp_path / "out"), writer],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "out").stat().st_size > size // 2
    assert 10 < int(measured.stdout) / 1024 < 100
