"""Any bytes end in a report, and no change behind a payload makes it safe."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.errors import FileUnreadable
from modelhub.formats.scan import Verdict, scan_file
from tests.formats.scan.test_rules import scanned
from tests.hostile_files import Hostile, hostile_files, torch_zip
from tests.pickle_opcodes import EMPTY_DICT, pickled, proto, tensor_tree, text
from tests.pickle_tricks import TRICKS, Aim

_AIM = Aim("/nonexistent/canary")
_QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
_PREFIX = proto(2) + _AIM.system
_FILES = {trick.name: trick.make(_AIM) for trick in TRICKS if trick.name != "bomb"}


@_QUICK
@given(st.binary(max_size=400))
def test_whatever_follows_a_payload_the_file_is_dangerous(rest: bytes) -> None:
    assert scanned(_PREFIX + rest).verdict is Verdict.DANGEROUS


@_QUICK
@given(st.binary(max_size=300))
def test_any_bytes_give_a_report(data: bytes) -> None:
    assert scanned(data).verdict in Verdict


@_QUICK
@given(st.sampled_from(sorted(_FILES)), st.integers(0, 2**32))
def test_any_damaged_trick_gives_a_report(name: str, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(_FILES[name])
    for _ in range(chance.randrange(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    cut = chance.randrange(len(data) + 1) if chance.random() < 0.3 else len(data)
    assert scanned(bytes(data[:cut]) + chance.randbytes(chance.randrange(9))).verdict in Verdict


@_QUICK
@given(st.integers(0, 2**32))
def test_a_mangled_archive_with_a_payload_is_never_safe(seed: int) -> None:
    """Whatever is done to its headers: the bytes of the pickle are left as they are."""
    chance = random.Random(seed)
    tree = tensor_tree(_AIM.system, b"0")
    data = bytearray(torch_zip({"m/extra.bin": tree}))
    start = bytes(data).index(tree)
    inside = range(start, start + len(tree))
    for _ in range(chance.randrange(1, 20)):
        at = chance.randrange(4, len(data))
        if at not in inside:
            data[at] = chance.randrange(256)
    report = scanned(bytes(data))
    if report.verdict is Verdict.SAFE:
        pytest.fail(f"seed {seed}: {report}")


@_QUICK
@given(st.integers(0, 2**32))
def test_an_honest_file_is_safe_or_is_not_but_never_dangerous_when_damaged(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(torch_zip())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    report = scanned(bytes(data))
    names = [one.path for one in report.findings]
    assert report.verdict is not Verdict.SAFE or names


def test_random_numbers_are_no_pickle() -> None:
    """The storages of a checkpoint begin with anything."""
    chance = random.Random(0)
    for _ in range(3000):
        report = scanned(chance.randbytes(64))
        assert report.verdict is Verdict.SAFE, report


_SLOW_TO_WRITE = {"bomb.ckpt", "a million tensors.safetensors"}


@pytest.mark.parametrize(
    "hostile",
    [one for one in hostile_files() if one.name not in _SLOW_TO_WRITE],
    ids=lambda one: one.name,
)
def test_hostile_files_end_in_bounded_time(hostile: Hostile, tmp_path: Path) -> None:
    path = tmp_path / hostile.name
    hostile.write(path)
    began = time.process_time()
    scan_file(path)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "endless",
    [
        pickled(EMPTY_DICT) * 50_000,
        proto(2) + b"]" * 400_000 + b"a" * 399_999 + b".",
        proto(2) + b"(" * 400_000,
        proto(2) + b"]q\0" + b"h\0a" * 200_000 + b".",
        proto(2) + text("x" * 1000) + b"2" * 300_000 + b"t.",
        b"N" + b"\x85" * 300_000 + b".",
        b"PK\3\4" * 50_000,
        b"PK\3\4" + bytes(26) * 40_000,
    ],
    ids=["row", "nested", "marks", "memo", "copies", "tuples", "headers", "zeroes"],
)
def test_what_would_never_end_ends(endless: bytes) -> None:
    began = time.process_time()
    assert scanned(endless).verdict in Verdict
    assert time.process_time() - began < 5


def test_a_file_that_is_not_there_or_no_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.ckpt"):
        with pytest.raises(FileUnreadable, match=str(path)):
            scan_file(path)


def test_a_sparse_file_of_zeroes_is_scanned_at_once(tmp_path: Path) -> None:
    path = tmp_path / "zeroes.ckpt"
    with path.open("wb") as file:
        file.truncate(64 << 30)
    began = time.process_time()
    assert scan_file(path).pickles == 0
    assert time.process_time() - began < 1
