"""A picture, read and made small in a thread, shown as well as the terminal can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import work
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static
from textual.worker import get_current_worker

from modelhub.errors import ModelhubError
from modelhub.text import clean

if TYPE_CHECKING:
    from PIL.Image import Image


class Picture(Container):
    """Shows one picture at a time, or a line of text in its place."""

    DEFAULT_CSS = """
    Picture { height: auto; width: 1fr; align: center middle; }
    Picture > Static { width: 1fr; height: auto; color: $text-muted; text-align: center; }
    Picture > .picture { width: auto; height: auto; max-height: 100%; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._image: Any = None
        self._source: Path | bytes | None = None

    def compose(self) -> ComposeResult:
        """The line of text; the picture is mounted when there is one."""
        yield Static("", markup=False)

    def show(self, source: Path | bytes | None, text: str = "") -> None:
        """Show the picture of a file or of its bytes, or `text` where there is none."""
        if source is not None and source == self._source:
            return
        self._source = source
        if source is None:
            self.workers.cancel_group(self, "picture")
            self._tell(text)
        else:
            self._load(source)

    @work(thread=True, exclusive=True, group="picture", exit_on_error=False)
    def _load(self, source: Path | bytes) -> None:
        from modelhub.tui.pictures import small_picture, widget_class

        worker = get_current_worker()
        try:
            picture, kind = small_picture(source), widget_class()
        except ModelhubError as error:
            if not worker.is_cancelled:
                self.app.call_from_thread(self._tell, clean(error.message))
            return
        if not worker.is_cancelled:
            self.app.call_from_thread(self.call_later, self._put, picture, kind)

    def _tell(self, text: str) -> None:
        if not self.is_mounted:
            return
        line = self.query_one(Static)
        line.update(text)
        line.display = bool(text)
        if self._image is not None:
            self._image.display = False

    async def _put(self, picture: Image, kind: Any) -> None:
        if not self.is_mounted:
            return
        self.query_one(Static).display = False
        if self._image is None:
            self._image = kind(picture, classes="picture")
            await self.mount(self._image)
        else:
            self._image.image = picture
        self._image.display = True
