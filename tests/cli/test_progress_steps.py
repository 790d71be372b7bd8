from __future__ import annotations

import io

from PIL import Image

from modelhub.cli.progress_lines import Layout, step_rate, tail_text, task_cells, total_cells
from modelhub.cli.progress_preview import preview_lines
from modelhub.cli.progress_state import ProgressState
from modelhub.progress import (
    Event,
    Outcome,
    Stage,
    StageEntered,
    Stepped,
    TaskFinished,
    TaskStarted,
)


def state_after(*events: tuple[float, Event]) -> ProgressState:
    state = ProgressState()
    for now, event in events:
        state.apply(event, now)
    return state


def test_a_picture_shows_its_steps_their_speed_and_the_time_to_go() -> None:
    state = state_after(
        (0, TaskStarted("a", "cat")),
        (0, StageEntered("a", Stage.RENDER)),
        (0, Stepped("a", 0, 20)),
        (10, Stepped("a", 5, 20)),
    )
    cells = task_cells(state.tasks["a"], 10)
    assert (cells.fraction, cells.size, cells.speed, cells.eta) == (
        0.25,
        "5/20",
        "2.0 s/it",
        "0:30",
    )
    assert "5/20" in tail_text(cells, Layout.of(120))


def test_pictures_are_counted_together_not_their_bytes() -> None:
    state = state_after(
        (0, TaskStarted("a", "one")),
        (0, TaskStarted("b", "two")),
        (0, StageEntered("a", Stage.RENDER)),
        (9, TaskFinished("a", Outcome.DONE)),
    )
    total = total_cells(state, 9)
    assert (total.name, total.fraction, total.size) == ("total, 1 of 2 done", 0.5, "")


def test_speeds_are_told_as_web_uis_do() -> None:
    assert step_rate(3.25) == "3.2 it/s"
    assert step_rate(0.25) == "4.0 s/it"
    assert step_rate(None) == "-"


def test_a_preview_is_drawn_with_two_pixels_a_cell_and_goes_with_its_picture() -> None:
    picture = Image.new("RGB", (2, 2))
    picture.putpixel((0, 0), (255, 0, 0))
    picture.putpixel((0, 1), (0, 0, 255))
    file = io.BytesIO()
    picture.save(file, "PNG")
    lines = preview_lines(file.getvalue(), width=8, height=4)
    assert len(lines) == 4
    assert {len(line) for line in lines} == {8}
    state = state_after((0, Stepped("a", 1, 2, file.getvalue())))
    assert state.tasks["a"].preview
    state.apply(TaskFinished("a", Outcome.DONE), 1)
    assert not state.tasks["a"].preview


def test_a_preview_without_room_or_sense_is_left_out() -> None:
    assert preview_lines(b"no picture", width=80, height=20) == []
    assert preview_lines(b"", width=4, height=20) == []
