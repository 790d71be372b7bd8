"""Nothing in a pickle is ever executed: proven by CPython's own audit of what a process does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.errors import FormatError
from modelhub.formats.pickles import Held, Machine

DATA = Path(__file__).parents[2] / "data"
CORPUS = sorted(path for path in (DATA / "pickles").iterdir() if path.suffix != ".md")

_NAMED = {
    "malicious0.pkl": {"__builtin__.eval", "__builtin__.compile", "__builtin__.apply"},
    "malicious10.pkl": {"__builtin__.exec"},
    "malicious-invalid-bytes.pkl": {"os.system"},
    "malicious12.pkl": {"operator.attrgetter", "builtins.__import__"},
    "malicious15b.pkl": {"bdb.Bdb.run"},
    "malicious16.pkl": {"pip.main"},
    "malicious19.pkl": {"functools.partial", "torch.serialization.load"},
    "malicious20.pkl": {"venv.create"},
    "broken_model.pkl": {"builtins.exec"},
    "pytorch_magic_bypass.pt": {"__builtin__.eval", "posix.system"},
    "sys_module_override_sploit.pkl": {"torch._utils", "(computed).(computed)"},
    "benign0_v4.pkl": set(),
}


@pytest.mark.parametrize("name", _NAMED)
def test_what_a_pickle_would_import_is_named(name: str) -> None:
    machine = Machine(Held((DATA / "pickles" / name).read_bytes()))
    try:
        while machine.position < machine.source.size:
            machine.load()
    except FormatError:
        assert name in ("broken_model.pkl", "malicious-invalid-bytes.pkl")
    found = {one.path for one in machine.globals.values()}
    assert found >= _NAMED[name]
    assert found or not _NAMED[name]


_WATCHED = """
import io, json, sys
from modelhub.errors import FormatError
from modelhub.formats.pickles import Held, Machine
from modelhub.formats.torchfile import read_torch

files = {path: open(path, "rb").read() for path in sys.argv[2:]}

def read(data):
    try:
        Machine(Held(data)).load()
    except FormatError:
        pass
    try:
        read_torch(io.BytesIO(data), len(data))
    except FormatError:
        pass

read(open(sys.argv[1], "rb").read())
modules, events = set(sys.modules), set()
sys.addaudithook(lambda event, args: events.add(event))
for data in files.values():
    read(data)
print(json.dumps([sorted(events), sorted(set(sys.modules) - modules)]))
"""


def test_reading_every_hostile_file_imports_runs_and_opens_nothing() -> None:
    warm = DATA / "pickles" / "new_pytorch_model.bin"
    torch_files = [path for path in (DATA / "torch").iterdir() if path.suffix != ".md"]
    command = [sys.executable, "-c", _WATCHED, str(warm), *map(str, CORPUS + torch_files)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    events, modules = json.loads(ran.stdout)
    assert modules == []
    # No import, no exec, no compile, no os.system, no open, no socket: none but calls of id().
    assert set(events) <= {"builtins.id"}
