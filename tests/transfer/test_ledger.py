"""Who fetches which bytes: all of them, once, and in the order of the file."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.transfer.journal import Extent
from modelhub.transfer.ledger import MIN_SHARE, STALE_AFTER, Claim, Ledger

MIB = 1 << 20


def extent(offset: int, length: int) -> Extent:
    return Extent(offset, length, bytes(16))


def receive(ledger: Ledger, claim: Claim, count: int) -> int:
    granted = ledger.take(claim, count)
    ledger.wrote(claim, granted)
    return granted


@settings(max_examples=150, deadline=None)
@given(
    total=st.integers(1, 40),
    stored=st.lists(st.tuples(st.integers(0, 39), st.integers(1, 9)), max_size=3),
    choices=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=60),
)
def test_every_byte_is_fetched_once_however_the_connections_take_turns(
    total: int, stored: list[tuple[int, int]], choices: list[tuple[int, int]]
) -> None:
    kept: list[Extent] = []
    for offset, length in stored:
        fits = offset + length <= total
        if fits and all(offset >= e.end or offset + length <= e.offset for e in kept):
            kept.append(extent(offset, length))
    ledger = Ledger(total, kept)
    got = [False] * total
    for one in kept:
        got[one.offset : one.end] = [True] * one.length
    held: dict[int, Claim] = {}
    turn = 0
    while not all(got):
        who, count = choices[turn % len(choices)]
        turn += 1
        claim = held.get(who)
        if claim is None or claim.left == 0:
            if claim is not None:
                ledger.release(held.pop(who))
            claim = ledger.claim(count)
            if claim is None:
                who = next(iter(held))
                claim = held[who]
            held[who] = claim
        start = claim.taken
        for n in range(start, start + receive(ledger, claim, count)):
            assert not got[n]
            got[n] = True
    assert ledger.all_present
    assert ledger.present == total


def test_claims_come_in_the_order_of_the_file() -> None:
    ledger = Ledger(100)
    claims = [ledger.claim(30) for _ in range(4)]
    assert [(c.taken, c.end) for c in claims if c] == [(0, 30), (30, 60), (60, 90), (90, 100)]


def test_bytes_that_came_and_are_not_written_yet_belong_to_their_claim() -> None:
    ledger = Ledger(100)
    claim = ledger.claim(50)
    assert claim is not None
    ledger.take(claim, 50)
    other = ledger.claim(100)
    assert other is not None
    assert other.taken == 50


def test_what_a_failed_connection_left_is_the_next_to_be_fetched() -> None:
    ledger = Ledger(100)
    first, _second = ledger.claim(30), ledger.claim(30)
    assert first is not None
    receive(ledger, first, 10)
    ledger.release(first)
    again = ledger.claim(30)
    assert again is not None
    assert (again.taken, again.end) == (10, 30)


def test_an_idle_connection_takes_half_of_the_largest_rest() -> None:
    ledger = Ledger(8 * MIN_SHARE)
    claim = ledger.claim(8 * MIN_SHARE)
    other = ledger.claim(MIN_SHARE)
    assert claim is not None
    assert other is not None
    assert (other.taken, other.end) == (4 * MIN_SHARE, 8 * MIN_SHARE)
    assert claim.end == 4 * MIN_SHARE
    assert ledger.take(claim, 8 * MIN_SHARE) == 4 * MIN_SHARE


def test_an_idle_connection_takes_all_from_a_silent_one() -> None:
    ledger = Ledger(1000)
    claim = ledger.claim(1000)
    assert claim is not None
    assert ledger.claim(1000) is None
    claim.heard -= STALE_AFTER + 1
    rescued = ledger.claim(1000)
    assert rescued is not None
    assert (rescued.taken, rescued.end) == (0, 1000)
    assert ledger.take(claim, 1000) == 0


def test_a_claim_goes_on_only_into_bytes_that_nobody_has() -> None:
    ledger = Ledger(100)
    first = ledger.claim(30)
    assert first is not None
    assert ledger.extend(first, 30)
    assert first.end == 60
    assert ledger.claim(20) is not None
    assert not ledger.extend(first, 30)


def test_fetching_waits_when_hashing_falls_behind_but_not_for_what_is_hashed_next() -> None:
    ledger = Ledger(1000, window=100)
    hole, ahead = ledger.claim(100), ledger.claim(100)
    assert hole is not None
    assert ahead is not None
    receive(ledger, ahead, 100)
    assert ledger.claim(100) is None
    ledger.release(hole)
    again = ledger.claim(100)
    assert again is not None
    assert again.taken == 0
    receive(ledger, again, 100)
    ledger.advance(200, fetched=200)
    assert ledger.claim(100) is not None


def test_bad_bytes_of_an_earlier_run_are_fetched_again() -> None:
    bad, good = extent(0, 50), extent(50, 50)
    ledger = Ledger(100, [bad, good])
    assert ledger.claim(100) is None
    assert ledger.next_to_hash(0) == bad
    ledger.checked(bad, good=False)
    claim = ledger.claim(100)
    assert claim is not None
    assert (claim.taken, claim.end) == (0, 50)
    ledger.checked(good, good=True)
    assert ledger.resumed == 50


def test_hashing_does_not_end_before_the_last_bytes_are_accounted_for() -> None:
    ledger = Ledger(100)
    claim = ledger.claim(100)
    assert claim is not None
    ledger.take(claim, 100)
    assert ledger.next_to_hash(100) == 100
    ledger.wrote(claim, 100)
    assert ledger.next_to_hash(100) is None


def test_the_end_of_a_file_of_unknown_size_makes_it_complete() -> None:
    ledger = Ledger(None)
    claim = ledger.claim(1 << 60)
    assert claim is not None
    receive(ledger, claim, 70)
    ledger.finish(70)
    assert ledger.all_present
    assert ledger.next_to_hash(70) is None
