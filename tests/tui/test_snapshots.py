"""What screens look like, letter by letter: compared with `snapshots/`, in a dark theme and a light
one. `MODELHUB_TESTS_SNAPSHOTS=write` writes them anew, to be looked at before they are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelhub.tui.themes import DARK, LIGHT
from tests.tui.desk import LARGE, SMALL, Desk, Sitting
from tests.tui.stock import fill

FOLDER = Path(__file__).parent / "snapshots"
COLUMNS = ("name", "type", "base", "fp", "size", "rating", "state", "tags")
WRITE = os.environ.get("MODELHUB_TESTS_SNAPSHOTS") == "write"


async def ready(sitting: Sitting, *words: str) -> None:
    """Wait until all is there and nothing more comes."""
    await sitting.sees(*words)
    await sitting.until(lambda: not any(worker.is_running for worker in sitting.app.workers))
    await sitting.pilot.pause()


def compare(sitting: Sitting, name: str) -> None:
    """See that the screen looks as it did."""
    file = FOLDER / f"{name}.txt"
    text = sitting.text().rstrip() + "\n"
    if WRITE:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.anyio
@pytest.mark.parametrize("theme", [DARK, LIGHT])
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_library_looks_as_it_did(desk: Desk, theme: str, size: tuple[int, int]) -> None:
    fill(desk)
    session = desk.session()
    # How long ago, and where on this disk, differ from run to run.
    session.remembered.details = False
    session.remembered.columns = [*COLUMNS]
    session.remembered.theme = theme
    session.save_state()
    session.close()
    async with desk.open("library", size) as sitting:
        assert sitting.app.theme == theme
        words = ["dream", "↑ ink", "old_mix.ckpt", "  5\n"]
        await sitting.until(lambda: sitting.app.library_text)
        await ready(sitting, *words, *(["never used", "4 files"] if size == LARGE else []))
        compare(sitting, f"library-{size[0]}x{size[1]}")


@pytest.mark.anyio
async def test_the_help_looks_as_it_did(desk: Desk) -> None:
    async with desk.open("library", (100, 60)) as sitting:
        await sitting.sees("no models here yet")
        await sitting.press("question_mark")
        await ready(sitting, "Everywhere")
        compare(sitting, "help-100x60")
