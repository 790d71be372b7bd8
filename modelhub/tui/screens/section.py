"""What every main screen is: the bar at the top, a body, the activity line, the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Static

from modelhub.tui.widgets.activity import ActivityBar
from modelhub.tui.widgets.keybar import KeyBar
from modelhub.tui.widgets.topbar import TopBar

if TYPE_CHECKING:
    from modelhub.services.jobs.model import Job
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.session import Session


LEAST_SIZE = (60, 14)
"""Columns and lines below which nothing useful can be shown."""


class TooSmall(Static):
    """Covers the screen while the terminal is too small for it."""

    DEFAULT_CSS = """
    TooSmall {
        layer: overlay; width: 100%; height: 100%; background: $background;
        content-align: center middle; display: none;
    }
    """

    def measure(self, width: int, height: int) -> None:
        """Cover the screen, or not."""
        least_width, least_height = LEAST_SIZE
        self.display = width < least_width or height < least_height
        self.update(f"{width}x{height}: too small\n{least_width}x{least_height} at least")


class Section(Screen[None]):
    """A main screen. What derives from it gives `section` and `compose_body`.

    Bindings of a section are shown by the key bar in the order in which they are declared; those
    with `show=False` stand in the help only.
    """

    DEFAULT_CSS = """
    Section { layers: base overlay; }
    Section > #body { height: 1fr; width: 1fr; }
    """
    section: ClassVar[str] = ""
    """Its name in :data:`modelhub.tui.sections.SECTIONS`."""

    def compose(self) -> ComposeResult:
        """The frame with the body in it."""
        yield TopBar(self.section)
        with Container(id="body"):
            yield from self.compose_body()
        yield ActivityBar()
        yield KeyBar()
        yield TooSmall()

    def on_resize(self, event: Resize) -> None:
        """Say so where there is no room."""
        self.query_one(TooSmall).measure(event.size.width, event.size.height)

    def compose_body(self) -> ComposeResult:
        """What stands between the bars."""
        return []

    def jobs_changed(self, changed: Sequence[Job]) -> None:
        """Called in the drawing thread, a few times a second at most, while this screen is shown,
        with the jobs that changed; :attr:`ModelhubApp.board` has them all."""

    def shown(self) -> None:
        """Called each time the screen comes to the front."""

    @property
    def hub(self) -> ModelhubApp:
        """The application."""
        return cast("ModelhubApp", self.app)

    @property
    def session(self) -> Session:
        """What all screens work with."""
        return self.hub.session

    def on_screen_resume(self) -> None:
        """Bring the bars up to date."""
        self.hub.freshen_bars(self)
        self.shown()
