"""`export` and `import`: all that the user wrote, as JSON lines keyed by hashes.

The first line says what the file is, each other one what was written about one content::

    {"modelhub": "user words", "version": 1, "exported_at": "2024-06-15T12:00:00Z"}
    {"sha256": "…", "size": 123, "hashes": {"BLAKE3": "…"}, "names": ["loras/ink.safetensors"],
     "tags": ["style"], "note": "…", "rating": 5, "trigger_words": ["inkwash"],
     "values": {"preferred_weight": "0.8"}}

All lines are checked before the first is imported. Words for a content that is not here wait for
it: a file with that SHA256 has them as soon as it is hashed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from modelhub.errors import UsageError

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, UserWords

VERSION: Final = 1
LONGEST_LINE: Final = 4 << 20
"""Bytes; the longest note in the longest spelling fits several times."""
_AT_ONCE: Final = 500
"""Lines imported in one transaction."""
_MOST_MISTAKES: Final = 10
_SPOOLED: Final = 16 << 20
_HINT = "nothing was imported; the file is one that `modelhub export` wrote, or like it"

Hex64 = Annotated[str, Meta(pattern="^[0-9A-Fa-f]{64}$")]
Hex = Annotated[str, Meta(pattern="^[0-9A-Fa-f]{8,64}$")]
Word = Annotated[str, Meta(min_length=1, max_length=500)]
Tag = Annotated[str, Meta(min_length=1, max_length=200)]
Value = Annotated[str, Meta(max_length=100_000)]


class Heading(Struct, frozen=True):
    """The first line."""

    modelhub: Literal["user words"]
    version: Annotated[int, Meta(ge=1)]
    exported_at: str = ""


class Line(Struct, frozen=True, omit_defaults=True):
    """What was written about one content; fields that a later version adds are passed over."""

    sha256: Hex64
    size: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    hashes: Mapping[str, Hex] = {}
    names: tuple[str, ...] = ()
    """Where files with it were: for people, and never used to find them."""
    tags: Annotated[tuple[Tag, ...], Meta(max_length=1000)] = ()
    note: Annotated[str, Meta(max_length=100_000)] | None = None
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None
    trigger_words: Annotated[tuple[Word, ...], Meta(max_length=1000)] = ()
    values: Mapping[str, Value] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did, or would do."""

    lines: int
    """Contents that the file has words for."""
    changed: int
    """Those of which something was new."""
    waiting: int
    """Those of which no file is here: their words wait for it."""
    dry_run: bool


def export_words(catalog: Catalog, out: IO[bytes]) -> int:
    """Write all that the user wrote, by SHA256; the number of contents.

    :raises CatalogError: the catalog cannot be read.
    :raises OSError: `out` cannot be written.
    """
    heading = Heading("user words", VERSION, datetime.now(UTC).isoformat(timespec="seconds"))
    out.write(_encoded(heading))
    number = 0
    for words in catalog.export_user_words():
        out.write(_encoded(_line(words)))
        number += 1
    return number


def import_words(
    catalog: Catalog, source: IO[bytes], *, replace: bool = False, dry_run: bool = False
) -> ImportReport:
    """Merge what an export holds into the catalog.

    Lines are imported some hundred a transaction, after all of them were checked; run again, an
    import that was stopped goes on, since what is there already changes nothing.

    :param replace: what the file says replaces what is here; else tags and words are added, and
        a note, a rating or a value is taken where there is none.
    :param dry_run: only count what would change.
    :raises UsageError: it is no export, of a later version, or has malformed lines: the message
        names them by number, and nothing was imported.
    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    changed = waiting = number = 0
    name = f"import {datetime.now(UTC).isoformat()}"
    with tempfile.SpooledTemporaryFile(max_size=_SPOOLED) as checked:
        for line in _checked(_lines(source)):
            checked.write(_encoded(line))
            number += 1
        checked.seek(0)
        for batch in _batches(checked):
            try:
                with catalog.transaction():
                    for line in batch:
                        waiting += not catalog.find_local_by_sha256(line.sha256)
                        changed += _import(catalog, line, name, replace=replace)
                    if dry_run:
                        raise _Undone
            except _Undone:
                continue
    return ImportReport(lines=number, changed=changed, waiting=waiting, dry_run=dry_run)


class _Undone(Exception):
    """Ends the transaction of a dry run without its changes."""


def _import(catalog: Catalog, line: Line, source: str, *, replace: bool) -> bool:
    from modelhub.catalog import BlobRecord
    from modelhub.errors import UnknownFile

    def put() -> bool:
        return catalog.import_user_words(
            line.sha256.upper(),
            note=line.note,
            trigger_words=line.trigger_words,
            tags=line.tags,
            rating=line.rating,
            values=line.values,
            source=source,
            replace=replace,
        )

    try:
        return put()
    except UnknownFile:
        hashes = {name.lower(): value for name, value in line.hashes.items()}
        blob = BlobRecord(
            sha256=line.sha256,
            size=line.size or 0,
            blake3=hashes.get("blake3"),
            crc32=hashes.get("crc32"),
            autov1=hashes.get("autov1"),
            autov3=hashes.get("autov3"),
        )
        catalog.record_blob(blob)
        return put()


def _line(words: UserWords) -> Line:
    return Line(
        sha256=words.sha256,
        size=words.size,
        hashes={name: value for name, value in words.hashes.items() if name != "SHA256"},
        names=tuple(words.paths),
        tags=tuple(words.tags),
        note=words.note,
        rating=words.rating,
        trigger_words=tuple(words.trigger_words),
        values=dict(words.values),
    )


def _encoded(line: Struct) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    """The lines of `source`, each cut one byte after the longest that there may be."""
    while line := source.readline(LONGEST_LINE + 1):
        yield line
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = source.readline(LONGEST_LINE + 1)


def _checked(lines: Iterable[bytes]) -> Iterator[Line]:
    """The lines, typed; all mistakes are gathered before they are told.

    :raises UsageError: there are some.
    """
    decoder = msgspec.json.Decoder(Line)
    mistakes: list[str] = []
    more, has_heading = 0, False
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            if not has_heading:
                _check_heading(text)
                has_heading = True
                continue
            yield _decoded(decoder, text)
        except _Mistake as mistake:
            if not has_heading:
                raise UsageError(f"line {number}: {mistake}", hint=_HINT) from mistake
            if len(mistakes) < _MOST_MISTAKES:
                mistakes.append(f"line {number}: {mistake}")
            else:
                more += 1
    if not has_heading:
        raise UsageError("there is no line in it", hint=_HINT)
    if mistakes:
        rest = [f"and {more:,} more"] if more else []
        raise UsageError("\n".join([*mistakes, *rest]), hint=_HINT)


class _Mistake(Exception):
    """What is wrong with a line."""


def _check_heading(text: bytes) -> None:
    try:
        heading = msgspec.json.decode(text[:LONGEST_LINE], type=Heading)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Mistake("it does not begin as an export of modelhub does") from error
    if heading.version > VERSION:
        raise _Mistake(
            f"it was exported by a later modelhub (format {heading.version}, we know {VERSION})"
        )


def _decoded(decoder: msgspec.json.Decoder[Line], text: bytes) -> Line:
    if len(text) > LONGEST_LINE:
        raise _Mistake("it is longer than 4 MiB")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Mistake(str(error).partition("\n")[0].replace("`", "")) from error
    except RecursionError as error:
        raise _Mistake("it is nested too deeply") from error


def _batches(checked: Iterable[bytes]) -> Iterator[list[Line]]:
    decoder = msgspec.json.Decoder(Line)
    batch: list[Line] = []
    for text in checked:
        batch.append(decoder.decode(text))
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
