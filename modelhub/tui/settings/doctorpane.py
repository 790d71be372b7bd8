"""Doctor: whether everything is in order, and what to do where it is not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static
from textual.worker import get_current_worker

from modelhub.text import clean

if TYPE_CHECKING:
    from modelhub.services.doctor import Check
    from modelhub.tui.app import ModelhubApp

_SIGNS = {"ok": ("✓ ok     ", "$success"), "warning": ("! warning", "bold $warning")}
_FAILED = ("✗ failed ", "bold $error")


class DoctorPane(VerticalScroll):
    """A list of checks, each shown when it is made."""

    DEFAULT_CSS = """
    DoctorPane { padding: 0 1; background: $background; }
    DoctorPane > Static { height: auto; }
    """
    BINDING_GROUP_TITLE = "Doctor"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,ctrl+r", "examine", "check again"),
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Content] = []
        self._cancel = threading.Event()

    def compose(self) -> ComposeResult:
        """The list."""
        yield Static("", markup=False)

    def action_examine(self) -> None:
        """Check everything."""
        self._cancel.set()
        self._cancel = threading.Event()
        self._lines = []
        self.query_one(Static).update("looking …")
        self._examine(self._cancel)

    def on_unmount(self) -> None:
        """Nobody waits for the answer."""
        self._cancel.set()

    @work(thread=True, exclusive=True, group="doctor", exit_on_error=False)
    def _examine(self, cancel: threading.Event) -> None:
        from modelhub.services.doctor import examine

        worker = get_current_worker()
        session = cast("ModelhubApp", self.app).session
        for check in examine(
            session.config, session.key, offline=False, thorough=False, cancel=cancel
        ):
            if worker.is_cancelled or cancel.is_set():
                return
            self.app.call_from_thread(self._add, check, cancel)
        self.app.call_from_thread(self._add, None, cancel)

    def _add(self, check: Check | None, cancel: threading.Event) -> None:
        if cancel.is_set() or not self.is_mounted:
            return
        if check is not None:
            sign, style = _SIGNS.get(check.verdict, _FAILED)
            line = Content.assemble(
                (sign, style), "  ", (check.subject.ljust(12), "bold"), " ", clean(check.text)
            )
            if check.hint:
                line = line.append(
                    Content.styled(f"\n{' ' * 24}{clean(check.hint)}", "$foreground 60%")
                )
            self._lines.append(line)
        ending = [] if check is not None else [Content.styled("\nenter checks again", "dim")]
        self.query_one(Static).update(Content("\n").join([*self._lines, *ending]))
