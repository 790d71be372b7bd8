from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from modelhub import errors
from modelhub.cli.context import App, pass_app
from modelhub.cli.table import COMMANDS

from .conftest import Cli

AddCommand = Callable[[click.Command], None]
KEY = "k3y-0123456789abcdef"


def command_raising(error: BaseException) -> click.Command:
    @click.command("boom")
    @click.option("--size", type=click.IntRange(1, 5))
    def boom(size: int | None) -> None:
        raise error

    return boom


def test_help_lists_every_command_by_section(cli: Cli) -> None:
    ended = cli("--help")
    assert ended.code == 0
    headings = [entry.section + ":" for entry in COMMANDS.values()]
    assert [line for line in ended.out.splitlines() if line in headings] == list(
        dict.fromkeys(headings)
    )
    for name, entry in COMMANDS.items():
        assert f"{name}  " in ended.out
        assert entry.summary in ended.out
    assert cli("-h").out == ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["--version"], ["-V"], ["-q", "--version"]])
def test_the_version_is_printed(cli: Cli, arguments: list[str]) -> None:
    assert cli(*arguments).out == "modelhub 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["lsit"], "no such command 'lsit'", "did you mean list?"),
        (["conifg", "show"], "no such command 'conifg'", "did you mean config?"),
        (["config", "shwo"], "no such command 'shwo'", "did you mean show?"),
        (["xyzzy"], "no such command 'xyzzy'", "`modelhub --help` shows how it is used"),
        (["--qiet"], "no such option '--qiet'", "did you mean --quiet?"),
        (["config", "show", "--jsn"], "no such option '--jsn'", "did you mean --json?"),
        (["config", "path", "x"], "got unexpected extra argument", "`modelhub config path --help`"),
        (["completion", "tcsh"], "invalid value for", "`modelhub completion --help`"),
        (["--config"], "option '--config' requires an argument", "`modelhub --help`"),
    ],
)
def test_usage_errors_are_in_our_style_with_similar_names(
    cli: Cli, arguments: list[str], message: str, hint: str
) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    first, second = ended.err.splitlines()
    assert first.startswith(f"modelhub: error: {message}")
    assert second.startswith(f"hint: {hint}")


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    ended = cli()
    assert ended.code == 2
    assert "Usage: modelhub" in ended.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ModelhubError("it failed"), 1),
        (errors.MalformedReference("it failed"), 2),
        (errors.UnknownModel("it failed"), 3),
        (errors.LoginRequired("it failed"), 4),
        (errors.HashMismatch("it failed"), 5),
        (errors.UnsafeFileError("it failed"), 6),
        (errors.DiskFull("it failed"), 7),
        (errors.Unreachable("it failed"), 8),
    ],
)
def test_errors_are_printed_with_their_hint_and_exit_code(
    cli: Cli, add_command: AddCommand, error: errors.ModelhubError, code: int
) -> None:
    add_command(command_raising(error))
    ended = cli("boom")
    assert ended.code == code
    hint = f"hint: {error.hint}\n" if error.hint else ""
    assert ended.err == f"modelhub: error: it failed\n{hint}"


def test_what_was_stopped_is_no_error_and_says_how_to_go_on(
    cli: Cli, add_command: AddCommand
) -> None:
    add_command(command_raising(errors.Cancelled("the download was stopped")))
    ended = cli("boom")
    assert ended.code == 130
    assert ended.err == (
        "modelhub: the download was stopped\nhint: run the same command again to go on from there\n"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_before_the_work_began_ends_with_130(
    cli: Cli, add_command: AddCommand, error: BaseException
) -> None:
    add_command(command_raising(error))
    assert cli("boom") == type(cli("boom"))(130, "", "modelhub: interrupted\n")


def test_an_unexpected_exception_is_one_line_and_how_to_report_it(
    cli: Cli, add_command: AddCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_TOKEN", KEY)
    add_command(command_raising(ValueError(f"bad \x1b[31m header Bearer {KEY}")))
    ended = cli("boom")
    assert ended.code == 1
    first, second = ended.err.splitlines()
    assert first == r"modelhub: error: unexpected ValueError: bad \x1b[31m header Bearer ***"
    assert "this is a bug" in second
    assert "--debug" in second


@pytest.mark.parametrize("arguments", [["--debug", "boom"], ["boom", "--debug"]])
def test_debug_shows_the_traceback_without_secrets(
    cli: Cli, add_command: AddCommand, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("MODELHUB_CIVITAI_API_KEY", KEY)
    error = errors.Unreachable("no answer")
    error.__cause__ = OSError(
        f"GET https://user:hunter22@host/x?X-Amz-Signature=abcdef0123 key {KEY} token=deadbeef99"
    )
    add_command(command_raising(error))
    ended = cli(*arguments)
    assert ended.code == 8
    assert "Traceback (most recent call last)" in ended.err
    assert "https://***@host/x?***" in ended.err
    for secret in (KEY, "hunter22", "abcdef0123", "deadbeef99"):
        assert secret not in ended.err


def test_messages_cannot_drive_the_terminal(cli: Cli, add_command: AddCommand) -> None:
    add_command(command_raising(errors.UnknownModel("no model \x1b]0;owned\x07 \u202egpj.exe")))
    assert r"no model \x1b]0;owned\x07 \u202egpj.exe" in cli("boom").err


@pytest.mark.parametrize(
    "arguments",
    [["-q", "--no-color", "--config", "c.toml", "seen"], ["seen", "--config=c.toml", "-q"]],
)
def test_global_options_count_before_and_after_the_command(
    cli: Cli, add_command: AddCommand, arguments: list[str]
) -> None:
    @click.command("seen")
    @pass_app
    def seen(app: App) -> None:
        click.echo(f"{app.quiet} {app.config_path} {app.debug}")

    add_command(seen)
    assert cli(*arguments).out == "True c.toml False\n"
    assert "--debug" not in cli("seen", "--help").out


def test_no_color_is_obeyed(
    cli: Cli, add_command: AddCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("seen")
    @pass_app
    def seen(app: App) -> None:
        click.echo(f"{app.no_color} {click.get_current_context().color} {app.err.no_color}")

    add_command(seen)
    assert cli("seen").out == "False None False\n"
    assert cli("--no-color", "seen").out == "True False True\n"
    assert cli("seen", "--no-color").out == "True False True\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli("seen").out == "True False True\n"


def test_a_command_whose_module_is_missing_fails_only_when_called(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "modelhub.cli.commands.completion", None)
    assert cli("--help").code == 0
    assert cli("config", "path").code == 0
    assert cli("completion", "bash").code == 1


def test_a_full_disk_behind_standard_output_is_said(cli: Cli, add_command: AddCommand) -> None:
    add_command(command_raising(OSError(errno.ENOSPC, "No space left on device")))
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "modelhub", "--help"], stdout=full, stderr=-1, check=False
        )
    assert ended.returncode == 7
    assert ended.stderr == b"modelhub: error: cannot write the output: No space left on device\n"


def test_a_reader_that_leaves_early_is_no_error(home: Path) -> None:
    # Enough output to fill the pipe after its reader has gone.
    script = (
        "import sys, click, types\n"
        "from modelhub.cli.table import COMMANDS, Entry\n"
        "from modelhub.cli.run import run\n"
        "@click.command()\n"
        "def command():\n"
        "    for _ in range(100_000): click.echo('line')\n"
        "module = types.ModuleType('m'); module.command = command\n"
        "sys.modules['modelhub.cli.commands.flood'] = module\n"
        "COMMANDS['flood'] = Entry('System', '', 'flood:command')\n"
        "sys.exit(run(['flood']))\n"
    )
    read_end, write_end = os.pipe()
    with subprocess.Popen([sys.executable, "-c", script], stdout=write_end, stderr=-1) as process:
        os.close(write_end)
        assert os.read(read_end, 5) == b"line\n"
        os.close(read_end)
        _, stderr = process.communicate(timeout=30)
    assert stderr == b""
    assert process.returncode == 141
