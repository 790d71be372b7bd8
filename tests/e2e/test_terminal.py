"""The terminal UI in a real terminal, from the first search to a grid of pictures."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Program
from tests.e2e.terminal import Terminal

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.timeout(600),
]
NAME = "sakushimixFinished_sakushimixFinal"
_OWN = ("MODELHUB_", "PYTHON", "LANG", "LC_", "HOME", "PATH", "OMP_")


@pytest.fixture
def terminal(program: Program, tmp_path: Path) -> Iterator[Terminal]:
    """The program in a terminal, at its Library screen."""
    environ = {k: v for k, v in program.environ.items() if k.startswith(_OWN)}
    environ |= {
        "TERM": "screen-256color",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    found = Terminal(tmp_path / "tmux.sock")
    try:
        found.start([sys.executable, "-m", "modelhub", "tui"], environ)
        found.sees("1 Library", "First steps")
        found.type("", "Escape")
        found.sees("no models here yet", without="First steps")
        yield found
    finally:
        found.close()


def _set(terminal: Terminal, down: int, value: str, label: str) -> None:
    """Go down in the form, and type a value for the field there."""
    terminal.type("", *["j"] * down, "Enter")
    terminal.sees(f"{label}:")
    terminal.type(value, "Enter")
    terminal.sees(f"{label}  ", value, without=f"{label}:")


def test_pull_watch_tag_filter_convert_render_and_see_the_grid(
    program: Program, terminal: Terminal
) -> None:
    terminal.type("2")
    terminal.sees("AniVerse", "most downloaded")
    terminal.type("/")
    terminal.sees("to the list")
    terminal.type("sakushi", "Enter")
    terminal.sees(" 1 found", "SakushiMix Final", "fp16 pruned SafeTensor")
    terminal.type("p")
    terminal.sees("to be pulled")
    terminal.type("3")
    terminal.sees("Done 1", f"{NAME}.safetensors", "took")
    pulled = program.root / "checkpoints" / f"{NAME}.safetensors"
    assert pulled.is_file()

    terminal.type("1")
    terminal.sees(NAME[:20], "ckpt")
    terminal.type("t")
    terminal.sees("Tag")
    terminal.type("favourite", "Enter")
    terminal.sees("favourite", without="Tag ")
    terminal.type("/")
    terminal.type("tag:favourite", "Enter")
    terminal.sees("✓ favourite")

    terminal.type("c")
    terminal.sees("1 file:", "precision")
    terminal.type("jl")
    terminal.sees("F16 → F32", f"{NAME}-fp32.safetensors")
    terminal.type("r")
    terminal.sees(f"✓ {NAME}-fp32.safetensors")
    assert pulled.with_name(f"{NAME}-fp32.safetensors").is_file()

    terminal.type("1")
    terminal.sees("✓ favourite", "Final-fp32")
    terminal.type("r")
    terminal.sees("with LoRAs", NAME)
    _set(terminal, 8, "1", "steps")
    _set(terminal, 4, "64x64", "size")
    terminal.type("jjjjl")
    terminal.sees("dtype")
    _set(terminal, 1, "fp16,fp32", "values")
    terminal.type("r")
    terminal.sees("2 pictures, side by side", "identical", "▀")

    terminal.type("q")
    terminal.sees("ended with 0")
