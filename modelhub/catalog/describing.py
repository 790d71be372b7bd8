"""What a listing shows and searches of one file: a pure function of all that is known about it.

:class:`Gathered` in; the row of ``listings``, and the words and facts of the full-text index, out.
The catalog calls it for what changed (:mod:`modelhub.catalog.listing`), and the processes that
read headers for what is new (:mod:`modelhub.catalog.scanning`): so it imports no SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from modelhub.catalog.fulltext.document import Document
from modelhub.catalog.fulltext.facts import (
    EVERY_FILE,
    Fact,
    fact,
    parameter_class,
    size_class,
    time_facts,
    yes_or_no,
)
from modelhub.catalog.fulltext.words import folded, indexed_words
from modelhub.catalog.paths import decode_path, encode_path
from modelhub.catalog.records import Found
from modelhub.catalog.search.vocabulary import VERDICTS, canonical, kept
from modelhub.catalog.tagnames import normalised_tag
from modelhub.catalog.texts import SORT_KEY_OF_NOTHING, json_text, stored_size, stored_text
from modelhub.errors import UsageError

MOST_WORDS = 2_000
"""Words of one column of one file that are indexed."""
LONGEST_KEY = 600
"""Characters that are sorted by: PostgreSQL indexes 2,704 bytes of a value at most."""

_SAFE_FORMATS = frozenset({"safetensors", "gguf"})
"""Formats that hold no code."""
_TYPE_OF_FILE = {
    "vae": "vae",
    "textencoder": "textencoder",
    "visionencoder": "clipvision",
    "clipvision": "clipvision",
    "controlnet": "controlnet",
    "unet": "unet",
    "diffusionmodel": "unet",
    "upscaler": "upscaler",
    "enhancementlora": "lora",
    "negative": "embedding",
    "workflow": "workflows",
    "trainingdata": "other",
    "config": "other",
    "archive": "other",
}
"""Civitai's file types that are not the model itself: a checkpoint's page may offer its VAE."""


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalog knows of a file itself."""

    id: int
    root_id: int
    path: str
    size: int
    """Of all parts together."""
    state: str
    added_at: datetime
    found: Found
    fault: str | None = None
    parts: int = 1
    parts_verdict: str | None = None
    """The worst of its other files."""
    blob_id: int | None = None
    used_at: datetime | None = None
    note: str | None = None
    rating: int | None = None


class PublishedView(msgspec.Struct, frozen=True, kw_only=True):
    """What was published about a file, as one version with one of its files."""

    version_id: int
    version_name: str
    base_model: str | None
    model_id: int
    model_name: str
    model_type: str
    creator: str | None
    nsfw: bool | None
    model_tags: str | None
    file_type: str | None
    file_format: str | None
    file_fp: str | None
    pickle_scan: str | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that is known about one local file. `publications` has the one to be named first."""

    file: FileView
    publications: Sequence[PublishedView] = ()
    tags: Sequence[str] = ()
    published_words: Sequence[str] = ()
    own_words: Sequence[str] = ()
    values: Sequence[str] = ()
    """Texts of the user's other values."""
    copies: int = 1


def type_of(one: Gathered) -> str | None:
    """What kind of model it is: as published, else as identified."""
    if one.publications:
        first = one.publications[0]
        own = _TYPE_OF_FILE.get(kept("type", first.file_type or ""))
        return own or kept("type", first.model_type) or None
    kind = one.file.found.kind
    return kept("type", kind) if kind else None


def base_of(one: Gathered) -> str | None:
    """The base model: as published, else the family that metadata tell, else the architecture
    that the tensors show."""
    published = _first(p.base_model for p in one.publications) if one.publications else None
    base = published or one.file.found.family or one.file.found.architecture
    return stored_text(base) if base else None


def _first(texts: Iterable[str | None]) -> str | None:
    return next(filter(None, texts), None)


def worst_verdict(verdicts: Iterable[str | None]) -> str | None:
    """The worst of several verdicts; None where there is none."""
    return max(filter(None, verdicts), key=VERDICTS.index, default=None)


def verdict_of(one: Gathered) -> str | None:
    """What a scan of its pickles found, of several files the worst."""
    verdict = one.file.found.pickle_verdict
    if one.file.parts_verdict is None:
        return verdict
    return worst_verdict((verdict, one.file.parts_verdict))


def unsafe_of(one: Gathered) -> bool | None:
    """Whether loading it may run code, by our own scan, else by Civitai's; None: nobody looked."""
    verdict = verdict_of(one)
    if verdict is not None:
        return verdict != "safe"
    read = one.file.blob_id is not None or one.file.found.format is not None
    if read and format_of(one) in _SAFE_FORMATS:
        return False
    if any((p.pickle_scan or "").lower() == "danger" for p in one.publications):
        return True
    return None


def format_of(one: Gathered) -> str | None:
    """The format: as found, else as published, else by the file's name."""
    said = one.file.found.format or _first(p.file_format for p in one.publications)
    if said:
        return kept("format", said)
    return canonical("format", one.file.path.rpartition(".")[2])


def precision_of(one: Gathered) -> str | None:
    """The precision: as found, else as published."""
    said = one.file.found.precision or _first(p.file_fp for p in one.publications)
    return kept("fp", said) if said else None


def nsfw_of(one: Gathered) -> bool | None:
    """Whether any publication says so; None without a publication that says."""
    if not one.publications:
        return None
    said = [p.nsfw for p in one.publications if p.nsfw is not None]
    return any(said) if said else None


def listing_of(one: Gathered) -> dict[str, Any]:
    """The row of ``listings``."""
    file, first = one.file, one.publications[0] if one.publications else None
    found = file.found
    kind, base = type_of(one), base_of(one)
    name = base_name(file.path)
    return {
        "id": file.id,
        "root_id": file.root_id,
        "blob_id": file.blob_id,
        "size": file.size,
        "added_at": file.added_at,
        "used_at": file.used_at,
        "rating": file.rating or 0,
        "copies": one.copies,
        "version_id": first.version_id if first else None,
        "model_id": first.model_id if first else None,
        "type_key": (kind or SORT_KEY_OF_NOTHING)[:LONGEST_KEY],
        "base_key": folded(base)[:LONGEST_KEY] if base else SORT_KEY_OF_NOTHING,
        "name_key": folded(name)[:LONGEST_KEY],
        "path_key": folded(file.path)[:LONGEST_KEY],
        "name": name,
        "unsafe": unsafe_of(one),
        "nsfw": nsfw_of(one),
        "base": base,
        "format": format_of(one),
        "precision": precision_of(one),
        "creator": _first(p.creator for p in one.publications) if first else None,
        "model_name": first.model_name if first else None,
        "version_name": first.version_name if first else None,
        "tags": json_text(one.tags) if one.tags else "[]",
        "architecture": _stored(found.architecture),
        "edition": _stored(found.edition),
        "family": _stored(found.family),
        "adapter": _stored(found.adapter),
        "variants": json_text(found.variants) if found.variants else None,
        "ema": found.ema,
        "vae": found.vae,
        "pruned": found.pruned,
        "guessed": found.guessed or None,
        "parameters": stored_size(found.parameters),
        "parts": file.parts if file.parts > 1 else None,
        "verdict": _stored(verdict_of(one)),
    }


LISTING_COLUMNS = (
    "id", "root_id", "blob_id", "size", "added_at", "used_at", "rating", "copies", "version_id",
    "model_id", "type_key", "base_key", "name_key", "path_key", "name", "unsafe", "nsfw", "base",
    "format", "precision", "creator", "model_name", "version_name", "tags", "architecture",
    "edition", "family", "adapter", "variants", "ema", "vae", "pruned", "guessed", "parameters",
    "parts", "verdict",
)  # fmt: skip
"""The keys of :func:`listing_of`, in their order."""


def _stored(text: str | None) -> str | None:
    return None if text is None else stored_text(text)


def base_name(path: str) -> str:
    """The last name of a path in the catalog's spelling, in which ``//`` escapes a byte."""
    if "//" not in path:
        return path.rpartition("/")[2]
    return encode_path(Path(decode_path(path).name))


def document_of(one: Gathered) -> Document:
    """The words and facts of the full-text index."""
    published = one.publications
    return Document(
        id=one.file.id,
        name=_words([base_name(one.file.path)]),
        model=_words([p.model_name for p in published]),
        version=_words([p.version_name for p in published]),
        creator=_words([p.creator for p in published if p.creator]),
        tags=_words([*one.tags, *published_tags(published)]),
        triggers=_words([*one.own_words, *one.published_words, *one.file.found.trigger_words]),
        notes=_words([one.file.note, *one.values] if one.file.note else one.values),
        facts=facts_of(one),
    )


def _words(texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    words: list[str] = []
    for text in dict.fromkeys(texts):
        words += indexed_words(text)
        if len(words) > MOST_WORDS:
            return words[:MOST_WORDS]
    return words


def published_tags(publications: Iterable[Any]) -> list[str]:
    """What the publishers tagged the models with, spelled as tags are here."""
    found: dict[str, None] = {}
    for publication in publications:
        for tag in msgspec.json.decode(publication.model_tags or "[]", type=list[str]):
            try:
                found[normalised_tag(tag)] = None
            except UsageError:
                continue
    return list(found)


def facts_of(one: Gathered) -> list[str]:
    """Every fact that the search language asks for."""
    file, published = one.file, one.publications
    found = [
        EVERY_FILE,
        size_class(file.size),
        fact(Fact.STATE, file.state),
        *time_facts(file.added_at),
    ]
    found += [fact(Fact.FOLDER, name) for name in folded(file.path).split("/")[:-1]]
    if published or one.tags:
        found += [fact(Fact.TAG, tag) for tag in [*one.tags, *published_tags(published)]]
        found += [fact(Fact.MODEL, str(p.model_id)) for p in published]
        found += [fact(Fact.VERSION, str(p.version_id)) for p in published]
    found += _identified(file)
    found += _out_of_the_ordinary(one)
    found += _named(type_of(one), base_of(one), format_of(one), precision_of(one))
    found += [fact(Fact.BASE, kept("base", p.base_model)) for p in published if p.base_model]
    return list(dict.fromkeys(found))


# Thousands of files of a library are alike in all of this.
@lru_cache(1_024)
def _named(
    kind: str | None, base: str | None, format_: str | None, precision: str | None
) -> tuple[str, ...]:
    named = (
        (Fact.TYPE, "type", kind),
        (Fact.BASE, "base", base),
        (Fact.FORMAT, "format", format_),
        (Fact.PRECISION, "fp", precision),
    )
    return tuple(fact(one, kept(table, text)) for one, table, text in named if text)


def _identified(file: FileView) -> Sequence[str]:
    """The facts of what identification found."""
    found = file.found
    facts = _told(
        found.kind,
        found.adapter,
        found.architecture,
        found.family,
        found.edition,
        found.variants,
    )
    if stored_size(found.parameters) is None:
        return facts
    return [*facts, parameter_class(found.parameters or 0)]


@lru_cache(1_024)
def _told(
    kind: str | None,
    adapter: str | None,
    architecture: str | None,
    family: str | None,
    edition: str | None,
    variants: tuple[str, ...],
) -> tuple[str, ...]:
    named = (
        (Fact.TYPE, "type", kind),
        (Fact.TYPE, "type", canonical("type", adapter) if adapter else None),
        (Fact.ARCHITECTURE, "arch", architecture),
        (Fact.ADAPTER, "adapter", adapter),
        (Fact.FAMILY, "family", family),
        (Fact.VARIANT, "variant", edition),
        *((Fact.VARIANT, "variant", variant) for variant in variants),
    )
    return tuple(fact(one, kept(table, text)) for one, table, text in named if text)


def _out_of_the_ordinary(one: Gathered) -> list[str]:
    """What is not so of most files: that a file has no copies, no rating and so on is not written
    down, and asked for as "all but those that have"."""
    file, verdict = one.file, verdict_of(one)
    marks = [
        (Fact.COPIES, "several", one.copies > 1),
        (Fact.USED, "yes", file.used_at is not None),
        (Fact.RATING, str(file.rating), bool(file.rating)),
        (Fact.GUESSED, "yes", file.found.guessed),
        (Fact.FAULT, "yes", file.fault is not None),
        (Fact.PARTS, "several", file.parts > 1),
        (Fact.VERDICT, verdict or "", verdict is not None),
    ]
    answers = [
        (Fact.UNSAFE, unsafe_of(one)),
        (Fact.NSFW, nsfw_of(one)),
        (Fact.EMA, file.found.ema),
        (Fact.VAE, file.found.vae),
        (Fact.PRUNED, file.found.pruned),
    ]
    found = [fact(kind, value) for kind, value, holds in marks if holds]
    found += [fact(kind, yes_or_no(said)) for kind, said in answers if said is not None]
    return found
