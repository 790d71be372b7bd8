"""The library: what is on this disk."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from modelhub.tui.screens.section import Section


class LibraryScreen(Section):
    """The list of files."""

    section = "library"
    BINDING_GROUP_TITLE = "Library"

    def compose_body(self) -> ComposeResult:
        """The list."""
        yield Static("")
