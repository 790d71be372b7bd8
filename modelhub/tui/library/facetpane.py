"""The facets: what the found files are, with counts; Enter adds one to the filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from modelhub.text import cell_width, clean, pad, shorten

if TYPE_CHECKING:
    from modelhub.services.facets import Facet

WIDTH = 25
FOLDED = 8
"""Values of a facet that are shown; the rest can be typed."""


class FacetPane(OptionList):
    """A list of values under headings."""

    DEFAULT_CSS = """
    FacetPane {
        width: 27; height: 1fr; border: none; border-right: vkey $panel; padding: 0;
        background: $background; scrollbar-size-vertical: 1;
    }
    FacetPane:focus { border: none; border-right: vkey $primary; background-tint: transparent; }
    FacetPane > .option-list--option-disabled { color: $primary; text-style: bold; }
    """
    BINDING_GROUP_TITLE = "Facets"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "first", "First", show=False),
        Binding("G", "last", "Last", show=False),
        Binding("enter,space", "select", "choose"),
    ]

    class Chosen(Message):
        """Add these terms to the filter, or take them out."""

        def __init__(self, terms: str) -> None:
            super().__init__()
            self.terms = terms

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._terms: list[str] = []

    def show(self, facets: Sequence[Facet], query: str) -> None:
        """Show these counts; what the query holds already is marked."""
        from modelhub.services.facets import has_terms

        at, scrolled = self.highlighted, self.scroll_y
        options: list[Option] = []
        self._terms = []
        for facet in facets:
            if options:
                options.append(Option("", disabled=True))
                self._terms.append("")
            options.append(Option(Content(f" {facet.title}"), disabled=True))
            self._terms.append("")
            for value in facet.values[:FOLDED]:
                chosen = has_terms(query, value.terms)
                options.append(Option(_line(value.label, value.count, chosen=chosen)))
                self._terms.append(value.terms)
        self.clear_options()
        self.add_options(options)
        if at is not None and at < len(options) and not options[at].disabled:
            self.highlighted = at
        self.scroll_to(y=scrolled, animate=False)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        terms = self._terms[event.option_index]
        if terms:
            self.post_message(self.Chosen(terms))


def _line(label: str, count: int, *, chosen: bool) -> Content:
    number = f"{count:,}"
    room = WIDTH - cell_width(number) - 4
    name = pad(shorten(clean(label), room), room)
    mark = "✓" if chosen else " "
    return Content.assemble(
        f" {mark} ", (name, "bold" if chosen else ""), (number, "$foreground 60%")
    )
