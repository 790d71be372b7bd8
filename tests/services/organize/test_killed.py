"""`organize` as a process that is killed: at every single thing that it does to the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .desk import Desk

_REPOSITORY = Path(__file__).parents[3]
_MEMORY = Path("/dev/shm")

_KILLED = """
import os, signal, sys
from modelhub.services.organize import applying, journal, moving

which, when, turn = sys.argv[1], sys.argv[2], int(sys.argv[3])
calls = 0

def dying(work):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == turn and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = work(*args, **kwargs)
        if calls == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

place = {"rename": (moving, "take_name"), "journal": (journal.Journal, "_write"),
         "read back": (moving, "_read_back"), "copied": (moving, "_facts"),
         "folder": (applying, "sync_folder"), "record": (applying.Applier, "record")}[which]
setattr(*place, dying(getattr(*place)))
from modelhub.cli.run import run
sys.exit(run(sys.argv[4:]))
"""


def _environment(desk: Desk) -> dict[str, str]:
    return os.environ | {
        "MODELHUB_CATALOG_DATABASE_URL": desk.config.catalog.database_url,
        "MODELHUB_LIBRARY_ROOT": str(desk.root),
        "MODELHUB_INDEX_SETTLE": "0",
        "PYTHONPATH": str(_REPOSITORY),
    }


def _run_killed(desk: Desk, which: str, when: str, turn: int, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, which, when, str(turn), *arguments],
        env=_environment(desk),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def _shelf(desk: Desk) -> dict[str, bytes]:
    """Two models, one in two files, with sidecars; their contents by name."""
    desk.put("new/ink.safetensors")
    desk.beside("new/ink.json", "{}")
    desk.beside("new/ink.preview.png", "a picture")
    desk.put_shards("new/big", 2)
    desk.index()
    desk.catalog.tag("", ["mine"])
    return _contents(desk.root)


def _contents(*roots: Path) -> dict[str, bytes]:
    """Each file's content by its name; a name in two places fails."""
    found: dict[str, bytes] = {}
    for root in roots:
        for path in root.rglob("*"):
            if path.is_file():
                assert path.name not in found, f"{path} is in two places"
                found[path.name] = path.read_bytes()
    return found


@pytest.mark.parametrize(
    ("which", "when", "turn"),
    [
        ("journal", "before", 1),
        ("journal", "after", 1),
        *(("rename", when, turn) for when in ("before", "after") for turn in (1, 2, 3, 5)),
        ("record", "before", 1),
        ("record", "after", 1),
    ],
)
def test_a_killed_run_leaves_each_file_in_one_place_and_the_next_one_finishes(
    desk: Desk, which: str, when: str, turn: int
) -> None:
    before = _shelf(desk)
    assert _run_killed(desk, which, when, turn, "organize", "--apply") != 0
    assert _contents(desk.root) == before

    report = desk.index()
    assert report.missing == 0
    assert len(desk.rows("tag:mine -missing:yes")) == 2, "the tags are on the moved files"

    desk.organize()
    assert _contents(desk.root) == before
    assert not any((desk.root / "new").iterdir()), "the companions followed"
    desk.undo()
    assert _contents(desk.root) == before
    report = desk.index()
    assert (report.new, report.missing) == (0, 0)


@pytest.mark.parametrize(
    ("which", "when", "turn"),
    [
        ("read back", "before", 1),
        ("read back", "after", 2),
        ("copied", "after", 1),
        ("copied", "after", 3),
        ("folder", "before", 1),
        ("record", "before", 1),
    ],
)
def test_a_killed_copy_to_another_disk_is_finished_by_the_next_run(
    desk: Desk, which: str, when: str, turn: int
) -> None:
    if not _MEMORY.is_dir() or _MEMORY.stat().st_dev == desk.root.stat().st_dev:
        pytest.skip("there is no second file system here")
    before = _shelf(desk)
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        other = Path(name)
        desk.catalog.add_root(other, layout="comfyui")
        arguments = ("organize", "--apply", "--into", str(other))
        assert _run_killed(desk, which, when, turn, *arguments) != 0
        for path in (*desk.root.rglob("*"), *other.rglob("*")):
            if path.is_file():
                assert path.read_bytes() == before[path.name], "whole, or not there at all"

        desk.organize(into=other)
        assert _contents(desk.root, other) == before
        assert _contents(other) == before
        report = desk.index(desk.root, other)
        assert (report.new, report.missing) == (0, 0)
        assert len(desk.rows("tag:mine -missing:yes")) == 2


def test_a_killed_undo_is_finished_by_the_next_run(desk: Desk) -> None:
    before = _shelf(desk)
    desk.organize()
    assert _run_killed(desk, "rename", "after", 2, "organize", "--undo", "last") != 0
    desk.undo()
    assert _contents(desk.root) == before
    assert not any((desk.root / "loras").iterdir())
    report = desk.index()
    assert (report.new, report.missing) == (0, 0)
