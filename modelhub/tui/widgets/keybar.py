"""The line at the bottom: the keys that work now, as many as there is room for."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.content import Content
from textual.events import Click
from textual.screen import Screen
from textual.widget import Widget

from modelhub.text import cell_width

_LAST = "help"


@dataclass(frozen=True, slots=True)
class _Key:
    shown: str
    text: str
    action: str
    enabled: bool

    @property
    def width(self) -> int:
        return cell_width(self.shown) + cell_width(self.text) + 3


def _places(keys: list[_Key], width: int) -> list[tuple[int, _Key]]:
    """Where each key stands; those without room are left out, the help never."""
    ahead = [key for key in keys if key.action != _LAST]
    last = [key for key in keys if key.action == _LAST]
    room = width - sum(key.width for key in last)
    places, at = [], 0
    for key in ahead:
        if at + key.width > room:
            break
        places.append((at, key))
        at += key.width
    places += [(max(at, width - key.width), key) for key in last]
    return places


class KeyBar(Widget):
    """One line, made of the bindings of what has the focus; a click does what the key would."""

    DEFAULT_CSS = """
    KeyBar { height: 1; width: 1fr; background: $panel; color: $foreground; }
    """

    def compose(self) -> ComposeResult:
        """Nothing: it draws itself."""
        return []

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def _keys(self) -> list[_Key]:
        keys: dict[str, _Key] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show and binding.description and binding.action not in keys:
                shown = self.app.get_key_display(binding)
                keys[binding.action] = _Key(shown, binding.description, binding.action, enabled)
        return list(keys.values())

    def render(self) -> Content:
        """The keys and what they do."""
        parts: list[tuple[str, str]] = []
        at = 0
        for start, key in _places(self._keys(), self.size.width):
            parts.append((" " * (start - at), ""))
            parts.append((f" {key.shown}", "bold $accent" if key.enabled else "dim"))
            parts.append((f" {key.text} ", "" if key.enabled else "dim"))
            at = start + key.width
        return Content.assemble(*parts)

    async def on_click(self, event: Click) -> None:
        """Do what the key that was clicked does."""
        for start, key in _places(self._keys(), self.size.width):
            if start <= event.x < start + key.width and key.enabled:
                await self.screen.run_action(key.action)
