from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from modelhub.cli.context import App
from modelhub.cli.progress_bars import BarView
from modelhub.cli.progress_view import LineView, progress_view
from modelhub.progress import (
    Advanced,
    Event,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskStarted,
)
from modelhub.text import cell_width
from tests.patience import SOON

from .terminal import on_terminal, read_all, read_until

PROGRAM = """
import sys, time
from modelhub.cli.context import App
from modelhub.progress import *
app = App()
with app.progress() as say:
    cancel = app.cancel
    for task, name in (("1", "SakushiMix_" + "x" * 90 + ".safetensors"), ("2", "模型" * 30)):
        say(TaskStarted(task, name))
        say(StageEntered(task, Stage.DOWNLOAD, 2_000_000_000))
    for step in range(6):
        for task in "12":
            say(Advanced(task, 900_000_000 + step * 1_000_000, 2_000_000_000, 900_000_000))
        time.sleep(0.15)
    say(Notice("1", "the size differs from the published one " * 4, warning=True))
    if "wait" in sys.argv:
        cancel.wait(20)
        time.sleep(0.4)
    say(TaskFinished("1", Outcome.DONE, "/models/" + "folder/" * 12 + "SakushiMix.ckpt"))
    say(TaskFinished("2", Outcome.FAILED, "the server answered 503 " * 8))
print("result")
"""


def written_lines(text: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [line for line in re.split(r"[\r\n]+", plain) if line]


def test_a_terminal_gets_bars_whose_lines_fit() -> None:
    with on_terminal("-c", PROGRAM) as (_, terminal):
        text = read_all(terminal)
    lines = written_lines(text)
    file_line = r"Saku\S+…\S+tensors +━+─+ +45% +1\.86 GiB .*download"
    assert any(re.search(file_line, line) for line in lines)
    assert any(re.search(r"[0-9.]+ MiB/s +\d+:\d\d download", line) for line in lines)
    assert any(re.search(r"^total, 0 of 2 done +━+─+ +45% +3\.73 GiB", line) for line in lines)
    assert [line for line in lines if cell_width(line) > 80] == []
    assert lines[-1] == "result"
    assert any(line.startswith("failed 模型") for line in lines)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")


def test_results_in_a_pipe_hold_no_bars(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        out.open("wb") as stream,
        on_terminal("-c", PROGRAM, stdout=stream.fileno()) as (_, terminal),
    ):
        text = read_all(terminal)
    assert "━" in text
    assert out.read_text() == "result\n"


def test_ctrl_c_is_told_below_the_bars() -> None:
    with on_terminal("-c", PROGRAM, "wait") as (_, terminal):
        received = read_until(terminal, "warning")
        os.write(terminal, b"\x03")
        received += read_all(terminal)
    assert "stopping cleanly; press Ctrl-C again to quit at once" in received
    assert "result" in received


def test_without_a_terminal_there_is_a_line_per_stage_and_no_bar() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "result\n"
    assert "\x1b" not in ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 5
    assert lines[0].endswith("x.safetensors: download (1.86 GiB)")
    assert ": warning: the size differs" in lines[2]
    assert re.search(
        r": done: 4\.8 MiB in \d+ s \(.*\), 858\.3 MiB were there before, /m", lines[3]
    )
    assert ": failed: the server answered 503" in lines[4]


def test_quiet_shows_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    app = App({})
    app.quiet = True
    with progress_view(app) as listener:
        listener(TaskStarted("1", "a.safetensors"))
        listener(StageEntered("1", Stage.DOWNLOAD, 5))
        listener(Notice("1", "cached"))
        listener(Notice("1", "no hash is published", warning=True))
        listener(TaskFinished("1", Outcome.DONE))
    assert capsys.readouterr().err == "modelhub: warning: a.safetensors: no hash is published\n"


def test_hostile_names_reach_neither_terminal_nor_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "[red]x[/red]\x1b[2J\u202e"
    LineView()(StageEntered(name, Stage.RESOLVE))
    assert capsys.readouterr().err == "[red]x[/red]\\x1b[2J\\u202e: resolve\n"
    console = Console(width=80, force_terminal=True, markup=False, color_system=None)
    view = BarView(console)
    view(TaskStarted("1", name))
    with console.capture() as captured:
        console.print(view.render())
    assert "\x1b[2J" not in captured.get()
    assert "[red]x[/r" in captured.get()


def test_more_files_than_lines_are_summed_up() -> None:
    console = Console(width=80, height=10, force_terminal=True, color_system=None)
    view = BarView(console)
    for number in range(30):
        view(TaskStarted(str(number), f"file{number}"))
    with console.capture() as captured:
        console.print(view.render())
    lines = captured.get().splitlines()
    assert len(lines) <= 10
    assert "and 24 more" in lines
    assert lines[-1].startswith("total, 0 of 30 d")


def test_events_come_from_many_threads_while_it_draws() -> None:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    view = BarView(console)
    stop = threading.Event()

    def draw() -> None:
        while not stop.is_set():
            console.print(view.render())

    def work(task: str) -> None:
        sequence: list[Event] = [TaskStarted(task, task), StageEntered(task, Stage.DOWNLOAD, 500)]
        sequence += [Advanced(task, done, 500) for done in range(0, 501, 5)]
        sequence += [Notice(task, "nearly there"), TaskFinished(task, Outcome.DONE)]
        for event in sequence:
            view(event)

    with ThreadPoolExecutor() as pool:
        drawing = pool.submit(draw)
        list(pool.map(work, (f"task{number}" for number in range(8))))
        stop.set()
        drawing.result(timeout=20)
    with console.capture() as captured:
        console.print(view.render())
    assert "total, 8 of 8 done" in captured.get()


def test_drawing_does_not_slow_the_work() -> None:
    view = LineView()
    began = time.perf_counter()
    for done in range(20_000):
        view(Advanced("1", done, 20_000))
    assert time.perf_counter() - began < SOON
