from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.cli.table import COMMANDS

from .conftest import Cli


def complete(*words: str) -> list[str]:
    """What bash would be offered after `words`."""
    ended = subprocess.run(
        [sys.executable, "-m", "modelhub"],
        env={
            **os.environ,
            "_MODELHUB_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("modelhub", *words)),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.partition(",")[2] for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed_and_explained(cli: Cli, shell: str) -> None:
    script = cli("completion", shell).out
    assert "_MODELHUB_COMPLETE" in script
    assert f"modelhub completion {shell}" in cli("completion", "--help").out
    if shutil.which(shell):
        check = {"bash": ["-n"], "zsh": ["-n"], "fish": ["--no-execute"]}[shell]
        subprocess.run([shell, *check], input=script, text=True, check=True)


def test_commands_options_and_values_are_completed(home: Path) -> None:
    assert complete("") == list(COMMANDS)
    assert complete("co") == ["convert", "config", "completion"]
    assert complete("config", "s") == ["show"]
    assert complete("config", "show", "--j") == ["--json"]
    assert complete("completion", "") == ["bash", "zsh", "fish"]


def test_bash_completes_with_the_script(home: Path, tmp_path: Path, cli: Cli) -> None:
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    program = tmp_path / "modelhub"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modelhub "$@"\n')
    program.chmod(0o755)
    script = cli("completion", "bash").out
    ask = (
        'COMP_WORDS=(modelhub conf); COMP_CWORD=1; _modelhub_completion modelhub; echo "$COMPREPLY"'
    )
    ended = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "config\n"
