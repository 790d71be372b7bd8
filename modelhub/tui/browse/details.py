"""The details of a found model: picture, versions with their files, facts about one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from modelhub.services.browse import chosen_file
from modelhub.tui.browse.facts import facts, heading
from modelhub.tui.browse.listing import file_key, files
from modelhub.tui.widgets.picture import Picture
from modelhub.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from modelhub.civitai.schema import ModelFile, Version
    from modelhub.services.browse import Browsed


class Facts(VerticalScroll):
    """Text that scrolls."""

    BINDING_GROUP_TITLE = "Details"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
    ]


class FoundDetails(Vertical):
    """The pane. Which file the cursor stands on is what would be pulled."""

    DEFAULT_CSS = """
    FoundDetails { width: 1fr; height: 1fr; padding: 0 1; border-left: vkey $panel; }
    FoundDetails:focus-within { border-left: vkey $primary; }
    FoundDetails .heading { height: auto; max-height: 4; }
    FoundDetails #choice { height: 9; margin: 0 0 1 0; }
    FoundDetails #choice > Rows { width: 1fr; }
    FoundDetails #choice > Picture { width: 18; height: 9; margin: 0 0 0 1; }
    FoundDetails.tall #choice { height: 16; margin: 1 0; }
    FoundDetails.tall #choice > Picture { width: 28; height: 16; }
    FoundDetails Facts { height: 1fr; scrollbar-size-vertical: 1; }
    FoundDetails Facts > Static { height: auto; }
    """

    class Chosen(Message):
        """Another version is looked at."""

        def __init__(self, version: Version) -> None:
            super().__init__()
            self.version = version

    def __init__(self) -> None:
        super().__init__()
        self.found: Browsed | None = None
        self._places: Mapping[int, Path] = {}
        self._version_id: int | None = None

    def compose(self) -> ComposeResult:
        """Heading, files beside the picture, facts."""
        yield Static("", classes="heading", markup=False)
        with Horizontal(id="choice"):
            yield Rows()
            yield Picture()
        with Facts():
            yield Static("", markup=False)

    def show(self, found: Browsed | None) -> None:
        """Show another model, from its default file, or the same one anew."""
        same = (
            found is not None and self.found is not None and found.model.id == self.found.model.id
        )
        self.found = found
        rows = self.query_one(Rows)
        if found is None:
            self.query_one(".heading", Static).update("")
            rows.show([])
            self.query_one(Picture).show(None)
            self._show_facts()
            return
        self.query_one(".heading", Static).update(heading(found.model))
        rows.show(files(found.model, self._places), to_top=not same)
        if not same:
            self._places = {}
            self._to_default(found, rows)
        self._show_facts()

    def _to_default(self, found: Browsed, rows: Rows) -> None:
        newest = found.newest
        file = chosen_file(newest, found.model) if newest is not None else None
        if newest is not None and file is not None:
            rows.go_to(file_key(newest, file))
        self._version_id = None
        self._tell_version()

    @property
    def choice(self) -> tuple[Version, ModelFile] | None:
        """The file under the cursor, with its version."""
        if self.found is None:
            return None
        key = self.query_one(Rows).key
        for version in self.found.model.versions:
            for file in version.files:
                if file_key(version, file) == key:
                    return version, file
        return None

    @property
    def version(self) -> Version | None:
        """The version under the cursor; the newest, where none has files."""
        if self.choice is not None:
            return self.choice[0]
        versions = self.found.model.versions if self.found is not None else []
        return versions[0] if versions else None

    @on(Rows.Pointed)
    def _pointed(self, event: Rows.Pointed) -> None:
        event.stop()
        self._show_facts()
        self._tell_version()

    @on(Rows.Ended)
    def _ended(self, event: Rows.Ended) -> None:
        event.stop()

    def _tell_version(self) -> None:
        version = self.version
        if version is not None and version.id != self._version_id:
            self._version_id = version.id
            self.post_message(self.Chosen(version))

    def _show_facts(self) -> None:
        text = self.query_one(Facts).query_one(Static)
        if self.found is None:
            text.update("")
            return
        file = self.choice[1] if self.choice is not None else None
        place = self._places.get(file.id) if file is not None else None
        text.update(facts(self.found.model, self.version, file, place))
        self.query_one(Facts).scroll_home(animate=False)

    def put_places(self, model_id: int, places: Mapping[int, Path]) -> None:
        """Take in where files of the model are on this disk."""
        if self.found is not None and self.found.model.id == model_id:
            self._places = {**self._places, **places}
            self.query_one(Rows).show(files(self.found.model, self._places))
            self._show_facts()

    def put_picture(self, version_id: int, picture: bytes, why_not: str) -> None:
        """Show the picture of a version, or why there is none."""
        if self._version_id == version_id:
            self.query_one(Picture).show(picture or None, why_not)
