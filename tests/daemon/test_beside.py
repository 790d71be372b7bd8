"""What the daemon does beside jobs: schedule, telling, figures, logs, install, retries."""

from __future__ import annotations

import json
import logging
import plistlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelhub.cli.redact import redact
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, DaemonSettings, Jobs
from modelhub.daemon.install import install, service
from modelhub.daemon.lanes import lane_of, limits
from modelhub.daemon.logs import JsonLines, PatientFile, last_lines
from modelhub.daemon.metrics import MetricsServer, figures
from modelhub.daemon.retrying import may_pass, pause_before
from modelhub.daemon.schedule import Schedule
from modelhub.daemon.telling import Teller, notification, variables
from modelhub.errors import (
    Cancelled,
    DaemonFailed,
    DiskFull,
    LoginRequired,
    NameTaken,
    RateLimited,
    UnknownModel,
    Unreachable,
    UnsafeFileError,
)
from modelhub.services.jobs import Job, JobKind, JobRequest
from modelhub.services.jobs.store import JobRequests, JobWork, open_jobs


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"))


@pytest.fixture
def sides(config: Config) -> Iterator[tuple[JobRequests, JobWork]]:
    with open_jobs(config) as database:
        yield JobRequests(database), JobWork(database, "here")


def ended(sides: tuple[JobRequests, JobWork], *, failed: bool = False) -> Job:
    """A job that has ended."""
    user, daemon = sides
    asked, _ = user.add(
        JobRequest(
            kind=JobKind.DOWNLOAD,
            arguments={"reference": "7"},
            title='$(touch pwned) "; rm -rf ~',
        )
    )
    (turn,) = daemon.turns(JobKind.DOWNLOAD, 9)
    daemon.begin(turn.id, turn.generation)
    if failed:
        daemon.failed(asked.id, turn.generation, "no such model", "look again")
    else:
        daemon.done(asked.id, turn.generation, {"path": "/models/seven.safetensors"})
    return user.get(asked.id)


class NoEngine:
    """The engine of a schedule that is asked to forget: nothing was ever run."""

    def forget(self, *, keep: int) -> None:
        assert keep > 0


def test_regular_jobs_are_asked_for_when_due_and_not_again(
    config: Config, sides: tuple[JobRequests, JobWork]
) -> None:
    user, daemon = sides
    settings = replace(config, daemon=DaemonSettings(match_hours=0))
    rung: list[bool] = []
    schedule = Schedule(
        lambda: settings,
        user,
        daemon,
        NoEngine(),  # type: ignore[arg-type]
        lambda: rung.append(True),
    )

    assert schedule.ask_for_due() == ["updates", "verify"]
    assert schedule.ask_for_due() == []
    assert rung == [True]
    verify = user.list(kinds=[JobKind.VERIFY])[0]
    assert verify.arguments == {"due": True}
    assert verify.priority > 0, "what somebody asked for goes first"
    settings = replace(config, daemon=DaemonSettings(updates_hours=1e-9))
    user.cancel(user.list(kinds=[JobKind.UPDATES])[0].id, attended=False)
    assert schedule.ask_for_due() == ["match", "updates"]


def test_old_jobs_are_forgotten_by_the_schedule(
    config: Config, sides: tuple[JobRequests, JobWork]
) -> None:
    user, daemon = sides
    ended(sides)
    settings = replace(config, jobs=Jobs(keep=0))
    schedule = Schedule(
        lambda: settings,
        user,
        daemon,
        NoEngine(),  # type: ignore[arg-type]
        lambda: None,
    )
    assert schedule.forget_old() == 1
    assert user.list() == []


@pytest.mark.parametrize("failed", [False, True])
def test_a_command_learns_of_a_job_by_its_environment_and_no_shell(
    config: Config, sides: tuple[JobRequests, JobWork], tmp_path: Path, failed: bool
) -> None:
    job = ended(sides, failed=failed)
    told = tmp_path / "told"
    script = tmp_path / "tell me"
    script.write_text(
        "#!/bin/sh\n"
        f'printf "%s|%s|%s|%s" "$1" "$MODELHUB_JOB_STATE" "$MODELHUB_JOB_TITLE" '
        f'"$MODELHUB_JOB_PATH$MODELHUB_JOB_ERROR" > "{told}"\n'
    )
    script.chmod(0o700)
    settings = replace(config, daemon=DaemonSettings(on_end=[str(script), "$HOME"]))
    teller = Teller(lambda: settings, sides[0].get)
    teller.start()
    teller.ended(job.id)
    teller.stop()

    last = "no such model" if failed else "/models/seven.safetensors"
    state = "failed" if failed else "done"
    assert told.read_text() == f'$HOME|{state}|$(touch pwned) "; rm -rf ~|{last}'


def test_a_command_that_cannot_be_run_or_fails_is_noted_and_nothing_else(
    config: Config, sides: tuple[JobRequests, JobWork], caplog: pytest.LogCaptureFixture
) -> None:
    job = ended(sides)
    for command in (["/nowhere/at/all"], ["false"]):
        settings = replace(config, daemon=DaemonSettings(on_end=command))
        teller = Teller(lambda: settings, sides[0].get)  # noqa: B023
        teller.start()
        teller.ended(job.id)
        teller.ended("no such job")
        teller.stop()
    assert {record.getMessage() for record in caplog.records} == {"not told", "a command failed"}


def test_nothing_is_told_by_default(config: Config, sides: tuple[JobRequests, JobWork]) -> None:
    asked: list[str] = []

    def get(job_id: str) -> Job:
        asked.append(job_id)
        return sides[0].get(job_id)

    teller = Teller(lambda: config, get)
    teller.start()
    teller.ended(ended(sides).id)
    teller.stop()
    assert asked == []


def test_a_notification_is_words_and_no_script(
    sides: tuple[JobRequests, JobWork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended(sides, failed=True)
    assert variables(job)["MODELHUB_JOB_ERROR"] == "no such model"
    monkeypatch.setattr("modelhub.daemon.telling.sys.platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert notification(job) == []
    (tmp_path / "notify-send").write_text("#!/bin/sh\n")
    (tmp_path / "notify-send").chmod(0o700)
    words = notification(job)
    assert words[-3:] == [
        "--",
        "modelhub: download failed",
        '$(touch pwned) "; rm -rf ~: no such model',
    ]
    monkeypatch.setattr("modelhub.daemon.telling.sys.platform", "darwin")
    assert notification(job)[-2:] == words[-2:]


def test_figures_are_as_prometheus_reads_them_and_served_on_loopback_only() -> None:
    def text() -> str:
        return figures(
            {("download", "done"): 7, ('odd"\n\\', "failed"): 1},
            {"download": 2},
            {"download": 9},
            time.time() - 5,
            "1.2.3",
        )

    lines = text().splitlines()
    assert 'modelhub_jobs{kind="download",state="done"} 7' in lines
    assert r'modelhub_jobs{kind="odd\"\n\\",state="failed"} 1' in lines
    assert 'modelhub_info{version="1.2.3"} 1' in lines
    names = {line.split("{")[0].split()[0] for line in lines if not line.startswith("#")}
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert names == typed

    server = MetricsServer(0, text)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as got:
            assert got.read().decode().splitlines()[0] == lines[0]
            assert got.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=30)
        caught.value.close()
        with pytest.raises(DaemonFailed, match=str(server.port)) as taken:
            MetricsServer(server.port, text)
        assert "metrics_port" in taken.value.hint
    finally:
        server.close()


def record(message: str, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("modelhub.daemon", logging.INFO, "f", 1, message, None, None)
    vars(made).update(more)
    return made


def test_a_log_line_is_json_without_secrets() -> None:
    line = JsonLines(redact).format(
        record("at https://h/x?token=abcdef", why="Bearer secretsecret", number=3, odd={1})
    )
    found = json.loads(line)
    assert (found["level"], found["from"], found["number"]) == ("info", "daemon", 3)
    assert "abcdef" not in line
    assert "secretsecret" not in line


def test_a_log_on_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    handler = PatientFile("/dev/full", maxBytes=0, delay=True)
    handler.emit(record("lost"))
    handler.emit(record("lost as well"))
    handler.close()


def test_the_last_lines_go_back_over_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    assert last_lines(log, 5) == []
    (tmp_path / "daemon.log.1").write_text("1\n2\n3\n")
    log.write_text("4\n5\n")
    assert last_lines(log, 4) == ["2", "3", "4", "5"]
    assert last_lines(log, 1) == ["5"]


def test_a_unit_starts_this_program_with_this_library(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "MODELHUB_HOME": str(tmp_path / 'my "50%" home')}
    wanted = service(["--config", "/etc/my $file.toml"], environ, "linux")
    text = wanted.text.decode()

    assert wanted.path == tmp_path / "systemd" / "user" / "modelhub.service"
    assert '"--config" "/etc/my $$file.toml" "daemon" "run"' in text
    assert f'Environment="MODELHUB_HOME={tmp_path}/my \\"50%%\\" home"' in text
    assert install(wanted)
    assert not install(wanted)
    wanted.path.write_text("mine")
    with pytest.raises(NameTaken, match="is another one"):
        install(wanted)
    assert wanted.path.read_text() == "mine"


def test_an_agent_of_launchd_is_a_property_list() -> None:
    wanted = service([], {"MODELHUB_HOME": "/home/me"}, "darwin")
    found = plistlib.loads(wanted.text)
    assert found["ProgramArguments"][-3:] == ["daemon", "run", "--quiet"]
    assert found["EnvironmentVariables"] == {"MODELHUB_HOME": "/home/me"}
    assert wanted.path.name.endswith(".plist")


def test_what_may_pass_is_told_from_what_does_not() -> None:
    for passing in (Unreachable("x"), RateLimited("x"), DiskFull("x"), ValueError("a bug")):
        assert may_pass(passing)
    for lasting in (UnknownModel("x"), LoginRequired("x"), UnsafeFileError("x"), Cancelled("x")):
        assert not may_pass(lasting)
    assert [pause_before(number, 10) for number in (1, 2, 3, 20)] == [10, 20, 40, 3600]


def test_lanes_are_devices_and_disks(tmp_path: Path) -> None:
    wish = {"wish": {"device": {"device": "cuda:1"}}}
    assert lane_of(JobKind.RENDER, json.dumps(wish)) == "cuda:1"
    assert lane_of(JobKind.RENDER, "{}") == ""
    disk = lane_of(JobKind.HASH, json.dumps({"roots": [str(tmp_path)]}))
    assert disk == str(tmp_path.stat().st_dev)
    assert lane_of(JobKind.HASH, json.dumps({"roots": [str(tmp_path / "gone")]})) == ""
    assert lane_of(JobKind.DOWNLOAD, "{}") == ""
    assert set(limits(Config())) == set(JobKind)
    assert limits(Config())[JobKind.DOWNLOAD].at_once == 3
