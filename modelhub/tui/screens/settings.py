"""The Settings screen: settings, roots, doctor, the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, TabbedContent, TabPane

from modelhub.errors import ModelhubError
from modelhub.tui.screens.section import Section
from modelhub.tui.settings.doctorpane import DoctorPane
from modelhub.tui.settings.rootspane import RootsPane
from modelhub.tui.settings.settingspane import SettingsPane
from modelhub.tui.widgets.promptline import PromptLine

if TYPE_CHECKING:
    from modelhub.services.jobs.model import Job

PANES = ("settings", "roots", "doctor")


class SettingsScreen(Section):
    """Three panes."""

    section = "settings"
    BINDING_GROUP_TITLE = "Settings"
    CSS = """
    SettingsScreen TabbedContent { height: 1fr; }
    SettingsScreen TabPane { padding: 0; height: 1fr; }
    SettingsScreen ContentTabs { dock: top; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket,l", "pane(1)", "next", key_display="]"),
        Binding("left_square_bracket,h", "pane(-1)", "previous", key_display="[", show=False),
        Binding("K", "login", "API key", tooltip="Store your Civitai API key"),
        Binding("ctrl+g", "guide", "guide", show=False, tooltip="The guide of the first run"),
    ]

    def compose_body(self) -> ComposeResult:
        """The panes."""
        with TabbedContent(initial="settings"):
            with TabPane("Settings", id="settings"):
                yield SettingsPane()
            with TabPane("Roots", id="roots"):
                yield RootsPane()
            with TabPane("Doctor", id="doctor"):
                yield DoctorPane()
        yield PromptLine()

    def on_mount(self) -> None:
        """Begin with the settings."""
        self.query_one(SettingsPane).query_one(OptionList).focus()

    def shown(self) -> None:
        """Roots may have changed meanwhile."""
        self.query_one(RootsPane).look()

    def jobs_changed(self, changed: Sequence[Job]) -> None:
        """An index may have ended."""
        if any(job.state.ended for job in changed):
            self.query_one(RootsPane).look()

    def action_pane(self, by: int) -> None:
        """The next pane, or the one before."""
        tabs = self.query_one(TabbedContent)
        at = PANES.index(tabs.active) if tabs.active in PANES else 0
        self.show_pane(PANES[(at + by) % len(PANES)])

    def show_pane(self, name: str) -> None:
        """Show one of :data:`PANES`."""
        self.query_one(TabbedContent).active = name

    @on(TabbedContent.TabActivated)
    def _activated(self, event: TabbedContent.TabActivated) -> None:
        event.stop()
        if event.pane.id == "doctor":
            doctor = self.query_one(DoctorPane)
            doctor.focus()
            doctor.action_examine()
        else:
            event.pane.query_one(OptionList).focus()

    def action_login(self) -> None:
        """Ask for the API key."""
        self.query_one(PromptLine).ask(
            "Civitai API key:", self._store, hint="not shown; kept in the keyring", password=True
        )

    def _store(self, text: str) -> None:
        if text:
            self._log_in(text)

    @work(thread=True, exclusive=True, group="login", exit_on_error=False)
    def _log_in(self, text: str) -> None:
        from modelhub.services.credentials import check_form, store_key, whose_key

        session = self.session
        try:
            key = check_form(text, "the key")
            owner = whose_key(session.config, key)
            stored = store_key(key, session.environ)
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        said = f"logged in as {owner}; the key is in {stored}"
        self.app.call_from_thread(self.hub.notify, said, markup=False)

    def action_guide(self) -> None:
        """Show the guide of the first run."""
        self.hub.action_guide()
