from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.cli.progress_lines import (
    Layout,
    bar_text,
    clock,
    name_text,
    tail_text,
    task_cells,
    total_cells,
)
from modelhub.cli.progress_state import ProgressState, Speedometer
from modelhub.progress import (
    Advanced,
    Event,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
)
from modelhub.text import cell_width

MIB = 1 << 20


def state_after(*events: tuple[float, Event]) -> ProgressState:
    state = ProgressState()
    for now, event in events:
        state.apply(event, now)
    return state


def test_resumed_bytes_count_for_the_bar_and_not_for_the_speed() -> None:
    state = state_after(
        (0, StageEntered("a", Stage.DOWNLOAD, 1000 * MIB)),
        (0, Advanced("a", 600 * MIB, 1000 * MIB, resumed=600 * MIB)),
        (2, Advanced("a", 620 * MIB, 1000 * MIB, resumed=600 * MIB)),
    )
    cells = task_cells(state.tasks["a"], 2)
    assert cells.fraction == 0.62
    assert cells.speed == "10.0 MiB/s"
    assert cells.eta == "0:38"


def test_bytes_that_were_there_may_be_found_late_without_a_leap_in_speed() -> None:
    state = state_after(
        (0, StageEntered("a", Stage.DOWNLOAD, 1000 * MIB)),
        (0, Advanced("a", 0, 1000 * MIB)),
        (1, Advanced("a", 510 * MIB, 1000 * MIB, resumed=500 * MIB)),
    )
    assert task_cells(state.tasks["a"], 1).speed == "10.0 MiB/s"


def test_the_speed_is_of_the_last_seconds_and_sinks_when_nothing_comes() -> None:
    meter = Speedometer()
    assert meter.speed(0) is None
    for second in range(30):
        meter.note(second, second * (100 if second < 15 else 200))
    recent = meter.speed(29)
    assert recent == pytest.approx(200, rel=0.01)
    assert (meter.speed(129) or 0) < 30


def test_a_transfer_that_starts_over_starts_its_speed_over() -> None:
    meter = Speedometer()
    meter.note(0, 0)
    meter.note(5, 500)
    meter.note(6, 0)
    meter.note(7, 10)
    assert meter.speed(7) == 10


def test_a_reference_becomes_a_name() -> None:
    state = state_after((0, TaskStarted("1", "78056")), (1, TaskRenamed("1", "SakushiMix")))
    assert state.tasks["1"].name == "SakushiMix"


def test_the_total_counts_downloads_once_and_finished_files_too() -> None:
    state = state_after(
        (0, StageEntered("a", Stage.DOWNLOAD, 100)),
        (0, StageEntered("b", Stage.DOWNLOAD, 300)),
        (1, Advanced("a", 100, 100)),
        (1, Advanced("b", 100, 300, resumed=50)),
        (2, StageEntered("a", Stage.VERIFY, 100)),
        (2, Advanced("a", 50, 100)),
        (3, TaskFinished("a", Outcome.DONE)),
    )
    summary = state.summary()
    assert (summary.done, summary.total, summary.fetched) == (200, 400, 150)
    assert (summary.finished, summary.tasks) == (1, 2)
    state.apply(TaskStarted("c", "not resolved yet"), 4)
    assert state.summary().total is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-:--"), (5.2, "0:05"), (725, "12:05"), (11220, "3:07:00"), (1e6, "11d 13h")],
)
def test_the_time_to_go_is_short(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown
    assert len(clock(seconds)) <= 7


def test_a_terminal_of_80_columns_shows_every_column() -> None:
    layout = Layout.of(80)
    assert all((layout.bar, layout.percent, layout.size, layout.speed, layout.eta, layout.stage))


events = st.one_of(
    st.builds(TaskStarted, st.sampled_from("abc"), st.text(max_size=90)),
    st.builds(
        StageEntered,
        st.sampled_from("abc"),
        st.sampled_from(Stage),
        st.none() | st.integers(0, 1 << 60),
    ),
    st.builds(
        Advanced,
        st.sampled_from("abc"),
        st.integers(0, 1 << 60),
        st.none() | st.integers(0, 1 << 60),
        st.integers(0, 1 << 60),
    ),
    st.builds(TaskFinished, st.sampled_from("abc"), st.sampled_from(Outcome)),
)


@given(st.lists(events, min_size=1, max_size=12), st.integers(20, 200), st.floats(0, 1e7))
def test_every_line_fits_whatever_the_events(
    sequence: list[Event], width: int, later: float
) -> None:
    state = state_after(*((index / 2, event) for index, event in enumerate(sequence)))
    layout = Layout.of(width)
    now = len(sequence) / 2 + later
    for cells in [total_cells(state, now), *(task_cells(t, now) for t in state.tasks.values())]:
        bar = "".join(bar_text(cells, layout, ascii_only=False))
        line = " ".join(part for part in (name_text(cells, layout), bar) if part)
        assert cell_width(f"{line} {tail_text(cells, layout)}") <= width - 1
