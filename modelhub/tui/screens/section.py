"""What every main screen is: the bar at the top, a body, the activity line, the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen

from modelhub.tui.widgets.activity import ActivityBar
from modelhub.tui.widgets.keybar import KeyBar
from modelhub.tui.widgets.topbar import TopBar

if TYPE_CHECKING:
    from modelhub.services.jobs.model import Job
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.session import Session


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
