"""Sidecars that other tools left beside a model: which there are, and what is in them.

Nothing in them is trusted: a file is read up to :data:`MAX_BYTES`, must be a regular one, and
every value of another type than its tool writes is passed over. What a person wrote is told apart
from what a tool copied from Civitai (:mod:`modelhub.placement.sidecars.read_words`), and what a
sidecar says was published is a claim (:mod:`modelhub.placement.sidecars.read_claims`).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from modelhub.placement.previews import PREVIEW_SUFFIXES
from modelhub.placement.sidecars import read_claims, read_words
from modelhub.placement.sidecars.contract import Json
from modelhub.placement.sidecars.read_claims import Claim
from modelhub.placement.sidecars.read_words import LONGEST_NOTE, Words

MAX_BYTES = 32 << 20
"""A file larger than this is no sidecar, and is left alone."""


class Source(StrEnum):
    """Whose sidecar it is."""

    CIVITAI_INFO = "civitai.info"
    LORA_MANAGER = "lora-manager"
    STABILITY_MATRIX = "stability-matrix"
    A1111 = "a1111"
    TEXT = "text"
    DESCRIPTION = "description"
    MARKDOWN = "markdown"


SUFFIXES: Mapping[Source, str] = {
    Source.CIVITAI_INFO: ".civitai.info",
    Source.LORA_MANAGER: ".metadata.json",
    Source.STABILITY_MATRIX: ".cm-info.json",
    Source.A1111: ".json",
    Source.TEXT: ".txt",
    Source.DESCRIPTION: ".description.txt",
    Source.MARKDOWN: ".md",
}
"""What follows the stem of the model. The web UI of A1111 reads both forms of text
(`modules/ui_extra_networks.py`, `find_description`)."""

_NOTES = (Source.TEXT, Source.DESCRIPTION, Source.MARKDOWN)
_WORDS: Mapping[Source, Callable[[Json], Words]] = {
    Source.A1111: read_words.of_a1111,
    Source.LORA_MANAGER: read_words.of_lora_manager,
    Source.STABILITY_MATRIX: read_words.of_stability_matrix,
}
_CLAIMS: Mapping[Source, Callable[[Json], Claim | None]] = {
    Source.CIVITAI_INFO: read_claims.of_civitai_info,
    Source.LORA_MANAGER: read_claims.of_lora_manager,
    Source.STABILITY_MATRIX: read_claims.of_stability_matrix,
}


class NotASidecar(Exception):
    """What has the sidecar's name is none; the text says why, as what follows the name."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The names of what stands beside one model."""

    sidecars: Mapping[Source, str]
    preview: str | None

    def __bool__(self) -> bool:
        return bool(self.sidecars)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What one sidecar says."""

    source: Source
    path: Path
    written_at: datetime
    """When it was last written, by its file."""
    words: Words = field(default_factory=Words)
    claim: Claim | None = None


def sidecars_of(names: Collection[str], model_name: str) -> Beside:
    """The sidecars and the preview of a model, among the names in its folder.

    Looks each possible name up and opens nothing: with a set of `names` it costs the same in a
    folder of any size.

    :param model_name: the model's file name, with its extension.
    """
    stem = model_name.rpartition(".")[0] or model_name
    found = {
        source: stem + suffix
        for source, suffix in SUFFIXES.items()
        if stem + suffix in names and stem + suffix != model_name
    }
    previews = (stem + suffix for suffix in PREVIEW_SUFFIXES)
    return Beside(found, next((name for name in previews if name in names), None))


def read_sidecar(path: Path, source: Source) -> Sidecar:
    """What the sidecar at `path` says; opened once, read once, never written.

    :raises NotASidecar: it is damaged, too large, no regular file, or something else that has
        the name.
    """
    if source in _NOTES:
        notes, read_as = _read_notes(path)
        words = Words(notes=notes)
        return Sidecar(source=source, path=path, written_at=_moment(read_as), words=words)
    content, read_as = read_json(path)
    if source is Source.A1111 and content and not read_words.is_a1111(content):
        raise NotASidecar("describes something else than a model for the web UI")
    words_of, claim_of = _WORDS.get(source), _CLAIMS.get(source)
    return Sidecar(
        source=source,
        path=path,
        written_at=_moment(read_as),
        words=words_of(content) if words_of else Words(),
        claim=claim_of(content) if claim_of else None,
    )


def read_json(path: Path) -> tuple[Json, os.stat_result]:
    """The JSON object in a file, with what `stat` says of the file at that moment.

    :raises NotASidecar: it is none, or not readable.
    """
    content, read_as = read_bytes(path, MAX_BYTES)
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NotASidecar(f"is not readable as JSON ({error})") from error
    if not isinstance(value, dict):
        raise NotASidecar("is no JSON object")
    return value, read_as


def read_bytes(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    """The content of a regular file of at most `most` bytes; never waits for a FIFO's writer.

    :raises NotASidecar: it is no such file, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            read_as = os.fstat(handle)
            if not stat.S_ISREG(read_as.st_mode):
                raise NotASidecar("is no file")
            content = file.read(most + 1)
    except OSError as error:
        raise NotASidecar(f"cannot be read: {error.strerror or error}") from error
    if len(content) > most:
        raise NotASidecar(f"is larger than {_shown(most)}")
    return content, read_as


def _shown(size: int) -> str:
    return f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"


def _moment(read_as: os.stat_result) -> datetime:
    """The time of the last change; now, where a file system tells none that there can be."""
    try:
        return datetime.fromtimestamp(read_as.st_mtime, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.now(UTC)


def _read_notes(path: Path) -> tuple[tuple[str, ...], os.stat_result]:
    """The text of a note.

    :raises NotASidecar: it is none.
    """
    content, read_as = read_bytes(path, 4 * LONGEST_NOTE)
    if b"\0" in content:
        raise NotASidecar("is no text")
    text = content.decode("utf-8-sig", errors="replace")
    return read_words.tidy_notes([text]), read_as
