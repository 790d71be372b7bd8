"""How many connections are used, on networks made of arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from modelhub.transfer.ramp import Ramp


def simulate(
    ramp: Ramp, seconds: float, speed: Callable[[int], float], start: float = 0.0
) -> list[int]:
    """The wanted connections at each tick of 50 ms."""
    now, received, wanted = start, 0.0, []
    while now < start + seconds:
        wanted.append(ramp.observe(now, int(received)))
        now += 0.05
        received += 0.05 * speed(ramp.wanted)
    return wanted


def test_all_connections_are_in_use_within_a_second_where_each_one_helps() -> None:
    wanted = simulate(Ramp(8, now=0.0), 1.0, lambda count: 40e6 * count)
    assert wanted[-1] == 8


def test_one_connection_is_enough_where_more_bring_nothing() -> None:
    wanted = simulate(Ramp(8, now=0.0), 4.0, lambda count: 100e6)
    assert max(wanted) == 2
    assert wanted[-1] == 1
    assert wanted.count(2) < 10


def test_it_stops_where_the_line_is_full() -> None:
    wanted = simulate(Ramp(16, now=0.0), 4.0, lambda count: min(30e6 * count, 100e6))
    assert wanted[-1] == 4


def test_never_more_than_the_limit() -> None:
    assert max(simulate(Ramp(3, now=0.0), 10.0, lambda count: 1e6 * count)) == 3
    assert max(simulate(Ramp(1, now=0.0), 10.0, lambda count: 1e6 * count)) == 1


def test_a_slow_start_of_the_network_is_given_another_try() -> None:
    ramp = Ramp(8, now=0.0)
    assert simulate(ramp, 3.0, lambda count: 1e6)[-1] == 1
    assert simulate(ramp, 9.0, lambda count: 1e6 * count, start=3.0)[-1] == 8


def test_a_refusing_server_is_not_asked_for_more() -> None:
    ramp = Ramp(8, now=0.0)
    simulate(ramp, 2.0, lambda count: 1e6 * count)
    ramp.refused(3)
    assert max(simulate(ramp, 30.0, lambda count: 1e6 * count, start=2.0)) == 3


def test_no_more_connections_when_the_bandwidth_limit_is_reached() -> None:
    ramp = Ramp(8, now=0.0, rate_limit=1_000_000)
    assert max(simulate(ramp, 5.0, lambda count: min(1e6, 9e5 * count))) <= 2


def test_nothing_is_concluded_from_silence() -> None:
    assert set(simulate(Ramp(8, now=0.0), 3.0, lambda count: 0.0)) == {1}
