"""Facets: how many of the found files are of each kind, base model, format and so on.

Each count is a query of the search language, the one that is asked plus one term: so a facet that
is chosen always finds as many files as it promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.catalog.search.printer import printed_value
from modelhub.catalog.search.vocabulary import kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelhub.catalog import Catalog

MOST_VALUES = 24
"""Of one facet: the most frequent of the library."""
_OF_THE_LIBRARY = (("type", "Kind"), ("base", "Base"), ("format", "Format"), ("fp", "Precision"))
_FIXED: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Safety",
        (
            ("dangerous", "verdict:dangerous"),
            ("suspicious", "verdict:suspicious"),
            ("unsafe elsewhere", "unsafe:yes verdict:none"),
            ("not scanned", "unsafe:unknown"),
            ("safe", "unsafe:no"),
        ),
    ),
    (
        "State",
        (
            ("update known", "update:yes"),
            ("missing", "missing:yes"),
            ("not hashed", "state:new"),
            ("changed", "state:changed"),
            ("quarantined", "state:quarantined"),
            ("unreadable", "fault:yes"),
            ("twice here", "dup:yes"),
            ("never used", "used:never"),
            ("NSFW", "nsfw:yes"),
        ),
    ),
    (
        "Rating",
        tuple(("★" * stars, f"rating:{stars}") for stars in range(5, 0, -1)),
    ),
)


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value: what it is called, the terms that choose it, how many files that finds."""

    label: str
    terms: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """One kind of values, the most frequent first; those that nothing has are left out."""

    title: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be counted: the values that occur in the library, by title, with their terms."""

    values: Sequence[tuple[str, Sequence[tuple[str, str]]]]


def choices(catalog: Catalog) -> Choices:
    """The values that occur in the whole library; they change seldom, and take longest to find.

    :raises CatalogError: the catalog cannot be read.
    """
    found: list[tuple[str, Sequence[tuple[str, str]]]] = []
    for field, title in _OF_THE_LIBRARY:
        terms: dict[str, str] = {}
        for value, _ in catalog.facets(field, limit=2 * MOST_VALUES):
            # "SD 1.5" and "SD 1.5 LCM" are found by one term: the more frequent one names it.
            terms.setdefault(f"{field}:{printed_value(kept(field, value))}", value)
        found.append((title, [(name, term) for term, name in terms.items()][:MOST_VALUES]))
    tags = [(name, f"tag:{printed_value(name)}") for name, _ in catalog.tags(limit=MOST_VALUES)]
    found.insert(2, ("Tags", tags))
    return Choices([*found, *_FIXED])


def count_facets(
    catalog: Catalog, choices: Choices, query: str, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Facet]:
    """The facets of what `query` finds, one after the other.

    :param stopped: asked before each count; whether nobody wants the rest.
    :raises QuerySyntaxError: the query has a mistake.
    """
    for title, values in choices.values:
        counted: list[FacetValue] = []
        for label, terms in values:
            if stopped():
                return
            number = catalog.count(f"{query} {terms}")
            if number:
                counted.append(FacetValue(label, terms, number))
        if title != "Rating":
            counted.sort(key=lambda value: -value.count)
        if counted:
            yield Facet(title, tuple(counted))


def with_terms(query: str, terms: str) -> str:
    """`query` with `terms` added, or without them where it has them."""
    return without_terms(query, terms) if has_terms(query, terms) else f"{query} {terms}".strip()


def has_terms(query: str, terms: str) -> bool:
    """Whether `query` holds all of `terms`, as they are spelled here."""
    return f" {terms} " in f" {query} "


def without_terms(query: str, terms: str) -> str:
    """`query` without `terms`."""
    return " ".join(f" {query} ".replace(f" {terms} ", " ").split())
