"""The fields of the search language: each one line of :data:`FIELDS`."""

from __future__ import annotations

from modelhub.catalog.fulltext.expression import AllOf, FactIs
from modelhub.catalog.fulltext.facts import Fact, fact
from modelhub.catalog.search import vocabulary
from modelhub.catalog.search.fieldkinds import (
    Choice,
    Field,
    Folder,
    Hash,
    NamedFact,
    Number,
    Rating,
    SizeField,
    Tag,
    Text,
    TimeField,
    Update,
    all_but,
)
from modelhub.catalog.search.quantities import (
    COUNT_EXPECTED,
    SIZE_EXPECTED,
    read_count,
    read_size,
)

_MISSING = FactIs((fact(Fact.STATE, "missing"),))
_SEVERAL = FactIs((fact(Fact.COPIES, "several"),))
_USED = FactIs((fact(Fact.USED, "yes"),))
_FAULT = FactIs((fact(Fact.FAULT, "yes"),))
_GUESSED = FactIs((fact(Fact.GUESSED, "yes"),))


def _yes_no(kind: Fact, **more: str) -> dict[str, FactIs | AllOf]:
    yes, no = (FactIs((fact(kind, answer),)) for answer in ("yes", "no"))
    answers: dict[str, FactIs | AllOf] = {"yes": yes, "no": no, "unknown": all_but(yes, no)}
    return answers | {name: answers[same] for name, same in more.items()}


def _verdicts() -> dict[str, FactIs | AllOf]:
    each = {name: FactIs((fact(Fact.VERDICT, name),)) for name in vocabulary.VERDICTS}
    return {**each, "none": all_but(*each.values())}


def _or_not(positive: FactIs) -> dict[str, FactIs | AllOf]:
    return {"yes": positive, "no": all_but(positive)}


FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        NamedFact("type", Fact.TYPE, "type"),
        NamedFact("base", Fact.BASE, "base"),
        NamedFact("arch", Fact.ARCHITECTURE, "arch"),
        NamedFact("adapter", Fact.ADAPTER, "adapter"),
        NamedFact("family", Fact.FAMILY, "family"),
        NamedFact("variant", Fact.VARIANT, "variant"),
        NamedFact("fp", Fact.PRECISION, "fp"),
        NamedFact("format", Fact.FORMAT, "format"),
        Tag("tag", "a tag"),
        Choice("ema", _yes_no(Fact.EMA)),
        Choice("vae", _yes_no(Fact.VAE, baked="yes", none="no")),
        Choice("pruned", _yes_no(Fact.PRUNED)),
        Choice("guessed", _or_not(_GUESSED)),
        Choice("fault", _or_not(_FAULT)),
        Choice("unsafe", _yes_no(Fact.UNSAFE)),
        Choice("verdict", _verdicts()),
        Choice("nsfw", _yes_no(Fact.NSFW)),
        Choice("missing", _or_not(_MISSING)),
        Choice("dup", _or_not(_SEVERAL)),
        Update("update", "yes or no"),
        Choice(
            "state",
            {name: FactIs((fact(Fact.STATE, name),)) for name in vocabulary.names("state")},
        ),
        TimeField("used", "used_at", {"never": all_but(_USED), "ever": _USED}),
        TimeField("added", "added_at"),
        SizeField("size", SIZE_EXPECTED, "size", Fact.SIZE_CLASS, read_size),
        SizeField("params", COUNT_EXPECTED, "parameters", Fact.PARAMETER_CLASS, read_count),
        Rating("rating", "a rating from 1 to 5, or none"),
        Text("creator", "creator"),
        Text("name", "name"),
        Text("model", "model", Fact.MODEL),
        Text("version", "version", Fact.VERSION),
        Text("trigger", "triggers"),
        Text("note", "notes"),
        Folder("path", "a part of a path"),
        Hash("hash", "4 to 64 hex digits"),
        Number("id", "the number of a file"),
    )
}
"""Every field by its name."""


def field_named(name: str) -> Field | None:
    """The field of that name, in any case."""
    return FIELDS.get(name.lower())
