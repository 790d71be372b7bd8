from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from modelhub.daemon.control import ControlSocket
from modelhub.errors import AlreadyRunning, DaemonFailed, DaemonNotRunning, UsageError
from modelhub.services.jobs.contact import Contact
from modelhub.services.jobs.place import JobsPlace


def broken(_question: Mapping[str, Any]) -> Mapping[str, Any]:
    raise UsageError("not like that")


@pytest.fixture
def place(tmp_path: Path) -> JobsPlace:
    return JobsPlace("sqlite://", None, tmp_path, "daemon")


@pytest.fixture
def control(place: JobsPlace) -> Iterator[ControlSocket]:
    made = ControlSocket(
        place.socket,
        {
            "ping": lambda question: {"pong": question.get("number", 0)},
            "broken": broken,
            "events": lambda _: iter([{}, {"job": 1}, {"job": 2}]),
        },
    )
    made.open()
    yield made
    made.close()


def test_questions_are_answered_and_faults_told(place: JobsPlace, control: ControlSocket) -> None:
    contact = Contact(place)
    assert contact.ask("ping", number=7) == {"pong": 7}
    with pytest.raises(DaemonFailed, match="not like that"):
        contact.ask("broken")
    with pytest.raises(DaemonFailed, match="not understood"):
        contact.ask("sing")
    assert stat.S_IMODE(place.socket.stat().st_mode) == 0o600


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"[]\n", b"7\n", b'{"ask": []}\n', b"\xff\n"])
def test_nonsense_is_refused_and_the_next_question_answered(
    place: JobsPlace, control: ControlSocket, line: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as stream, stream.makefile("rwb") as file:
        stream.settimeout(30)
        stream.connect(str(place.socket))
        file.write(line + b'{"ask": "ping"}\n')
        file.flush()
        assert json.loads(file.readline()) == {"error": "not understood"}
        assert json.loads(file.readline()) == {"pong": 0}


def test_events_come_one_by_one(place: JobsPlace, control: ControlSocket) -> None:
    events = Contact(place).events()
    assert [next(events) for _ in range(3)] == [{}, {"job": 1}, {"job": 2}]


def test_many_clients_that_come_and_go_leave_nothing_open(
    place: JobsPlace, control: ControlSocket
) -> None:
    contact = Contact(place)
    for _ in range(100):
        assert contact.ask("ping") == {"pong": 0}
    for _ in range(100):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(str(place.socket))


def test_a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not(
    place: JobsPlace, control: ControlSocket
) -> None:
    second = ControlSocket(place.socket, {})
    with pytest.raises(AlreadyRunning):
        second.open()
    control.close()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place.socket))
    third = ControlSocket(place.socket, {"ping": lambda _: {"third": True}})
    third.open()
    assert Contact(place).ask("ping") == {"third": True}
    third.close()
    assert not place.socket.exists()
    with pytest.raises(DaemonNotRunning):
        Contact(place).ask("ping")


def test_a_lock_that_nobody_holds_means_no_daemon(place: JobsPlace) -> None:
    assert not Contact(place).attended()
    place.lock.write_text(str(os.getpid()))
    assert not Contact(place).attended()
