from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli


def queued(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    ended = cli(*arguments, "--detach", "--json")
    assert ended.code == 0, ended.err
    found: list[dict[str, Any]] = json.loads(ended.out)
    return found


def test_a_detached_pull_is_queued_and_says_what_lets_it_begin(cli: Cli, home: Path) -> None:
    ended = cli("pull", "78056", "--fp", "fp32", "--detach")

    assert ended.code == 0, ended.err
    assert ended.out.split()[1] == "78056"
    assert "modelhub daemon start" in ended.err
    listed = cli("jobs")
    assert "waiting" in listed.out
    assert "modelhub daemon start" in listed.err
    (job,) = json.loads(cli("jobs", "--json").out)
    assert cli("jobs", "list", "--json").out == cli("jobs", "--json").out
    assert job["arguments"]["reference"] == "78056"
    assert job["arguments"]["options"]["precision"] == "fp32"
    assert (home / "data" / "jobs.db").exists()


def test_several_references_are_several_jobs_and_the_same_is_queued_once(cli: Cli) -> None:
    first = queued(cli, "pull", "1", "2", "--priority", "-5")
    again = queued(cli, "pull", "2", "--priority", "-5")

    assert [job["title"] for job in first] == ["1", "2"]
    assert again[0]["id"] == first[1]["id"]
    assert first[0]["priority"] == -5


def test_paths_are_made_absolute_since_the_daemon_works_elsewhere(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.ckpt").write_bytes(b"")
    (convert,) = queued(cli, "convert", "here.ckpt", "sub/later.ckpt", "known", "-o", "out.ckpt")
    (render,) = queued(cli, "render", "here.ckpt", "--on", "sub/base.ckpt", "--out", "pictures")
    (pull,) = queued(cli, "pull", "7", "--root", "models")

    here = str(tmp_path)
    assert convert["arguments"]["sources"] == [
        f"{here}/here.ckpt",
        f"{here}/sub/later.ckpt",
        "known",
    ]
    assert convert["arguments"]["request"]["output"] == f"{here}/out.ckpt"
    assert render["arguments"]["files"] == [f"{here}/here.ckpt"]
    assert render["arguments"]["wish"]["on"] == f"{here}/sub/base.ckpt"
    assert render["arguments"]["wish"]["out"] == f"{here}/pictures"
    assert pull["arguments"]["root"] == f"{here}/models"


def test_what_is_queued_can_be_begun(cli: Cli) -> None:
    """The front ends and the services agree on what the arguments of each kind are."""
    from modelhub.services.jobs import JobKind
    from modelhub.services.jobs.work import check_arguments

    for arguments in (
        ("pull", "7", "--layout", "flat", "--limit-rate", "1MB/s", "--no-preview"),
        ("convert", "x", "--dtype", "fp16", "--vae-dtype", "fp32", "--merge-lora", "a:0.5"),
        (
            "render",
            "x",
            "--lora",
            "a:0.5",
            "--compare",
            "dtype",
            "--size",
            "64x64",
            "--part",
            "a=b",
        ),
    ):
        (job,) = queued(cli, *arguments)
        check_arguments(JobKind(job["kind"]), job["arguments"])


def test_jobs_are_steered_from_the_command_line(cli: Cli) -> None:
    one, two = queued(cli, "pull", "1", "2")
    (after,) = queued(cli, "convert", "x", "--after", one["id"][:6])
    assert after["after"] == [one["id"]]

    assert cli("jobs", "pause", two["id"]).code == 0
    assert cli("jobs", "priority", one["id"], "3").out.endswith("priority 3\n")
    shown = cli("jobs", "show", two["id"][:5])
    assert "paused" in shown.out
    assert cli("jobs", "resume", two["id"]).code == 0
    assert cli("jobs", "cancel", one["id"], two["id"]).code == 0
    states = {job["id"]: job for job in json.loads(cli("jobs", "list", "--json").out)}
    assert {job["state"] for job in states.values()} == {"cancelled"}
    assert one["id"] in states[after["id"]]["error"]
    assert cli("jobs", "retry", one["id"]).code == 0
    assert json.loads(cli("jobs", "list", "--state", "waiting", "--json").out)[0]["id"] == one["id"]
    assert "2 jobs forgotten" in cli("jobs", "clear").err


def test_mistakes_are_told_with_their_codes(cli: Cli) -> None:
    (job,) = queued(cli, "pull", "1")
    assert cli("jobs", "show", "nothing").code == 3
    assert "modelhub jobs" in cli("jobs", "cancel", "nothing").err
    wrong = cli("jobs", "retry", job["id"])
    assert wrong.code == 0, "one that waits is tried at once"
    cli("jobs", "cancel", job["id"])
    assert cli("jobs", "resume", job["id"]).code == 2
    assert cli("pull", "1", "--priority", "3").code == 2
    assert cli("pull", "1", "--detach", "--dry-run").code == 2
    assert cli("pull", "1", "--detach", "--after", "none").code == 3
    assert cli("convert", "x", "--detach", "--delete-source").code == 2


def test_without_a_daemon_the_commands_say_so(cli: Cli) -> None:
    status = cli("daemon", "status", "--json")
    assert (status.code, json.loads(status.out)) == (3, {"running": False})
    assert "no daemon runs" in cli("daemon", "stop").err
    for question in ("reload", "metrics"):
        ended = cli("daemon", question)
        assert ended.code == 1
        assert "modelhub daemon start" in ended.err
    assert cli("daemon", "logs").code == 0
    shown = cli("daemon", "install", "--show")
    assert "daemon" in shown.out


def test_a_daemon_is_started_asked_and_stopped(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UPDATES", "MATCH", "VERIFY"):
        monkeypatch.setenv(f"MODELHUB_DAEMON_{name}_HOURS", "0")
    started = cli("daemon", "start")
    assert started.code == 0, started.err
    try:
        assert "runs already" in cli("daemon", "start").err
        status = json.loads(cli("daemon", "status", "--json").out)
        assert status["running"]
        assert status["pid"] != os.getpid()
        assert "Process" in cli("daemon", "status").out
        assert "modelhub_up_seconds" in cli("daemon", "metrics").out
        assert cli("daemon", "reload").code == 0
        doctor = cli("doctor", "--offline")
        assert f"runs as process {status['pid']}" in doctor.out
        assert json.loads(cli("daemon", "logs", "-n", "1").out)["message"]
    finally:
        stopped = cli("daemon", "stop")
    assert stopped.code == 0, stopped.err
    assert cli("daemon", "status").code == 3


def test_a_daemon_that_cannot_start_says_why(cli: Cli, home: Path, tmp_path: Path) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data" / "jobs.db").write_bytes(b"no database" * 100)
    ended = cli("daemon", "start")

    assert ended.code == 1
    assert "did not start" in ended.err
    assert "jobs.db" in ended.err


def test_queueing_and_listing_import_nothing_of_the_engine(home: Path) -> None:
    script = (
        "import sys\n"
        "from modelhub.cli.run import run\n"
        "assert run(['pull', '7', '--detach']) == 0\n"
        "assert run(['jobs']) == 0\n"
        "heavy = {'dbos', 'torch', 'diffusers', 'textual', 'alembic', 'psycopg', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_without_its_extra_the_daemon_says_what_to_install(home: Path) -> None:
    script = (
        "import sys\n"
        "sys.modules['dbos'] = None\n"
        "from modelhub.cli.run import run\n"
        "sys.exit(run(['daemon', 'run', '--quiet']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "pip install 'modelhub[daemon]'" in ended.stderr
