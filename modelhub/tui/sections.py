"""Which screens there are, in the order of the bar at the top; each is imported when shown."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.tui.screens.section import Section


@dataclass(frozen=True, slots=True)
class Entry:
    """A screen that is imported when it is first shown.

    :param title: what the bar calls it.
    :param key: what shows it.
    :param target: `module:class`, the module inside `modelhub.tui.screens`.
    :param summary: its line in the command palette.
    """

    title: str
    key: str
    target: str
    summary: str


SECTIONS: dict[str, Entry] = {
    "library": Entry("Library", "1", "library:LibraryScreen", "What is on this disk"),
    "browse": Entry("Browse", "2", "browse:BrowseScreen", "Search Civitai and pull"),
    "jobs": Entry("Jobs", "3", "jobs:JobsScreen", "What runs, waits and has ended"),
    "convert": Entry("Convert", "4", "convert:ConvertScreen", "Precision, format, parts"),
    "render": Entry("Render", "5", "render:RenderScreen", "Test images, alone or side by side"),
    "settings": Entry("Settings", "6", "settings:SettingsScreen", "Settings, roots and doctor"),
}
FIRST = "library"


def new_section(name: str) -> Section:
    """The screen `name`, imported now."""
    module_name, _, attribute = SECTIONS[name].target.partition(":")
    module = import_module(f"modelhub.tui.screens.{module_name}")
    screen: Section = getattr(module, attribute)()
    return screen
