"""Compares what was computed with what was published.

The strongest published hash is the proof, in this order: SHA256 and BLAKE3, both beyond doubt;
AutoV2 (40 bits of the SHA256) and CRC32 (32 bits), which cover every byte; AutoV3 (48 bits), which
leaves out the header of a safetensors file. AutoV1 covers 64 KiB and proves nothing, but its
mismatch does. When SHA256 or BLAKE3 fits, a differing weaker hash is an error of the publisher.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from modelhub.errors import HashMismatch, SizeMismatch
from modelhub.formats.hashes import NOTHING, ContentHashes
from modelhub.transfer.model import Expected

_LENGTHS = {"SHA256": 64, "BLAKE3": 64, "AutoV2": 10, "CRC32": 8, "AutoV3": 12, "AutoV1": 8}
_CERTAIN = frozenset({"SHA256", "BLAKE3"})
_SIZE_ROUNDING = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """The proof of a content: which hash, and what the user should know besides."""

    verified_by: str | None
    remarks: tuple[str, ...]


def published_hashes(expected: Expected) -> dict[str, str]:
    """The usable published hashes by name, strongest first, in upper case.

    What is no hash of its kind is left out, and so is the hash of nothing that some tools write.
    """
    found = {}
    for name, length in _LENGTHS.items():
        value = (getattr(expected, name.lower()) or "").strip().upper()
        if name == "AutoV3":
            value = value[:length]
        if len(value) != length or not set(value) <= set(string.hexdigits):
            continue
        if name.startswith("Auto") and value == NOTHING[:length]:
            continue
        found[name] = value
    return found


def needed_kinds(expected: Expected, extra: frozenset[str]) -> frozenset[str]:
    """The hashes to compute: `extra`, and what the proof needs."""
    names = list(published_hashes(expected))
    if not names or names[0] == "SHA256":
        return extra
    # Without SHA256, everything published is compared.
    return extra | {name.lower() for name in names} - {"autov2"}


def check_announced_size(expected: Expected, announced: int, name: str) -> str | None:
    """Compare the published size with what the server announces; a remark when they differ.

    :raises SizeMismatch: they differ, and no hash could prove the file.
    """
    if expected.size is None:
        return None
    slack = 0 if expected.size_is_exact else _SIZE_ROUNDING
    if abs(expected.size - announced) <= slack:
        return None
    if not published_hashes(expected):
        raise SizeMismatch(
            f"{name}: {expected.size} bytes were published, the server has {announced}",
            hint="no hash was published that could prove the file",
        )
    return f"the published size is {expected.size} bytes, the server has {announced}"


def verify(computed: ContentHashes, expected: Expected, name: str) -> Verdict:
    """Check a content against what was published.

    :raises HashMismatch: it is another one.
    """
    published = published_hashes(expected)
    remarks: list[str] = []
    proof: str | None = None
    for kind, value in published.items():
        got: str | None = getattr(computed, kind.lower())
        if got is None:
            continue
        if got == value:
            proof = proof or (kind if kind != "AutoV1" else None)
        elif proof in _CERTAIN:
            remarks.append(f"{kind} was published as {value[:12]} and is {got[:12]}; {proof} fits")
        else:
            raise HashMismatch(
                f"{name}: {kind} should be {value[:12]} and is {got[:12]}",
                hint="the download was removed; pull again, and if it stays so, tell its creator",
            )
    if proof is None:
        known = "only AutoV1, which covers 64 KiB, was" if "AutoV1" in published else "no hash was"
        remarks.append(f"{known} published: not verified; its SHA256 is {computed.sha256}")
    return Verdict(proof, tuple(remarks))
