"""The frame around the screens: help, sizes, memory, the way out, colours that can be read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhub.services.jobs import Job, JobKind, JobState
from modelhub.tui.app import ModelhubApp
from modelhub.tui.jobboard import MOST_JOBS, JobBoard, ending_of
from modelhub.tui.library.window import MOST_PAGES, PAGE, RowWindow
from modelhub.tui.sections import SECTIONS, new_section
from modelhub.tui.state import Remembered, StateFile
from modelhub.tui.themes import THEMES
from modelhub.tui.widgets.activity import bar
from modelhub.tui.widgets.keybar import KeyBar
from tests.tui.desk import LARGE, SMALL, Desk, Sitting
from tests.tui.stock import fill


@pytest.mark.anyio
@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_every_letter_can_be_read(desk: Desk, theme: str, size: tuple[int, int]) -> None:
    fill(desk)
    async with desk.open("library", size) as sitting:
        sitting.app.theme = theme
        await sitting.sees("dream", "old_mix.ckpt", "? keys")
        await sitting.pilot.pause()
        assert [pair for pair in pairs(sitting) if contrast(*pair) < 2.0] == []


def pairs(sitting: Sitting) -> set[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """The colours of letters on the screen, with what is behind them."""
    found = set()
    for strip in sitting.app.screen._compositor.render_strips():
        for segment in strip:
            style = segment.style
            letters = any(one.isalnum() for one in segment.text)
            if letters and style and style.color and style.bgcolor:
                front, back = style.color.triplet, style.bgcolor.triplet
                if front and back and not style.dim:
                    found.add((tuple(front), tuple(back)))
    assert found
    return found  # type: ignore[return-value]


def contrast(front: tuple[int, int, int], back: tuple[int, int, int]) -> float:
    """As the Web's guidelines count it: from 1 to 21."""

    def light(colour: tuple[int, int, int]) -> float:
        parts = [one / 255 for one in colour]
        linear = [
            one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, other = sorted((light(front), light(back)))
    return (other + 0.05) / (one + 0.05)


@pytest.mark.anyio
async def test_help_lists_the_keys_and_small_terminals_are_told(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream")
        await sitting.press("question_mark")
        await sitting.sees("Keys", "Library", "Copy the trigger words")
        await sitting.press("escape")
        for size in ((20, 5), (300, 90), (1, 1), (59, 13)):
            await sitting.pilot.resize_terminal(*size)
        await sitting.sees("too small")
        await sitting.pilot.resize_terminal(*SMALL)
        await sitting.sees("dream")


@pytest.mark.anyio
async def test_every_screen_comes_to_the_front_by_its_key(desk: Desk) -> None:
    async with desk.open("library") as sitting:
        for name, entry in SECTIONS.items():
            sitting.app.screen.set_focus(None)
            await sitting.press(entry.key)
            await sitting.until(lambda: getattr(sitting.app.screen, "section", "") == name)  # noqa: B023
            assert sitting.app.screen.query(KeyBar)
        await sitting.press("q")
        await sitting.until(lambda: sitting.app._exit)


def test_every_screen_of_the_table_is_there() -> None:
    assert {new_section(name).section for name in SECTIONS} == set(SECTIONS)


def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "new" / "tui.json")
    assert file.load() == Remembered()
    file.save(Remembered(query="ink", columns=["name"], searches={"mine": "type:lora"}))
    assert StateFile(file.path).load().searches == {"mine": "type:lora"}
    assert [path.name for path in file.path.parent.iterdir()] == ["tui.json"]
    for damage in (b"{", b'{"sort": 5}', b"\xff", b"[]"):
        file.path.write_bytes(damage)
        assert file.load() == Remembered()


@pytest.mark.anyio
async def test_what_was_remembered_wrongly_does_no_harm(desk: Desk) -> None:
    session = desk.session()
    session.remembered.section = "nowhere"
    session.remembered.theme = "no theme"
    session.remembered.columns = ["no column"]
    session.remembered.guided = True
    app = ModelhubApp(session)
    async with app.run_test() as pilot:
        await Sitting(desk, app, pilot).sees("Name", "no models here yet")
    session.close()


def job(number: int, state: JobState) -> Job:
    """A job."""
    return Job(
        id=str(number),
        kind=JobKind.INDEX,
        title=f"job {number}\x1b",
        state=state,
        created=datetime.fromtimestamp(number, UTC),
        error="it broke",
        hint="mend it",
    )


def test_the_board_keeps_the_latest_and_forgets_what_ended_long_ago() -> None:
    board = JobBoard()
    for round_ in range(5):
        for number in range(MOST_JOBS):
            state = JobState.RUNNING if number < 10 or round_ < 4 else JobState.DONE
            board._hear(job(number, state))
    board._hear(job(MOST_JOBS + 1, JobState.DONE))
    assert len(board.take()) == MOST_JOBS + 1
    assert board.take() == ()
    assert len(board.jobs) == MOST_JOBS
    assert "10" not in board.jobs
    assert len(board.running()) == 10


def test_an_end_is_told_with_its_hint_and_without_controls() -> None:
    assert ending_of(job(1, JobState.FAILED)) == "✗ job 1\\x1b: it broke\nmend it"
    assert ending_of(job(1, JobState.DONE)) == "✓ job 1\\x1b"


def test_a_bar_has_its_width_whatever_the_share() -> None:
    assert [len(bar(share / 7, 9)) for share in range(-3, 12)] == [9] * 15


def test_a_window_holds_a_few_pages_and_says_what_it_lacks() -> None:
    window = RowWindow(total=100 * PAGE)
    for page in range(MOST_PAGES + 5):
        window.put(page, [None] * PAGE)  # type: ignore[list-item]
    assert window.missing(0, PAGE) == [0, 1]
    assert window.missing(99 * PAGE, 200 * PAGE) == [99]
    assert window.known == 100 * PAGE
