"""The hashes of model files, checked against other implementations of each."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import threading
import zlib
from pathlib import Path

import blake3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import Cancelled
from modelhub.formats.hashes import ALL_HASHES, ContentHashes, MultiHasher, hash_file


def safetensors_bytes(body: bytes, note: str = "") -> bytes:
    header = json.dumps(
        {
            "__metadata__": {"note": note},
            "t": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]},
        }
    ).encode()
    return len(header).to_bytes(8, "little") + header + body


def a1111_model_hash(path: Path) -> str:
    """What A1111's `model_hash` computes, written from its description."""
    with path.open("rb") as file:
        file.seek(0x100000)
        return hashlib.sha256(file.read(0x10000)).hexdigest()[:8].upper()


def hashes_of(data: bytes, kinds: frozenset[str] = ALL_HASHES) -> ContentHashes:
    with MultiHasher(kinds) as hasher:
        hasher.update(data)
        return hasher.result()


@pytest.fixture(scope="module")
def noise() -> bytes:
    return hashlib.shake_256(b"noise").digest(9_000_000)


def test_all_hashes_of_a_safetensors_file_agree_with_their_definitions(
    tmp_path: Path, noise: bytes
) -> None:
    data = safetensors_bytes(noise)
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)

    found = hash_file(path)

    assert found.sha256 == hashlib.sha256(data).hexdigest().upper()
    assert found.autov2 == found.sha256[:10]
    assert found.blake3 == blake3.blake3(data).hexdigest().upper()
    assert found.crc32 == f"{zlib.crc32(data):08X}"
    assert found.autov1 == a1111_model_hash(path)
    assert found.autov3 == hashlib.sha256(noise).hexdigest()[:12].upper()


def test_sha256_agrees_with_coreutils(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(noise)
    told = subprocess.run(
        ["sha256sum", str(path)], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert hash_file(path, {"sha256"}).sha256 == told.upper()


def test_autov3_survives_an_edit_of_the_metadata_and_sha256_does_not(noise: bytes) -> None:
    before = hashes_of(safetensors_bytes(noise, note="as published"))
    after = hashes_of(safetensors_bytes(noise, note="with a thumbnail added by a tool"))
    assert before.autov3 == after.autov3
    assert before.sha256 != after.sha256


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 1_300_000), max_size=12))
def test_how_the_bytes_are_cut_changes_nothing(cuts: list[int]) -> None:
    data = safetensors_bytes(hashlib.shake_256(b"cut").digest(1_200_000))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    with MultiHasher() as hasher:
        for start, end in itertools.pairwise(edges):
            hasher.update(data[start:end])
        assert hasher.result() == hashes_of(data)
        assert hasher.size == len(data)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_short_file_has_hashes(data: bytes) -> None:
    found = hashes_of(data)
    assert found.sha256 == hashlib.sha256(data).hexdigest().upper()
    assert found.autov1 is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x08\x00\x00\x00", id="shorter than a header length"),
        pytest.param((1 << 63).to_bytes(8, "little") + b"{}", id="absurd header length"),
        pytest.param((5000).to_bytes(8, "little") + b"{}", id="header longer than the file"),
        pytest.param((2).to_bytes(8, "little") + b"{}", id="nothing behind the header"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="torch zip"),
        pytest.param((20).to_bytes(8, "little") + bytes(100), id="header that is no JSON"),
    ],
)
def test_what_is_no_safetensors_file_has_no_autov3(data: bytes) -> None:
    assert hashes_of(data).autov3 is None


def test_autov1_of_a_file_that_ends_in_its_window_is_that_of_a1111(
    tmp_path: Path, noise: bytes
) -> None:
    path = tmp_path / "short.pt"
    path.write_bytes(noise[: 0x100000 + 77])
    assert hash_file(path).autov1 == a1111_model_hash(path)


@pytest.mark.parametrize("size", [0, 17_425, 0x100000])
def test_a_file_that_ends_before_the_window_of_autov1_has_none(noise: bytes, size: int) -> None:
    assert hashes_of(noise[:size]).autov1 is None


def test_only_what_was_asked_for_is_computed() -> None:
    found = hashes_of(b"abc", frozenset({"crc32"}))
    assert found.crc32 == "352441C2"
    assert found.sha256.startswith("BA7816BF")
    assert (found.blake3, found.autov1, found.autov3) == (None, None, None)


def test_an_unknown_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="md5"):
        MultiHasher({"md5"})


def test_progress_ends_with_the_size_of_the_file(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(noise)
    seen: list[int] = []
    hash_file(path, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(noise)


def test_hashing_can_be_cancelled(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(noise)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        hash_file(path, cancel=cancel)
