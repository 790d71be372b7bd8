"""What is damaged or made to exhaust is refused, in bounded time and memory."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats.pickles import Held, Machine, machine
from modelhub.formats.pickles.machine import MAX_OPCODES
from tests.patience import SOON


class Endless:
    """A pickle that goes on for a terabyte, made as it is read."""

    size = 1 << 40
    origin = 0

    def __init__(self, before: bytes, again: bytes) -> None:
        self._before = before
        self._again = again

    def read(self, offset: int, count: int) -> bytes:
        before = self._before[offset : offset + count]
        start = max(0, offset - len(self._before)) % len(self._again)
        repeated = self._again * (count // len(self._again) + 2)
        return (before + repeated[start:])[:count]


ENDLESS = {
    "nothing": (b"", b"N0"),
    "lists": (b"N", b"]"),
    "dicts": (b"N", b"}NNs"),
    "one in the other": (b"]", b"\x85"),
    "numbers": (b"N", b"J\xff\xff\xff\x7f"),
    "floats": (b"N", b"G@\x11\x11\x11\x11\x11\x11\x11"),
    "texts": (b"N", b"X\x05\x00\x00\x00\xf0\x9f\x98\x80a"),
    "long texts": (b"N", b"X\x00\x00\x08\x00" + b"x" * (1 << 19)),
    "sets": (b"N", b"\x8f"),
    "marks": (b"N", b"("),
    "the memo": (b"]", b"\x94"),
    "calls": (b"N", b"\x88\x88R"),
    "persistent ids": (b"N", b"\x88Q"),
    "copies": (b"]", b"2"),
    "states": (b"N", b"K\x01b"),
    "huge numbers": (b"N", b"\x8a\xff" + b"\x7f" * 255),
    "appended": (b"]", b"Na"),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_pickle_without_end_is_refused_in_bounded_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tenth of each bound, and so of the time; the test of opcodes below keeps to the true ones.
    for bound in ("MAX_OPCODES", "MAX_MEMORY", "MAX_READ"):
        monkeypatch.setattr(machine, bound, getattr(machine, bound) // 10)
    started = time.monotonic()
    with pytest.raises(FormatError, match=r"a pickle of (more than|too many)"):
        Machine(Endless(*ENDLESS[kind])).load()
    # A fifth of a second on an idle machine; tests share theirs.
    assert time.monotonic() - started < SOON


_MEASURE = """
import resource, sys
from modelhub.errors import FormatError
from modelhub.formats.pickles import Machine
from tests.formats.pickles.test_bounds import ENDLESS, Endless
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Machine(Endless(*ENDLESS[sys.argv[1]])).load()
except FormatError:
    unit = 1 if sys.platform == "darwin" else 1024
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit >> 20)
"""


@pytest.mark.parametrize("kind", ["lists", "texts", "long texts", "numbers", "marks"])
def test_a_pickle_without_end_takes_bounded_memory(kind: str) -> None:
    command = [sys.executable, "-c", _MEASURE, kind]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert int(ran.stdout) < 180


def test_a_hundred_million_opcodes_are_refused() -> None:
    data = Endless(b"\x80\x02", b"N0")
    data.size = 100_000_000
    endless = Machine(data)
    with pytest.raises(FormatError, match="opcodes"):
        endless.load()
    assert endless.opcodes < MAX_OPCODES * 1.01


def test_the_bounds_hold_for_all_pickles_of_a_file_together() -> None:
    endless = Machine(Endless(b"", b"N" * 1000 + b"0" * 999 + b"."))

    def load_all() -> None:
        while True:
            endless.load()

    with pytest.raises(FormatError, match=r"too many|opcodes"):
        load_all()
    assert endless.opcodes < MAX_OPCODES * 1.01


def test_nesting_deeper_than_any_stack_is_no_matter() -> None:
    deep = Machine(Held(b"]" + b"\x85" * 500_000 + b".")).load()
    assert isinstance(deep, tuple)
    key = b"}]" + b"\x85" * 500_000 + b"Ns."
    assert isinstance(Machine(Held(key)).load(), dict)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_is_cut_off_anywhere_is_refused(protocol: int) -> None:
    whole = pickle.dumps({"a": [1, 2.5, "text", None, True], "b": (1 << 70, "x" * 300)}, protocol)
    for length in range(len(whole)):
        with pytest.raises(FormatError) as caught:
            Machine(Held(whole[:length])).load()
        assert caught.value.offset <= length


@pytest.mark.parametrize(
    "opcodes",
    [
        b"",
        b".",
        b"0.",
        b"1.",
        b"t.",
        b"R.",
        b"NR.",
        b"a.",
        b"Na.",
        b"]e.",
        b"}Ns.",
        b"(NNu.",
        b"}(Nu.",
        b"N(NNu.",
        b"N(Ne.",
        b"h\x07.",
        b"g7\n.",
        b"g-1\n.",
        b"Np-1\n.",
        b"\x80\x06N.",
        b"\x82\x00.",
        b"\x84\xff\xff\xff\xff.",
        b"I12x\n.",
        b"F1.x\n.",
        b"L" + b"9" * 5000 + b"x\n.",
        b"\x8b\xff\xff\xff\xff.",
        b"\x8b\x00\x00\x00\x7f.",
        b"T\xff\xff\xff\xff.",
        b"X\xff\xff\xff\xff.",
        b"\x8d" + b"\xff" * 8 + b".",
        b"\x8e" + b"\xff" * 7 + b"\x7f.",
        b"X\x02\x00\x00\x00\xff\xff.",
        b"Snot quoted\n.",
        b"S'\n.",
        b"V\\ud8\n.",
        b"c\xff\n\xff\n.",
        b"cos",
        b"c" + b"x" * 5000 + b"\ny\n.",
        b"\x98.",
        b"(o.",
        b"\x93.",
        b"VaVb\x93.",
        b"]NNs.",
        b"]K\x05Ns.",
        b"\xff",
    ],
)
def test_opcodes_that_make_no_sense_are_refused_with_their_place(opcodes: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        Machine(Held(opcodes, origin=100)).load()
    assert 100 <= caught.value.offset <= 100 + len(opcodes)


@given(st.binary(max_size=2000))
def test_any_bytes_get_a_value_or_a_format_error(data: bytes) -> None:
    try:
        Machine(Held(data)).load()
    except FormatError as error:
        assert 0 <= error.offset <= len(data)  # noqa: PT017 - some bytes are a pickle


_OPCODES = st.lists(
    st.sampled_from(
        [b"N", b"]", b"}", b"(", b")", b"t", b"l", b"d", b"0", b"1", b"2", b"a", b"e", b"s", b"u",
         b"K\x01", b"\x94", b"h\x00", b"h\x01", b"q\x00", b"R", b"b", b"o", b"Q", b"\x85", b"\x86",
         b"\x87", b"\x8f", b"\x90", b"\x91", b"\x92", b"\x93", b"\x81", b"cos\nsystem\n", b"Va\n",
         b"ia\nb\n", b"P1\n", b"\x97", b"\x98", b"U\x01a", b"."]
    ),
    max_size=60,
)  # fmt: skip


@given(_OPCODES)
def test_any_row_of_opcodes_gets_a_value_or_a_format_error(opcodes: list[bytes]) -> None:
    try:
        Machine(Held(b"".join(opcodes) + b".")).load()
    except FormatError as error:
        assert error.offset >= 0  # noqa: PT017 - some rows are a pickle
