"""Files of the catalog, found by the search language, of which one or several are taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import get_current_worker

from modelhub.errors import ModelhubError
from modelhub.text import clean, human_size, pad, shorten
from modelhub.tui.widgets.rows import Piece, Row, Rows

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow
    from modelhub.tui.app import ModelhubApp

MOST = 500
_AFTER = 0.12
LONGEST = 4_000


class FilePicker(ModalScreen[tuple[Path, ...] | None]):
    """What is typed narrows the list; a path of a file that the catalog does not know will do too.

    :param title: what the files are for.
    :param query: what is put before what is typed: ``type:vae``.
    :param several: whether more than one may be taken.
    """

    DEFAULT_CSS = """
    FilePicker { align: center middle; }
    FilePicker > Vertical {
        width: 96; max-width: 100%; height: 80%; background: $surface;
        border: round $primary; padding: 0 1;
    }
    FilePicker Input { height: 1; border: none; padding: 0; background: $surface; }
    """
    BINDING_GROUP_TITLE = "Files"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", priority=True),
        Binding("down,ctrl+n", "move(1)", show=False, priority=True),
        Binding("up,ctrl+p", "move(-1)", show=False, priority=True),
        Binding("tab", "mark", "mark", priority=True),
        Binding("enter", "take", "take", priority=True),
    ]

    def __init__(self, title: str, query: str = "", *, several: bool = False) -> None:
        super().__init__()
        self._title, self._query, self._several = title, query, several
        self._found: dict[str, FileRow] = {}
        self._marked: dict[str, Path] = {}
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """What is typed, and the list."""
        with Vertical() as box:
            box.border_title = self._title
            marks = "tab marks · " if self._several else ""
            box.border_subtitle = f"{marks}enter takes · esc closes"
            yield Input(placeholder="words, a query, or a path", max_length=LONGEST, compact=True)
            rows = Rows()
            rows.can_focus, rows.active = False, True
            yield rows

    def on_mount(self) -> None:
        """All of them at first."""
        self._find("")

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one(Rows)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_AFTER, lambda: self._find(event.value))

    @work(thread=True, exclusive=True, group="find", exit_on_error=False)
    def _find(self, typed: str) -> None:
        worker = get_current_worker()
        app: ModelhubApp = self.app  # type: ignore[assignment]
        try:
            found, why_not = _found(app.session.catalog, f"{self._query} {typed}".strip()), ""
        except ModelhubError as error:
            found, why_not = [], error.message
        if not worker.is_cancelled:
            app.call_from_thread(self._show, found, why_not or "nothing found")

    def _show(self, found: list[FileRow], nothing: str) -> None:
        if not self.is_mounted:
            return
        self._found = {str(row.id): row for row in found}
        self.rows.empty_text = clean(nothing)
        self.rows.show([Row(key, partial(self._line, key)) for key in self._found], to_top=True)

    def _line(self, key: str, width: int) -> Sequence[Piece]:
        from modelhub.services.listed import file_name

        row = self._found[key]
        tail = f"{shorten(row.type or '', 10):<10} {shorten(row.base or '', 9):<9} "
        tail += f"{row.precision or '':<5} {human_size(row.size):>10}"
        room = width - len(tail) - 3
        mark = "✓ " if key in self._marked else "  "
        name = shorten(clean(file_name(row)), room, middle=True)
        return [(mark, "accent"), (pad(name, room) + " ", ""), (tail, "muted")]

    def action_move(self, by: int) -> None:
        """Up or down."""
        self.rows.action_move(by)

    def action_mark(self) -> None:
        """Mark the file under the cursor, or take the mark away."""
        key = self.rows.key
        if key and self._several:
            if self._marked.pop(key, None) is None:
                self._marked[key] = self._path(key)
            self.rows.action_move(1)
            self.rows.refresh()

    def _path(self, key: str) -> Path:
        from modelhub.services.listed import model_path

        return model_path(self._found[key])

    @on(Rows.Opened)
    def _opened(self) -> None:
        self.action_take()

    def action_take(self) -> None:
        """Take what is marked, else the file under the cursor, else the path that was typed."""
        typed = self.query_one(Input).value.strip()
        if self._marked:
            self.dismiss(tuple(self._marked.values()))
        elif self.rows.key:
            self.dismiss((self._path(self.rows.key),))
        elif "/" in typed:
            self.dismiss((Path(typed).expanduser().absolute(),))

    def action_leave(self) -> None:
        """Take none."""
        self.dismiss(None)


def _found(catalog: Catalog, query: str) -> list[FileRow]:
    from modelhub.catalog import FileState

    rows = catalog.list_files(query, limit=MOST)
    return [row for row in rows if row.state is not FileState.MISSING]
