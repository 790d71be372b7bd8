"""The plain values that references are read into, and the checks that their readers share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from modelhub.errors import MalformedReference

MAX_ID: Final = 2**31 - 1
"""Civitai's ids are PostgreSQL `int4`."""

_SHOWN = 100


class HashKind(StrEnum):
    """The hashes that Civitai publishes, by its own names."""

    SHA256 = "SHA256"
    BLAKE3 = "BLAKE3"
    AUTOV1 = "AutoV1"
    AUTOV2 = "AutoV2"
    AUTOV3 = "AutoV3"
    CRC32 = "CRC32"


HASH_DIGITS: Final = {
    HashKind.SHA256: 64,
    HashKind.BLAKE3: 64,
    HashKind.AUTOV3: 12,
    HashKind.AUTOV2: 10,
    HashKind.CRC32: 8,
    HashKind.AUTOV1: 8,
}
"""The length of each hash, in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class FileWish:
    """Which of a version's files is wanted; None leaves it open. Values are Civitai's own words."""

    file_id: int | None = None
    type: str | None = None
    format: str | None = None
    fp: str | None = None
    size: str | None = None
    quant_type: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing at all is asked for."""
        return self == FileWish()


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model, and maybe one version of it."""

    model_id: int
    version_id: int | None = None
    file: FileWish = FileWish()


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version whose model was not named.

    `name` is what stood before `(428028)`, else empty. Some lists print the model's id there; with
    the name a caller can tell which one was meant.
    """

    version_id: int
    file: FileWish = FileWish()
    name: str = ""


@dataclass(frozen=True, slots=True)
class HashRef:
    """The content of a file: upper-case hexadecimal, and the kinds of hash that it may be."""

    value: str
    kinds: tuple[HashKind, ...]


Reference: TypeAlias = ModelRef | VersionRef | HashRef

_NUMBER = re.compile(r"[0-9]+")
_HEX = re.compile(r"[0-9a-fA-F]+")


def hash_reference(text: str, *, kind: HashKind | None = None, shown: str = "") -> HashRef:
    """A hash as typed, its kind told from its length unless `kind` says it.

    :raises MalformedReference: it is not hexadecimal, or of no published hash's length.
    """
    kinds = tuple(
        candidate
        for candidate, digits in HASH_DIGITS.items()
        if digits == len(text) and kind in (None, candidate)
    )
    if kinds and _HEX.fullmatch(text):
        return HashRef(text.upper(), kinds)
    if kind:
        raise MalformedReference(
            f"{quoted(shown or text)} is no {kind}",
            hint=f"a {kind} has {HASH_DIGITS[kind]} hexadecimal digits",
        )
    raise MalformedReference(
        f"{quoted(shown or text)} is no hash that Civitai publishes",
        hint="a SHA256 or BLAKE3 has 64 hexadecimal digits, AutoV3 12, AutoV2 10, CRC32 8",
    )


def checked_id(digits: str, *, shown: str) -> int:
    """`digits` as an id of Civitai's.

    :param shown: the whole reference, for the error.
    :raises MalformedReference: no digits, zero, or larger than Civitai's ids can be.
    """
    if not _NUMBER.fullmatch(digits):
        raise MalformedReference(f"{quoted(shown)}: {quoted(digits)} is no id: digits are")
    # The length first: int() of thousands of digits is slow, and refused by Python beyond 4300.
    significant = digits.lstrip("0")
    number = int(significant) if 0 < len(significant) <= 10 else 0
    if not 0 < number <= MAX_ID:
        raise MalformedReference(
            f"{quoted(shown)}: no id on Civitai is {significant[:20] or 0}",
            hint=f"ids are between 1 and {MAX_ID}",
        )
    return number


def quoted(text: str) -> str:
    """`text` for an error message: one line, of bounded length, without a URL's secrets."""
    bare = text.strip()
    if "/" in bare:
        bare = re.sub(r"^([a-zA-Z][\w+.-]*:)?//[^/?#]*@", r"\1//", bare)
        bare = re.split(r"[?#]", bare, maxsplit=1)[0]
    if len(bare) > _SHOWN:
        bare = bare[:_SHOWN] + "…"
    return "“" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in bare) + "”"
