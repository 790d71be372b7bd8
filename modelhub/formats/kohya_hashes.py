"""The hashes that kohya's trainer wrote into a LoRA, checked against its tensors.

``sshs_model_hash`` is the SHA256 of the data behind the header (``kohya-ss/sd-scripts``,
``library/train_util.py``, ``addnet_hash_safetensors``): AutoV3 is its start. ``sshs_legacy_hash``
is computed like AutoV1 (``addnet_hash_legacy``: 0x10000 bytes from 0x100000 on), but of the file
as it would be with no metadata other than those whose names begin with ``ss_``
(``precalculate_safetensors_hashes``). To check it, the length of that header is computed again;
it shifts the data that are hashed.

A legacy hash that differs where the other agrees tells of metadata that were edited, not of damage.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from modelhub.errors import FileUnreadable
from modelhub.formats.hashes import AUTOV1_LENGTH, AUTOV1_START, NOTHING
from modelhub.formats.tensors import FileFormat, Header

MODEL_HASH: Final = "sshs_model_hash"
LEGACY_HASH: Final = "sshs_legacy_hash"


@dataclass(frozen=True, slots=True)
class Claim:
    """A hash of the tensors out of the metadata of a file.

    :param name: its key in the metadata.
    :param claimed: as written there, in upper case.
    :param agrees: None where it cannot be checked.
    :param remark: why it cannot, or what its difference means; or empty.
    """

    name: str
    claimed: str
    agrees: bool | None
    remark: str = ""

    @property
    def verdict(self) -> str:
        """``agrees``, ``differs`` or ``not checked``, with the remark."""
        word = {True: "agrees", False: "differs", None: "not checked"}[self.agrees]
        return f"{word}: {self.remark}" if self.remark else word


def check_claims(path: Path, header: Header, data_sha256: str | None) -> tuple[Claim, ...]:
    """What becomes of the hashes that the metadata of `header` claim; empty where there are none.

    :param path: of the file that `header` was read from.
    :param data_sha256: the SHA256 of its data, as computed.
    :raises FileUnreadable: the file cannot be read any more.
    """
    if header.format is not FileFormat.SAFETENSORS:
        return ()
    claims: list[Claim] = []
    if MODEL_HASH in header.metadata:
        claims.append(_model_claim(_written(header.metadata[MODEL_HASH]), data_sha256))
    if LEGACY_HASH in header.metadata:
        whole = next((claim.agrees for claim in claims), None)
        claims.append(_legacy_claim(path, header, _written(header.metadata[LEGACY_HASH]), whole))
    return tuple(claims)


def _written(text: str) -> str:
    return text.strip().removeprefix("0x").upper()[:64]


def _model_claim(claimed: str, data_sha256: str | None) -> Claim:
    if not claimed or NOTHING.startswith(claimed):
        return Claim(MODEL_HASH, claimed, None, "it is the hash of nothing")
    if data_sha256 is None:
        return Claim(MODEL_HASH, claimed, None, "the file has no data")
    agrees = claimed == data_sha256
    return Claim(
        MODEL_HASH,
        claimed,
        agrees,
        "" if agrees else "the tensors were changed after training, or are damaged",
    )


def _legacy_claim(path: Path, header: Header, claimed: str, whole: bool | None) -> Claim:
    if not claimed or NOTHING.startswith(claimed):
        return Claim(LEGACY_HASH, claimed, None, "it is the hash of nothing")
    length = _trained_header_length(header)
    # safetensors before 0.3 did not fill the header up to a multiple of eight.
    for start in dict.fromkeys((8 + length + -length % 8, 8 + length)):
        behind = AUTOV1_START - start + header.data_start
        if behind < header.data_start:
            return Claim(LEGACY_HASH, claimed, None, "the header reaches into what it covers")
        if hashlib.sha256(_window(path, behind)).hexdigest()[:8].upper() == claimed[:8]:
            return Claim(LEGACY_HASH, claimed, True)
    remark = "the metadata were edited after training" if whole else ""
    return Claim(LEGACY_HASH, claimed, False, remark)


def _trained_header_length(header: Header) -> int:
    """How long the header was when only the trainer's own metadata were in it."""
    own = {key: value for key, value in header.metadata.items() if key.startswith("ss_")}
    document: Mapping[str, object] = {"__metadata__": own} | dict(header.tensors)
    return len(msgspec.json.encode(document))


def _window(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            return os.pread(file.fileno(), AUTOV1_LENGTH, offset)
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror}") from error
