"""What is searched for: words and filters, and the line that shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelhub.civitai.filters import PERIODS, SORTS, ModelFilters

if TYPE_CHECKING:
    from modelhub.tui.widgets.chooser import Choice

PAGE = 40
"""Models that are asked for at once."""
ANY = ""
_SORT_TITLES = {"downloads": "most downloaded", "rating": "highest rated", "newest": "newest"}
_PERIOD_TITLES = {
    "all": "all time",
    "year": "last year",
    "month": "last month",
    "week": "last week",
    "day": "last day",
}
_NSFW_TITLES = {"no": "without adult models", "yes": "with adult models"}


@dataclass(frozen=True, slots=True)
class Wish:
    """Words and filters; an empty text leaves a filter open."""

    words: str = ""
    type: str = ANY
    base: str = ANY
    sort: str = "downloads"
    period: str = "all"
    nsfw: str = "no"

    def filters(self) -> ModelFilters:
        """The same for Civitai."""
        return ModelFilters(
            query=self.words.strip() or None,
            types=(self.type,) if self.type else (),
            base_models=(self.base,) if self.base else (),
            sort=SORTS[self.sort],
            period=PERIODS[self.period],
            nsfw=self.nsfw == "yes",
            limit=PAGE,
        )

    def changed(self, name: str, value: str) -> Wish:
        """The same with another value of one filter."""
        return replace(self, **{name: value})

    def in_words(self) -> list[tuple[str, str]]:
        """Each filter: its key, and what it says."""
        return [
            ("t", self.type or "any type"),
            ("b", self.base or "any base model"),
            ("s", _SORT_TITLES[self.sort]),
            ("o", _PERIOD_TITLES[self.period]),
            ("n", "with adult" if self.nsfw == "yes" else "without adult"),
        ]


def choices(name: str, types: list[str], bases: list[str]) -> tuple[str, list[Choice]]:
    """What can be chosen for a filter, under a title."""
    match name:
        case "type":
            return "Type", [(ANY, "any type"), *((one, one) for one in types)]
        case "base":
            return "Base model", [(ANY, "any base model"), *((one, one) for one in bases)]
        case "sort":
            return "Order", list(_SORT_TITLES.items())
        case "period":
            return "Counted over", list(_PERIOD_TITLES.items())
        case _:
            return "Adult models", list(_NSFW_TITLES.items())
