from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub
from modelhub.services.credentials import find_key

from .conftest import Cli
from .terminal import on_terminal, read_all, read_until

KEY = "0123456789abcdef0123456789abcdef"


def test_a_key_from_standard_input_is_stored_for_the_user_alone(cli: Cli, home: Path) -> None:
    ended = cli("login", "--key-stdin", "--no-check", stdin=f"{KEY}\n")
    file = home / "config" / "civitai.key"
    assert ended.code == 0
    assert ended.out.splitlines()[1] == f"The key is in the file {file}."
    assert KEY not in ended.out + ended.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = find_key(os.environ)
    assert found is not None
    assert found.value == KEY


def test_the_key_is_checked_and_its_owner_named(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DemoHub(catalogue=False) as hub:
        monkeypatch.setenv("MODELHUB_CIVITAI_URL", hub.url)
        refused = cli("login", "--key-stdin", stdin=KEY)
        assert refused.code == 4
        assert refused.err.startswith("modelhub: error: ")
        assert KEY not in refused.err
        assert find_key(os.environ) is None
        accepted = cli("login", "--key-stdin", stdin=hub.key)
    assert accepted.code == 0, accepted.err
    assert accepted.out.startswith("Logged in as ")
    found = find_key(os.environ)
    assert found is not None
    assert found.value == hub.key


def test_a_key_that_cannot_be_checked_is_not_stored(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MODELHUB_CIVITAI_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("MODELHUB_CIVITAI_RETRIES", "0")
        ended = cli("login", "--key-stdin", stdin=KEY)
    assert ended.code == 8
    assert "`modelhub login --no-check` stores the key unchecked" in ended.err
    assert find_key(os.environ) is None


def test_logout_deletes_it(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("login", "--key-stdin", "--no-check", stdin=KEY)
    file = home / "config" / "civitai.key"
    assert cli("logout").out == f"Deleted the key in the file {file}.\n"
    assert not file.exists()
    assert cli("logout").out == "No key was stored.\n"
    monkeypatch.setenv("CIVITAI_TOKEN", KEY)
    assert "the variable CIVITAI_TOKEN still holds a key" in cli("logout").err


@pytest.mark.parametrize("text", ["", "two words", "schlüssel", "x" * 600, "a\x00b", "a\x1bb"])
def test_what_is_no_key_is_refused_and_not_shown(cli: Cli, home: Path, text: str) -> None:
    ended = cli("login", "--key-stdin", "--no-check", stdin=f"{text}\n")
    assert ended.code == 2
    assert not text or text not in ended.err
    assert not (home / "config" / "civitai.key").exists()


def test_the_key_is_not_taken_from_the_command_line(cli: Cli) -> None:
    assert cli("login", KEY).code == 2
    assert cli("login", "--key", KEY).code == 2


def test_without_a_terminal_the_option_for_pipes_is_named(cli: Cli) -> None:
    ended = cli("login", "--no-check")
    assert ended.code == 2
    assert "--key-stdin" in ended.err


def test_a_variable_that_goes_before_the_stored_key_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "f" * 32)
    ended = cli("login", "--key-stdin", "--no-check", stdin=KEY)
    assert "the variable CIVITAI_API_KEY is set, and goes before the stored key" in ended.err


def test_the_prompt_does_not_show_the_key(home: Path) -> None:
    with on_terminal("-m", "modelhub", "login", "--no-check") as (process, terminal):
        shown = read_until(terminal, "(not shown): ")
        os.write(terminal, f"{KEY}\n".encode())
        shown += read_all(terminal)
    assert process.returncode == 0
    assert KEY not in shown
    assert (home / "config" / "civitai.key").read_text() == f"{KEY}\n"


def test_ctrl_c_at_the_prompt_stores_nothing(home: Path) -> None:
    with on_terminal("-m", "modelhub", "login", "--no-check") as (process, terminal):
        read_until(terminal, "(not shown): ")
        os.write(terminal, b"\x03")
        shown = read_all(terminal)
    assert process.returncode == 130
    assert "modelhub: interrupted" in shown
    assert not (home / "config" / "civitai.key").exists()


def test_nobody_sees_the_key_in_the_list_of_processes(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "modelhub", "login", "--key-stdin", "--no-check"],
        stdin=-1,
        stdout=-1,
        text=True,
    ) as process:
        command_line = Path(f"/proc/{process.pid}/cmdline")
        if command_line.exists():
            assert KEY not in command_line.read_text()
        process.communicate(KEY, timeout=30)
    assert process.returncode == 0
