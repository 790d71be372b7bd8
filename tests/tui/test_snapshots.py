"""What every screen looks like: in both sizes, in the dark theme and the light one.

`--snapshot-update` draws the pictures anew, to be looked at before they are kept.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filelock
import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from modelhub.progress import Stage
from modelhub.services.jobs import Job, JobKind, JobProgress, JobState
from modelhub.tui.themes import DARK, LIGHT
from modelhub.tui.widgets.picture import Picture
from tests.tui.desk import LARGE, SMALL, Desk, Sitting, desk_in
from tests.tui.stock import fill
from tests.tui.tinyshelf import stock

FOLDER = Path("/tmp/modelhub-screens")
"""Not pytest's: how long a path is decides where a line ends."""
COLUMNS = ("name", "type", "base", "fp", "size", "rating", "state", "tags")
_PORT = re.compile(r"127\.0\.0\.1:\d{5}")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="/tmp is a link elsewhere"),
    # Of textual-image, which reads pixels the old way.
    pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning"),
]


@pytest.fixture
def still_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A library at the same place each time, for one test at a time."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    with filelock.FileLock(f"{FOLDER}-{os.getuid()}.lock"):
        shutil.rmtree(FOLDER, ignore_errors=True)
        try:
            FOLDER.mkdir(mode=0o700)
        except OSError:
            pytest.skip(f"{FOLDER} is another user's")
        yield desk_in(FOLDER, desk.hub, monkeypatch)
        shutil.rmtree(FOLDER)


async def settled(sitting: Sitting) -> None:
    """Wait until nothing more comes."""
    await sitting.until(lambda: not any(worker.is_running for worker in sitting.app.workers))
    await sitting.pilot.pause()
    await sitting.until(lambda: not any(worker.is_running for worker in sitting.app.workers))
    await sitting.pilot.pause()


async def compare(sitting: Sitting, snapshot: SnapshotAssertion, *large: str) -> None:
    """See that the screen looks as it did; `large` is there where there is room for it."""
    pictures = snapshot.use_extension(SVGImageExtension)
    for size, theme in ((LARGE, DARK), (LARGE, LIGHT), (SMALL, LIGHT), (SMALL, DARK)):
        sitting.app.theme = theme
        await sitting.pilot.resize_terminal(*size)
        await settled(sitting)
        if size == LARGE:
            await sitting.sees(*large)
        svg = _PORT.sub("127.0.0.1:00000", sitting.app.export_screenshot(title="modelhub"))
        assert svg == pictures(name=f"{size[0]}x{size[1]}-{theme.removeprefix('modelhub-')}")


async def test_the_library(still_desk: Desk, snapshot: SnapshotAssertion) -> None:
    fill(still_desk)
    session = still_desk.session()
    session.remembered.details = False  # it tells when a file was added
    session.remembered.columns = [*COLUMNS]
    session.save_state()
    session.close()
    async with still_desk.open("library", LARGE) as sitting:
        await sitting.until(lambda: sitting.app.library_text)
        await sitting.sees("dream", "↑ ink", "old_mix.ckpt", "  5\n")
        await compare(sitting, snapshot, "never used", "4 files")


async def test_the_help(still_desk: Desk, snapshot: SnapshotAssertion) -> None:
    async with still_desk.open("library", LARGE) as sitting:
        await sitting.sees("no models here yet")
        await sitting.press("question_mark")
        await sitting.sees("Everywhere")
        await compare(sitting, snapshot)


async def test_browse(still_desk: Desk, snapshot: SnapshotAssertion) -> None:
    async with still_desk.open("browse", LARGE) as sitting:
        await sitting.press("slash")
        await sitting.write("sakushi")
        await sitting.press("enter")
        await sitting.sees("SakushiMix")
        await settled(sitting)
        sitting.one(Picture).visible = False  # decoders differ in the last bit
        await compare(sitting, snapshot)


async def test_jobs(still_desk: Desk, snapshot: SnapshotAssertion) -> None:
    async with still_desk.open("jobs", LARGE) as sitting:
        await sitting.sees("done by this program")
        for job in some_jobs():
            sitting.app.board._hear(job)
        await sitting.sees("ink.safetensors", "needs a login")
        await sitting.press("j", "j")
        await compare(sitting, snapshot, "modelhub login")


def some_jobs() -> list[Job]:
    """A job in each state."""
    then = datetime.now(UTC) - timedelta(days=3, hours=1)
    plain: dict[str, Any] = {"created": then, "host": "desk"}
    return [
        Job(
            id="a1",
            kind=JobKind.DOWNLOAD,
            title="78056",
            state=JobState.RUNNING,
            started=then,
            attempts=1,
            progress=JobProgress(
                name="ink.safetensors", stage=Stage.DOWNLOAD, done=71, total=100, speed=84e6
            ),
            **plain,
        ),
        Job(id="b2", kind=JobKind.CONVERT, title="old mix.ckpt", state=JobState.WAITING, **plain),
        Job(
            id="c3",
            kind=JobKind.DOWNLOAD,
            title="910005",
            state=JobState.FAILED,
            started=then,
            ended=then + timedelta(seconds=2),
            attempts=1,
            error="910005 needs a login",
            hint="`modelhub login` stores an API key",
            log=("resolving 910005", "Civitai answers 401"),
            **plain,
        ),
        Job(
            id="d4",
            kind=JobKind.RENDER,
            title="garden by dtype",
            state=JobState.DONE,
            started=then,
            ended=then + timedelta(minutes=3),
            **plain,
        ),
    ]


async def test_convert(still_desk: Desk, snapshot: SnapshotAssertion) -> None:
    files = stock(still_desk)
    async with still_desk.open("convert", LARGE) as sitting:
        await sitting.app.open_convert([files["ckpt"], files["danger"]])
        await sitting.sees("becomes", "refused")
        await compare(sitting, snapshot, "becomes")


async def test_render(still_desk: Desk, snapshot: SnapshotAssertion) -> None:
    files = stock(still_desk)
    async with still_desk.open("render", LARGE) as sitting:
        await sitting.app.open_render([files["model"]])
        await sitting.sees("garden.safetensors", "nothing was rendered yet")
        await compare(sitting, snapshot)


async def test_settings(still_desk: Desk, snapshot: SnapshotAssertion) -> None:
    async with still_desk.open("settings", LARGE) as sitting:
        await sitting.sees("library", "layout", "comfyui")
        await compare(sitting, snapshot)
