"""The keys that move the cursor of every list: arrows and vim's."""

from __future__ import annotations

from textual.binding import Binding, BindingType

CURSOR_KEYS: tuple[BindingType, ...] = (
    Binding("down,j", "move(1)", "Down", show=False),
    Binding("up,k", "move(-1)", "Up", show=False),
    Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False),
    Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
    Binding("ctrl+d", "page(0.5)", "Half a page down", show=False),
    Binding("ctrl+u", "page(-0.5)", "Half a page up", show=False),
)
"""For a widget with the actions `move` (rows) and `page` (heights of the list)."""
