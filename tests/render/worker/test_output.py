"""The last lines of a process's output: bounded, whatever it writes."""

from __future__ import annotations

import os

from modelhub.render.worker.output import LastLines


def kept(*written: bytes) -> tuple[str, ...]:
    reading, writing = os.pipe()
    lines = LastLines(reading)
    for one in written:
        os.write(writing, one)
    os.close(writing)
    return lines.lines(wait=10)


def test_lines_are_kept_in_their_order_with_the_one_that_was_not_ended() -> None:
    assert kept(b"one\ntw", b"o\n\nthree") == ("one", "two", "three")


def test_a_progress_bar_is_lines_too() -> None:
    assert kept(b" 10%|#\r 20%|##\r\n") == (" 10%|#", " 20%|##")


def test_of_very_many_lines_the_last_are_kept() -> None:
    lines = kept(*(b"line %d\n" % number for number in range(5000)))
    assert lines[-1] == "line 4999"
    assert len(lines) == 200


def test_a_line_without_end_is_cut() -> None:
    (line,) = kept(*[b"x" * 65536] * 64)
    assert line == "x" * 500


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert kept(b"\xff\xfe!\n") == ("\ufffd\ufffd!",)
