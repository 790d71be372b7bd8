"""Small lists over the Library screen: columns, saved searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList, SelectionList
from textual.widgets.option_list import Option
from textual.widgets.selection_list import Selection

from modelhub.text import clean, pad
from modelhub.tui.library.columns import COLUMNS

_CSS = """
{name} {{ align: center middle; }}
{name} > OptionList {{
    width: 60; max-width: 100%; height: auto; max-height: 80%; background: $surface;
    border: round $primary; padding: 0 1;
}}
"""


class ColumnChooser(ModalScreen[list[str] | None]):
    """Which columns are shown; those without room are left out all the same."""

    DEFAULT_CSS = _CSS.format(name="ColumnChooser")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,o", "keep", "done"),
        Binding("j", "move('down')", show=False),
        Binding("k", "move('up')", show=False),
    ]

    def __init__(self, chosen: Sequence[str]) -> None:
        super().__init__()
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """The list, the chosen ones first."""
        order = [*self._chosen, *(key for key in COLUMNS if key not in self._chosen)]
        choices = SelectionList(
            *(
                Selection(COLUMNS[key].title, key, key in self._chosen)
                for key in order
                if key in COLUMNS
            ),
        )
        choices.border_title = "Columns"
        choices.border_subtitle = "space chooses · esc is done"
        yield choices

    def action_keep(self) -> None:
        """Use what is chosen; the name is always shown."""
        chosen: list[str] = self.query_one(SelectionList).selected
        order = [*self._chosen, *(key for key in COLUMNS if key not in self._chosen)]
        kept = [key for key in order if key in chosen]
        self.dismiss(kept if "name" in kept else ["name", *kept])

    def action_move(self, way: str) -> None:
        """As vi does."""
        choices = self.query_one(SelectionList)
        (choices.action_cursor_down if way == "down" else choices.action_cursor_up)()


class SearchChooser(ModalScreen[str | None]):
    """The saved searches: Enter takes one, d deletes one."""

    DEFAULT_CSS = _CSS.format(name="SearchChooser")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,b", "leave", "close"),
        Binding("d", "delete", "delete"),
        Binding("j", "move('down')", show=False),
        Binding("k", "move('up')", show=False),
    ]

    def __init__(self, searches: dict[str, str]) -> None:
        super().__init__()
        self._searches = searches

    def compose(self) -> ComposeResult:
        """The list."""
        found = OptionList(markup=False)
        found.border_title = "Saved searches"
        found.border_subtitle = "enter takes · d deletes · esc closes"
        yield found

    def on_mount(self) -> None:
        """Fill it."""
        self._fill()

    def _fill(self) -> None:
        found = self.query_one(OptionList)
        found.clear_options()
        found.add_options(
            Option(f"{pad(clean(name), 18)} {clean(query)}", id=str(number))
            for number, (name, query) in enumerate(self._searches.items())
        )
        if not self._searches:
            found.add_option(Option("none yet: B saves what the filter says", disabled=True))

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(list(self._searches.values())[event.option_index])

    def action_leave(self) -> None:
        """Take none."""
        self.dismiss(None)

    def action_delete(self) -> None:
        """Forget the one under the cursor."""
        at = self.query_one(OptionList).highlighted
        names = list(self._searches)
        if at is not None and at < len(names):
            del self._searches[names[at]]
            self._fill()

    def action_move(self, way: str) -> None:
        """As vi does."""
        found = self.query_one(OptionList)
        (found.action_cursor_down if way == "down" else found.action_cursor_up)()
