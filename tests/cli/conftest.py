from __future__ import annotations

import io
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from modelhub.cli.run import run
from modelhub.cli.table import COMMANDS, Entry
from modelhub.services.credentials import VARIABLES


@dataclass(frozen=True)
class Ended:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A MODELHUB_HOME of its own, without keys, variables and keyring of the machine."""
    for name in (*VARIABLES, "NO_COLOR", "VISUAL", "EDITOR", "MODELHUB_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command line in this process: `cli("config", "path").out`."""

    def call(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = run(arguments)
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture
def add_command() -> Iterator[Callable[[click.Command], None]]:
    """Hangs a command into the program for one test."""
    added: list[str] = []

    def add(command: click.Command) -> None:
        name = str(command.name)
        module = types.ModuleType(f"modelhub.cli.commands.{name}")
        module.__dict__["command"] = command
        sys.modules[module.__name__] = module
        COMMANDS[name] = Entry("System", "Of a test.", f"{name}:command")
        added.append(name)

    yield add
    for name in added:
        del COMMANDS[name]
        del sys.modules[f"modelhub.cli.commands.{name}"]
