"""What proves a content, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelhub.errors import HashMismatch, SizeMismatch
from modelhub.formats.hashes import MultiHasher
from modelhub.transfer.model import Expected
from modelhub.transfer.verify import (
    check_announced_size,
    needed_kinds,
    published_hashes,
    verify,
)

CONTENT = (60).to_bytes(8, "little") + b"{" + b" " * 58 + b"}" + b"weights" * 200_000

with MultiHasher() as hasher:
    hasher.update(CONTENT)
    COMPUTED = hasher.result()

ALL = Expected(
    sha256=COMPUTED.sha256,
    blake3=COMPUTED.blake3,
    crc32=COMPUTED.crc32,
    autov1=COMPUTED.autov1,
    autov2=COMPUTED.autov2,
    autov3=COMPUTED.autov3,
)
ORDER = ["SHA256", "BLAKE3", "AutoV2", "CRC32", "AutoV3"]


def test_the_strongest_published_hash_is_the_proof() -> None:
    expected = ALL
    for name in ORDER:
        assert verify(COMPUTED, expected, "m").verified_by == name
        changes: dict[str, Any] = {name.lower(): None}
        expected = replace(expected, **changes)


def test_hashes_are_compared_whatever_their_case() -> None:
    lower = Expected(sha256=COMPUTED.sha256.lower())
    assert verify(COMPUTED, lower, "m").verified_by == "SHA256"


@pytest.mark.parametrize("name", [*ORDER, "AutoV1"])
def test_a_differing_hash_alone_is_a_mismatch_that_names_both(name: str) -> None:
    wrong: dict[str, Any] = {name.lower(): "0" * len(getattr(ALL, name.lower()))}
    with pytest.raises(HashMismatch, match=rf"m\.ckpt: {name} should be 0000\w* and is \w+"):
        verify(COMPUTED, Expected(**wrong), "m.ckpt")


def test_a_weaker_hash_that_differs_beside_a_proof_is_only_remarked() -> None:
    verdict = verify(COMPUTED, replace(ALL, crc32="00000000"), "m")
    assert verdict.verified_by == "SHA256"
    assert "CRC32" in verdict.remarks[0]


def test_two_weak_hashes_must_both_fit() -> None:
    with pytest.raises(HashMismatch, match="CRC32"):
        verify(COMPUTED, Expected(autov2=COMPUTED.autov2, crc32="00000000"), "m")


def test_without_any_hash_the_computed_one_is_told() -> None:
    verdict = verify(COMPUTED, Expected(), "m")
    assert verdict.verified_by is None
    assert COMPUTED.sha256 in verdict.remarks[0]


def test_autov1_alone_proves_nothing() -> None:
    assert verify(COMPUTED, Expected(autov1=COMPUTED.autov1), "m").verified_by is None


def test_what_is_no_hash_is_not_compared() -> None:
    odd = Expected(sha256="abc", autov2="not hex!!!", autov3="E3B0C44298FC", crc32=" ")
    assert published_hashes(odd) == {}


def test_a_long_autov3_is_compared_by_its_beginning() -> None:
    assert COMPUTED.autov3 is not None
    verdict = verify(COMPUTED, Expected(autov3=COMPUTED.autov3 + "0" * 52), "m")
    assert verdict.verified_by == "AutoV3"


def test_only_what_the_proof_needs_is_computed_beside_what_is_wanted() -> None:
    assert needed_kinds(ALL, frozenset({"crc32"})) == {"crc32"}
    without = replace(ALL, sha256=None)
    assert needed_kinds(without, frozenset()) == {"blake3", "crc32", "autov1", "autov3"}
    assert needed_kinds(Expected(), frozenset()) == set()


def test_a_differing_size_is_a_remark_when_a_hash_can_prove_the_file() -> None:
    assert check_announced_size(replace(ALL, size=10, size_is_exact=True), 11, "m")
    assert check_announced_size(replace(ALL, size=11, size_is_exact=True), 11, "m") is None


def test_a_differing_size_without_a_hash_is_an_error() -> None:
    with pytest.raises(SizeMismatch):
        check_announced_size(Expected(size=10, size_is_exact=True), 11, "m")
    assert check_announced_size(Expected(size=1500), 2000, "m") is None
    with pytest.raises(SizeMismatch):
        check_announced_size(Expected(size=1500), 3000, "m")
