"""How many jobs are at work, when what they shared is let go of, and what a host renders on."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from modelhub.config import Config
from modelhub.config.settings import Team
from modelhub.daemon.devices import HostDevices
from modelhub.daemon.gate import Gate
from modelhub.daemon.running import Running


def test_no_more_pass_than_are_allowed_and_the_next_when_one_leaves() -> None:
    gate = Gate({"convert": 1, "render": None}.get)
    passed: list[str] = []
    inside = threading.Event()

    def follow() -> None:
        with gate.passed("convert") as may:
            passed.append(f"second {may}")
            inside.set()

    second = threading.Thread(target=follow)
    with gate.passed("convert") as first, gate.passed("render") as one, gate.passed("render"):
        second.start()
        assert first
        assert one
        assert not passed
    assert inside.wait(30)
    second.join()
    assert passed == ["second True"]


def test_a_closed_gate_lets_nobody_in_and_nobody_wait() -> None:
    gate = Gate({"convert": 1}.get)
    passed: list[bool] = []

    def follow() -> None:
        with gate.passed("convert") as may:
            passed.append(may)

    second = threading.Thread(target=follow)
    with gate.passed("convert"):
        second.start()
        gate.close()
        second.join(30)
    assert passed == [False]


def test_a_pause_between_jobs_is_told_once() -> None:
    running = Running()
    assert not running.quiet_since(0.0)
    running.begin("one", "verify")
    running.begin("two", "verify")
    running.end("one")
    assert not running.quiet_since(0.0)
    running.end("two")
    assert not running.quiet_since(3600.0)
    assert running.quiet_since(0.0)
    assert not running.quiet_since(0.0)


def test_a_hosts_devices_are_as_configured_and_none_where_it_does_not_render() -> None:
    told: list[Sequence[str] | None] = []
    devices = HostDevices(Config(), told.append)
    assert devices.known is None
    devices.configure(Config(team=Team(devices=["cuda:1", "cpu"])))
    devices.look()
    devices.configure(Config(team=Team(kinds=["verify"])))
    assert told == [None, ("cuda:1", "cpu"), ()]
