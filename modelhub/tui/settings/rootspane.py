"""The roots: where they are, how many files they hold, how they are watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import JobKind, JobRequest
from modelhub.text import clean, pad, plural, shorten
from modelhub.tui.library.columns import ago
from modelhub.tui.widgets.promptline import PromptLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelhub.catalog import Catalog, RootRow
    from modelhub.services.watch.standing import RootWatch
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.session import Session

LOOK_AGAIN = 2.0
"""Seconds between two looks while the pane is shown."""
_ABOUT = "Roots are indexed where they are: nothing in them is moved or changed."


@dataclass(frozen=True, slots=True)
class Shown:
    """A root, as it is now."""

    row: RootRow
    files: int
    there: bool
    watch: RootWatch | None = None
    """How the daemon watches it; None: it does not."""
    daemon: bool = False
    """Whether one runs."""

    @property
    def state(self) -> str:
        """In a few words."""
        if not self.there:
            return "⚠ unreachable"
        if not self.row.watched:
            return "not watched"
        if self.watch is None:
            return "not yet" if self.daemon else "no daemon"
        return "watched" if self.watch.native else "polled"

    @property
    def explained(self) -> str:
        """In a sentence."""
        if not self.there:
            return "Its folder cannot be reached: is its disk mounted? Its files are kept in mind."
        if not self.row.watched:
            return "It is not to be watched; w has it watched, i indexes it."
        if self.watch is None and not self.daemon:
            return "It is watched while `modelhub daemon` runs, which it does not now."
        if self.watch is None:
            return "The daemon does not watch it: daemon.watch is off, or it has just begun."
        seen = self.watch.changed_at
        text = f"{'Watched' if self.watch.native else 'Polled'}: {self.watch.why}. "
        if seen is None:
            return f"{text}No change was seen yet."
        when = ago(datetime.fromtimestamp(seen, UTC))
        return f"{text}Last change {when} ago: {self.watch.change}."


class RootsPane(Vertical):
    """A list of roots."""

    DEFAULT_CSS = """
    RootsPane > OptionList { height: 1fr; border: none; padding: 0; background: $background; }
    RootsPane > OptionList:focus { border: none; background-tint: transparent; }
    RootsPane > Static { height: auto; padding: 0 1; background: $surface; }
    """
    BINDING_GROUP_TITLE = "Roots"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "add", "add", tooltip="Make a folder a root"),
        Binding("i,enter", "index", "index", tooltip="Index the root"),
        Binding("w", "watch", "watch or not", tooltip="Have it watched, or not"),
        Binding("x,delete", "remove", "remove", tooltip="Take it out of the catalog"),
        Binding("j", "move('down')", show=False),
        Binding("k", "move('up')", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._roots: list[Shown] = []

    def compose(self) -> ComposeResult:
        """The list."""
        yield OptionList(markup=False)
        yield Static(_ABOUT, markup=False)

    def on_mount(self) -> None:
        """Follow how the roots stand."""
        self.set_interval(LOOK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        if self.screen is self.app.screen and self._list.has_focus:
            self.look()

    @property
    def _hub(self) -> ModelhubApp:
        return cast("ModelhubApp", self.app)

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    @work(thread=True, exclusive=True, group="roots", exit_on_error=False)
    def look(self) -> None:
        """Look at the roots."""
        try:
            found = _looked_at(self._hub.session)
        except ModelhubError as error:
            self.app.call_from_thread(self._hub.tell_error, error)
            return
        self.app.call_from_thread(self._show, found)

    def _show(self, found: list[Shown]) -> None:
        if not self.is_mounted:
            return
        before, self._roots = self._roots, found
        if found and [one.row.id for one in before] == [one.row.id for one in found]:
            for index, one in enumerate(found):
                self._list.replace_option_prompt_at_index(index, self._line(one))
            self._explain()
            return
        at = self._list.highlighted
        self._list.clear_options()
        if not found:
            self._list.add_option(Option("no root yet: n adds a folder", disabled=True))
            return
        self._list.add_options(Option(self._line(one)) for one in found)
        self._list.highlighted = min(at or 0, len(found) - 1)

    def _line(self, one: Shown) -> Content:
        row = one.row
        width = max(20, self.size.width - 54)
        path = pad(shorten(clean(row.folder), width, middle=True), width)
        scanned = f"indexed {ago(row.scanned_at)} ago" if row.scanned_at else "not indexed yet"
        return Content.assemble(
            f" {path} ",
            (pad(row.layout or "", 9), "$foreground 60%"),
            pad(f"{one.files:,}", 8, right=True),
            (f"  {pad(scanned, 17)}", "$foreground 60%"),
            (one.state, "" if one.there else "bold $warning"),
        )

    @on(OptionList.OptionHighlighted)
    def _explain(self) -> None:
        one = self._current()
        text = f"{_ABOUT}\n{clean(one.explained)}" if one is not None else _ABOUT
        self.query_one(Static).update(text)

    def _current(self) -> Shown | None:
        at = self._list.highlighted
        return self._roots[at] if at is not None and at < len(self._roots) else None

    def action_move(self, way: str) -> None:
        """As vi does."""
        (self._list.action_cursor_down if way == "down" else self._list.action_cursor_up)()

    def action_add(self) -> None:
        """Make a folder a root, and index it."""

        def answered(text: str) -> None:
            if text:
                self._add(Path(text).expanduser())

        self.screen.query_one(PromptLine).ask("Folder:", answered, value="~/", hint="enter adds")

    def _add(self, path: Path) -> None:
        def change(catalog: Catalog) -> str:
            from modelhub.services.index import add_root

            row = add_root(catalog, path, layout=None, watched=True)
            self._index(row.folder)
            return f"{row.folder} is a root now, and is being indexed"

        self._change(change)

    @work(thread=True, group="change", exit_on_error=False)
    def _change(self, change: Callable[[Catalog], str]) -> None:
        try:
            said = change(self._hub.session.catalog)
        except ModelhubError as error:
            self.app.call_from_thread(self._hub.tell_error, error)
            return
        self.app.call_from_thread(self.app.notify, clean(said), markup=False)
        self.app.call_from_thread(self.look)

    def _index(self, folder: Path) -> None:
        self._hub.enqueue(
            JobRequest(
                kind=JobKind.INDEX,
                arguments={"paths": [str(folder)]},
                title=f"index {folder.name}",
            )
        )

    def action_index(self) -> None:
        """Index the root."""
        one = self._current()
        if one is not None:
            self._index(one.row.folder)
            self.app.notify("indexing; 3 shows how far it is")

    def action_watch(self) -> None:
        """Have it watched, or not."""
        one = self._current()
        if one is None:
            return

        def change(catalog: Catalog) -> str:
            from modelhub.services.index import add_root

            row = add_root(
                catalog, one.row.folder, layout=one.row.layout, watched=not one.row.watched
            )
            return f"{row.folder} is {'watched' if row.watched else 'not watched'} from now on"

        self._change(change)

    def action_remove(self) -> None:
        """Take it out of the catalog; nothing on disk is touched."""
        one = self._current()
        if one is None:
            return

        def answered(text: str) -> None:
            if text.lower() in ("y", "yes"):
                self._change(lambda catalog: _removed(catalog, one))

        question = f"Take {one.row.folder.name} and its {plural(one.files, 'file')} out? [y/n]"
        self.screen.query_one(PromptLine).ask(question, answered, hint="nothing leaves the disk")


def _looked_at(session: Session) -> list[Shown]:
    """The roots as they are now. For worker threads.

    :raises CatalogError: the catalog cannot be read.
    """
    from modelhub.services.watch.standing import asked

    watches = asked(session.jobs.durable.contact)
    by_root = {one.root: one for one in watches or ()}
    return [
        Shown(
            row,
            session.catalog.count_files(row.id),
            row.folder.is_dir(),
            by_root.get(str(row.folder)),
            watches is not None,
        )
        for row in session.catalog.roots()
    ]


def _removed(catalog: Catalog, one: Shown) -> str:
    catalog.remove_root(one.row.id, forget=True)
    return f"{one.row.folder} is no root any more; nothing left the disk"
