"""Every trick gets its verdict, and nothing of it happens: a file, a socket, a process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.formats.scan import Verdict, scan_file
from tests.pickle_tricks import TRICKS, Aim, Trick, write_tricks

_WATCHED = """
import json, os, resource, sys
from pathlib import Path
paths = [Path(name) for name in json.load(sys.stdin)]
events = []

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        events.append(["write" if writes else "read", str(path)])
    elif event == "import":
        events.append([event, str(arguments[0])])
    else:
        events.append([event, repr(arguments)[:200]])

import importlib, pickletools, pkgutil, tarfile
import modelhub.formats
for module in pkgutil.walk_packages(modelhub.formats.__path__, "modelhub.formats."):
    importlib.import_module(module.name)
from modelhub.errors import ModelhubError
from modelhub.formats.hashes import hash_file
from modelhub.formats.reading import read_model
from modelhub.formats.scan import scan_file
from modelhub.formats.torchfile import open_torch
for work in (scan_file, read_model, open_torch, hash_file):
    work(paths[0])
modules = set(sys.modules)
sys.addaudithook(watch)
verdicts = {}
for path in paths[1:]:
    verdicts[path.name] = scan_file(path).verdict
    for work in (read_model, open_torch, hash_file):
        try:
            work(path)
        except ModelhubError:
            pass
done = list(events)
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([verdicts, done, sorted(set(sys.modules) - modules), children]))
"""
_HARMLESS_EVENTS = {
    "read",
    "os.listdir",
    "builtins.id",
    "object.__getattr__",
    "sys._getframe",
    "array.__new__",
}


def _verdict(trick: Trick, folder: Path) -> Verdict:
    path = folder / trick.file_name
    path.write_bytes(trick.make(Aim(str(folder / "canary"))))
    return scan_file(path).verdict


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.name)
def test_each_trick_gets_its_verdict(trick: Trick, tmp_path: Path) -> None:
    assert _verdict(trick, tmp_path) is trick.verdict


def test_the_tricks_are_many_and_each_has_its_own_file() -> None:
    assert len(TRICKS) >= 100
    assert len({trick.file_name for trick in TRICKS}) == len(TRICKS)


def test_no_trick_writes_connects_or_starts_anything(tmp_path: Path) -> None:
    data = Path(__file__).parents[2] / "data" / "torch" / "zip.pt"
    canary = tmp_path / "canary"
    folder = tmp_path / "files"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        paths = write_tricks(folder, Aim(str(canary), server.getsockname()[1]))
        ran = subprocess.run(
            [sys.executable, "-c", _WATCHED],
            input=json.dumps([str(data), *map(str, paths.values())]),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert ran.returncode == 0, ran.stderr
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    verdicts, events, modules, children = json.loads(ran.stdout)
    assert verdicts == {trick.file_name: trick.verdict for trick in TRICKS}
    assert not canary.exists()
    assert sorted(folder.iterdir()) == sorted(paths.values())
    assert children == 0
    assert modules == []
    assert {event for event, _ in events} <= _HARMLESS_EVENTS
    read = {path for event, path in events if event == "read" and not path.isdigit()}
    assert read <= set(map(str, paths.values()))


_UNPICKLE = """
import os, pickle, sys, time
from pathlib import Path

def unpickled(path):
    try:
        pickle.loads(Path(path).read_bytes())
    except BaseException:
        pass
    for one in os.listdir("."):
        os.remove(one)
        return True
    return False

for path in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(0 if unpickled(path) else 1)
    if os.waitpid(child, 0)[1]:
        print(path)
"""


def test_the_payloads_do_run_when_they_are_unpickled(tmp_path: Path) -> None:
    """Else the test before this one could not fail."""
    sandbox, folder = tmp_path / "sandbox", tmp_path / "files"
    sandbox.mkdir()
    folder.mkdir()
    paths = write_tricks(folder, Aim(str(sandbox / "canary")))
    running = [str(paths[trick.name]) for trick in TRICKS if trick.runs]
    assert len(running) > 60
    command = [sys.executable, "-P", "-c", _UNPICKLE, *running]
    ran = subprocess.run(
        command, cwd=sandbox, capture_output=True, text=True, check=True, timeout=100
    )
    assert ran.stdout.splitlines() == []


def test_the_socket_that_is_watched_would_be_reached(tmp_path: Path) -> None:
    (trick,) = (one for one in TRICKS if one.name == "calls socket.create_connection")
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = tmp_path / "connect.pkl"
        path.write_bytes(trick.make(Aim(str(tmp_path / "canary"), server.getsockname()[1])))
        code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
        server.settimeout(10)
        server.accept()[0].close()
