"""The set of ranges, against a plain set of numbers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelhub.transfer.ranges import RangeSet

SIZE = 40
edges = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted)
steps = st.lists(st.tuples(st.booleans(), edges), max_size=25)


@given(steps, edges)
def test_it_holds_what_a_set_of_numbers_would(
    taken: list[tuple[bool, list[int]]], asked: list[int]
) -> None:
    ranges, model = RangeSet(), set[int]()
    for adds, (start, end) in taken:
        if adds:
            ranges.add(start, end)
            model |= set(range(start, end))
        else:
            ranges.remove(start, end)
            model -= set(range(start, end))
    assert {n for start, end in ranges for n in range(start, end)} == model
    assert ranges.size == len(model)
    found = list(ranges)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
    start, end = asked
    assert ranges.overlaps(start, end) == bool(model & set(range(start, end)))
    missing = [n for n in range(start, end) if n not in model]
    gap = ranges.first_gap(start, end)
    if not missing:
        assert gap is None
    else:
        assert gap is not None
        assert gap[0] == missing[0]
        assert set(range(*gap)) <= set(missing)
        assert gap[1] == end or gap[1] in model
    run = start
    while run in model:
        run += 1
    assert ranges.run_end(start) == run


def test_a_copy_is_independent() -> None:
    ranges = RangeSet([(0, 5)])
    twin = ranges.copy()
    twin.add(5, 9)
    assert list(ranges) == [(0, 5)]
    assert list(twin) == [(0, 9)]
