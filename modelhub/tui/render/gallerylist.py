"""The list of what was rendered, asked for page by page, and what is done with a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.binding import Binding, BindingType
from textual.message import Message

from modelhub.errors import ModelhubError
from modelhub.text import clean
from modelhub.tui.render.gallery import GRID, grids_of, listing
from modelhub.tui.widgets.promptline import PromptLine
from modelhub.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from modelhub.services.render import ShownRender
    from modelhub.tui.app import ModelhubApp

PAGE = 100
"""Pictures that are asked for at once."""


class Gallery(Rows):
    """Grids of this run of the program, then all pictures of the catalog, the latest first."""

    BINDING_GROUP_TITLE = "Gallery"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o,enter", "open", "open", key_display="o", tooltip="In the system's viewer"),
        Binding("e", "use", "use settings", tooltip="Fill the form with those of the picture"),
        Binding("d,delete", "delete", "delete", key_display="d"),
        Binding("v", "preview", "as preview", tooltip="Make it the preview of its model"),
    ]

    class Used(Message):
        """The form is to be filled with what a picture was made with."""

        def __init__(self, render: ShownRender) -> None:
            super().__init__()
            self.render = render

    def __init__(self) -> None:
        super().__init__()
        self.border_title = "Rendered before"
        self.empty_text = "nothing was rendered yet"
        self._renders: dict[str, ShownRender] = {}

    @property
    def hub(self) -> ModelhubApp:
        """The application."""
        return cast("ModelhubApp", self.app)

    @property
    def current(self) -> ShownRender | None:
        """The picture under the cursor; None on a grid."""
        return self._renders.get(self.key)

    @property
    def path(self) -> Path | None:
        """The file under the cursor."""
        if self.key.startswith(GRID):
            return Path(self.key.removeprefix(GRID))
        return self.current.path if self.current is not None else None

    def on_mount(self) -> None:
        """Look for what was made before."""
        self.load()

    @work(thread=True, exclusive=True, group="gallery", exit_on_error=False)
    def load(self, before: int | None = None) -> None:
        """Ask for what was made, or for what was made before a picture."""
        from modelhub.services.render import find_renders

        try:
            found = find_renders(self.hub.session.catalog, limit=PAGE, before=before)
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        self.app.call_from_thread(self._put, found, before is not None)

    @on(Rows.Ended)
    def _near_end(self, event: Rows.Ended) -> None:
        event.stop()
        if self._renders and len(self._renders) % PAGE == 0:
            self.load(min(map(int, self._renders)))

    def _put(self, found: Sequence[ShownRender], more: bool) -> None:
        if not self.is_mounted:
            return
        kept = self._renders if more else {}
        self._renders = {**kept, **{str(one.row.id): one for one in found}}
        grids = grids_of(self.hub.board.jobs.values())
        self.show(listing(grids, self._renders.values()))

    # What is done with a picture

    def on_rows_opened(self, event: Rows.Opened) -> None:
        """A double click opens it."""
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        """Show it in the system's viewer."""
        if self.path is not None:
            self.open_file(self.path)

    def open_file(self, path: Path) -> None:
        """Show any picture in the system's viewer."""
        from modelhub.services.viewing import open_in_viewer

        self._in_thread(lambda: open_in_viewer(path))

    def action_use(self) -> None:
        """Fill the form with what it was made with."""
        if self.current is not None:
            self.post_message(self.Used(self.current))

    def action_delete(self) -> None:
        """Delete it, once that is confirmed."""
        from modelhub.services.render import delete_render

        if self.current is None:
            return
        number = self.current.row.id

        def answered(text: str) -> None:
            if text.casefold() in ("y", "yes"):
                self._in_thread(lambda: delete_render(self.hub.session.catalog, number))

        line = self.screen.query_one(PromptLine)
        line.ask(f"Delete render {number}? yes or no:", answered)

    def action_preview(self) -> None:
        """Make it the preview of its model."""
        from modelhub.services.render import make_preview

        if self.current is None:
            return
        number = self.current.row.id

        def make() -> str:
            paths = make_preview(self.hub.session.catalog, number)
            return f"written: {', '.join(path.name for path in paths)}"

        self._in_thread(make)

    @work(thread=True, group="do", exit_on_error=False)
    def _in_thread(self, do: Callable[[], str | None]) -> None:
        try:
            said = do()
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        if said:
            self.app.call_from_thread(self._done, said)

    def _done(self, said: str) -> None:
        self.hub.notify(clean(said), markup=False)
        self.load()
