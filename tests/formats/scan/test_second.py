"""Picklescan as a second opinion, in a process of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from modelhub.formats.scan import Rank, Verdict, scan_file, second_opinion
from modelhub.formats.scan.second import Difference, differences
from modelhub.formats.scan.second import second_opinion as asked
from tests.pickle_opcodes import calls, pickled, text

DATA = Path(__file__).parents[2] / "data"

needs_picklescan = pytest.mark.skipif(
    importlib.util.find_spec("picklescan") is None, reason="picklescan is not installed"
)


@needs_picklescan
def test_both_agree_on_a_plain_attack() -> None:
    path = DATA / "pickles" / "malicious8.pkl"
    opinion = second_opinion(path)
    assert opinion is not None
    assert opinion.verdict is Verdict.DANGEROUS
    assert differences(scan_file(path), opinion) == ()


@needs_picklescan
def test_a_difference_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickled(calls("marshal", "loads", text("x"))))
    opinion = second_opinion(path)
    assert opinion is not None
    assert opinion.verdict is Verdict.SUSPICIOUS
    told = differences(scan_file(path), opinion)
    assert told == (Difference("marshal", "loads", Rank.DANGEROUS, Rank.SUSPICIOUS),)


@needs_picklescan
def test_a_failure_of_picklescan_is_an_opinion_without_a_verdict(tmp_path: Path) -> None:
    opinion = second_opinion(tmp_path / "none.pkl")
    assert opinion is not None
    assert opinion.verdict is None
    assert "picklescan failed" in opinion.fault


@needs_picklescan
def test_picklescan_may_take_no_longer_than_the_limit() -> None:
    opinion = asked(DATA / "torch" / "zip.pt", time_limit=0.001)
    assert opinion is not None
    assert opinion.verdict is None
    assert "more than 0.001 seconds" in opinion.fault


def test_without_picklescan_there_is_no_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert second_opinion(DATA / "torch" / "zip.pt") is None
