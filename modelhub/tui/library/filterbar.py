"""The filter: what is typed in the search language, how it could go on, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from modelhub.errors import ModelhubError, QuerySyntaxError
from modelhub.text import cell_width, clean, shorten

if TYPE_CHECKING:
    from modelhub.catalog.search.completions import Completion
    from modelhub.tui.app import ModelhubApp

LONGEST_QUERY = 2_000
MOST_SHOWN = 8
_PROMPT = " / "


class QueryInput(Input):
    """One line; of what is pasted, no more than a query can be long is taken."""

    def _on_paste(self, event: events.Paste) -> None:
        room = max(0, LONGEST_QUERY - len(self.value))
        lines = event.text[: LONGEST_QUERY * 2].split("\n")
        text = clean(" ".join(line.strip() for line in lines))[:room]
        if text:
            self.replace(text, *self.selection)
        event.prevent_default()
        event.stop()


class FilterBar(Vertical):
    """The line of the filter, a line for its mistake, and a list of how it could go on."""

    DEFAULT_CSS = """
    FilterBar { height: auto; width: 1fr; background: $surface; }
    FilterBar > Horizontal { height: 1; }
    FilterBar .prompt { width: 3; color: $accent; text-style: bold; }
    FilterBar QueryInput { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    FilterBar QueryInput:focus { background: $panel; }
    FilterBar .count { width: auto; padding: 0 1; color: $text-muted; }
    FilterBar .mistake { height: auto; max-height: 3; color: $error; display: none; }
    FilterBar OptionList {
        overlay: screen; constrain: inside; display: none; width: 32; height: auto;
        max-height: 10; border: round $primary; background: $surface; padding: 0;
    }
    """
    BINDING_GROUP_TITLE = "Filter"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", priority=True),
        Binding("down", "choose(1)", "to the list", show=False, priority=True),
        Binding("up", "choose(-1)", "Choose above", show=False, priority=True),
        Binding("enter", "leave", "to the list", priority=True),
        Binding("escape", "close", "back", priority=True),
    ]

    class Changed(Message):
        """Another query was typed."""

        def __init__(self, query: str) -> None:
            super().__init__()
            self.query = query

    class Left(Message):
        """The user is done with typing."""

    def __init__(self, query: str = "") -> None:
        super().__init__()
        self._first = query
        self._proposed: list[Completion] = []

    def compose(self) -> ComposeResult:
        """The lines."""
        with Horizontal():
            yield Static(_PROMPT, classes="prompt")
            yield QueryInput(
                self._first,
                placeholder="words, or type:lora base:sdxl -tag:old size>2GB",
                max_length=LONGEST_QUERY,
                compact=True,
                select_on_focus=False,
            )
            yield Static("", classes="count", markup=False)
        yield Static("", classes="mistake", markup=False)
        yield OptionList(markup=False)

    @property
    def input(self) -> QueryInput:
        """Where it is typed."""
        return self.query_one(QueryInput)

    @property
    def value(self) -> str:
        """The query as it is now."""
        return self.input.value if self.is_mounted else self._first

    def set_query(self, query: str) -> None:
        """Put another query in."""
        self.input.value = query
        self.input.cursor_position = len(query)
        self._hide()

    # What is told

    def tell_count(self, found: int | None, total: int | None) -> None:
        """How many were found, of how many there are."""
        if found is None:
            text = ""
        elif total is None or found == total:
            text = f"{found:,}"
        else:
            text = f"{found:,} of {total:,}"
        self.query_one(".count", Static).update(text)

    def tell_mistake(self, error: ModelhubError | None) -> None:
        """Point at what is wrong, under where it stands."""
        line = self.query_one(".mistake", Static)
        line.display = error is not None
        if error is not None:
            line.update(self._pointing(error))

    def _pointing(self, error: ModelhubError) -> Content:
        width = max(20, self.size.width)
        text = clean(error.message)
        if not isinstance(error, QuerySyntaxError):
            return Content(f"{text}\n{clean(error.hint)}".rstrip())
        at = len(_PROMPT) + cell_width(error.query[: error.column - 1])
        text = f"^ {text}"
        # Long messages begin further left, with the mark of the column above their end.
        start = min(at, max(len(_PROMPT), width - cell_width(text) - 1))
        if start < at:
            text = f"column {error.column} ^ {clean(error.message)}"
            start = max(0, min(start, width - cell_width(text) - 1))
        return Content(" " * start + shorten(text, width - start))

    # How it could go on

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))
        if self.input.has_focus and event.value:
            self._propose(event.value, self.input.cursor_position)
        else:
            self._hide()

    @work(thread=True, exclusive=True, group="completions", exit_on_error=False)
    def _propose(self, query: str, cursor: int) -> None:
        worker = get_current_worker()
        hub: ModelhubApp = self.app  # type: ignore[assignment]
        try:
            found = hub.session.catalog.completions(query, cursor)
        except ModelhubError:
            return
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show, query, cursor, found)

    def _show(self, query: str, cursor: int, found: list[Completion]) -> None:
        if not self.is_mounted or self.value != query or not self.input.has_focus:
            return
        typed = query[found[0].start : cursor] if found else ""
        found = [one for one in found if one.text != typed]
        if not found or (not typed and not query[:cursor].endswith((":", ","))):
            self._hide()
            return
        options = self.query_one(OptionList)
        chosen = options.highlighted if self._proposed else None
        kept = self._proposed[chosen].text if chosen is not None else None
        self._proposed = found
        texts = [one.text for one in found]
        options.clear_options()
        options.add_options([Option(clean(text)) for text in texts])
        options.highlighted = texts.index(kept) if kept in texts else None
        options.styles.offset = (len(_PROMPT) + cell_width(query[: found[0].start]) - 1, 0)
        options.display = True

    def _hide(self) -> None:
        self._proposed = []
        self.query_one(OptionList).display = False

    def action_complete(self) -> None:
        """Take the proposal that is chosen, or the first one; without one, go on to the list."""
        if not self._proposed:
            self.action_leave()
            return
        chosen = self.query_one(OptionList).highlighted or 0
        self._take(self._proposed[chosen])

    def _take(self, one: Completion) -> None:
        value, cursor = self.value, self.input.cursor_position
        self.input.value = value[: one.start] + one.text + value[cursor:]
        self.input.cursor_position = one.start + len(one.text)
        if not one.text.endswith((":", ">")):
            self._hide()

    def action_choose(self, by: int) -> None:
        """Up and down in the proposals; down leads to the list where there are none."""
        options = self.query_one(OptionList)
        if not self._proposed:
            if by > 0:
                self.action_leave()
            return
        now = options.highlighted
        options.highlighted = (0 if by > 0 else -1) if now is None else now + by
        if options.highlighted is not None:
            options.highlighted %= len(self._proposed)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_index < len(self._proposed):
            self._take(self._proposed[event.option_index])
        self.input.focus()

    def action_leave(self) -> None:
        """Take what is chosen in the proposals, or go on to the list."""
        options = self.query_one(OptionList)
        if self._proposed and options.highlighted is not None:
            self._take(self._proposed[options.highlighted])
            return
        self._hide()
        self.post_message(self.Left())

    def action_close(self) -> None:
        """Close the proposals, or go back to the list."""
        if self._proposed:
            self._hide()
        else:
            self.post_message(self.Left())
