"""Stands in for a screen that this checkout does not have yet."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from modelhub.tui.screens.section import Section


class UnreadyScreen(Section):
    """Says that the screen is not there."""

    def __init__(self, name: str) -> None:
        super().__init__()
        type(self).section = name

    def compose_body(self) -> ComposeResult:
        """One line."""
        yield Static("This screen is not there yet.")
