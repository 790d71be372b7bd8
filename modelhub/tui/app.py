"""The application: which screen is shown, the jobs that all of them see, the colours, the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen

from modelhub.tui.keysinturn import KeysInTurn
from modelhub.tui.sections import FIRST, SECTIONS, new_section
from modelhub.tui.themes import DARK, THEMES
from modelhub.tui.widgets.topbar import TopBar

if TYPE_CHECKING:
    from modelhub.services.jobs.model import Job, JobRequest
    from modelhub.tui.jobboard import JobBoard
    from modelhub.tui.screens.section import Section
    from modelhub.tui.session import Session

FOLLOW_AFTER = 0.4
"""Seconds after which the jobs are followed: what that imports would keep the rows waiting."""
LOOK = 0.2
"""Seconds between two looks at what the jobs told."""


class Opening(Screen[None]):
    """What is painted at once, while the screens themselves are still being imported.

    :param section: the screen that comes.
    """

    def __init__(self, section: str) -> None:
        super().__init__()
        self._section = section

    def compose(self) -> Iterable[TopBar]:
        """The bar at the top."""
        yield TopBar(self._section)


class ModelhubApp(KeysInTurn):
    """`modelhub tui`.

    :param session: settings, catalog, jobs and memory of this run.
    """

    TITLE = "modelhub"
    BINDING_GROUP_TITLE = "Everywhere"
    CSS = """
    Screen { background: $background; }
    ModalScreen { background: $background 60%; }
    """
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(entry.key, f"section('{name}')", entry.title, show=False)
            for name, entry in SECTIONS.items()
        ),
        Binding("q", "leave", "quit", show=False),
        Binding("ctrl+c", "leave", "Quit", show=False, system=True),
        Binding("question_mark,f1", "help", "keys", key_display="?"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.library_text = ""
        """How large the library is, as the bar at the top says it."""
        self.unwritten = 0
        """Changes of the user that wait for a catalog which another process holds."""
        self._at_work: set[str] = set()
        """Ids of the jobs whose end is still to be told."""
        self._warned = False
        for theme in THEMES:
            self.register_theme(theme)
        remembered = session.remembered.theme
        self.theme = remembered if remembered in self.available_themes else DARK
        for name in SECTIONS:
            self.add_mode(name, partial(new_section, name))

    @cached_property
    def board(self) -> JobBoard:
        """The jobs, as they were last told."""
        from modelhub.tui.jobboard import JobBoard

        return JobBoard()

    # The screens

    @property
    def _first(self) -> str:
        name = self.session.remembered.section
        return name if name in SECTIONS else FIRST

    def get_default_screen(self) -> Screen[Any]:
        """What is painted first of all."""
        return Opening(self._first)

    def on_mount(self) -> None:
        """Paint, and then go on."""
        self._catch_signals()
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        """Show the screen that was shown last, then follow the jobs."""
        await self.switch_mode(self._first)
        self.set_interval(LOOK, self._look)
        self.set_timer(FOLLOW_AFTER, self._follow_jobs)

    async def action_section(self, name: str) -> None:
        """Show the screen `name`."""
        self.session.remembered.section = name
        await self.switch_mode(name)

    def action_help(self) -> None:
        """Show the keys of this screen."""
        from modelhub.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_guide(self) -> None:
        """Show the guide of the first run."""
        from modelhub.tui.screens.guide import GuideScreen

        if not isinstance(self.screen, GuideScreen):
            self.push_screen(GuideScreen())

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the command palette offers beside the screens' own."""
        for name, entry in SECTIONS.items():

            async def go(name: str = name) -> None:
                await self.action_section(name)

            yield SystemCommand(entry.title, entry.summary, go)
        yield SystemCommand("Keys", "The keys of this screen", self.action_help)
        yield SystemCommand("Theme", "Choose the colours", self.action_change_theme)
        yield SystemCommand("Quit", "Leave modelhub", self.action_leave)

    async def open_convert(self, paths: Sequence[Path]) -> None:
        """Show the Convert screen with these files; its `take(paths)` gets them."""
        await self._hand_over("convert", paths)

    async def open_render(self, paths: Sequence[Path]) -> None:
        """Show the Render screen with these files; its `take(paths)` gets them."""
        await self._hand_over("render", paths)

    async def _hand_over(self, name: str, paths: Sequence[Path]) -> None:
        await self.action_section(name)
        take = getattr(self.screen_stack[0], "take", None)
        if take is not None:
            take(tuple(paths))

    # The jobs

    @work(thread=True, exclusive=True, group="jobs", exit_on_error=False)
    def _follow_jobs(self) -> None:
        from modelhub.errors import ModelhubError

        try:
            self.board.watch(self.session.jobs)
        except ModelhubError as error:
            self.call_from_thread(self.tell_error, error)

    @work(thread=True, group="enqueue", exit_on_error=False)
    def enqueue(self, request: JobRequest) -> None:
        """Ask for a job; what refuses it is told."""
        from modelhub.errors import ModelhubError

        try:
            job = self.session.jobs.enqueue(request)
        except ModelhubError as error:
            self.call_from_thread(self.tell_error, error)
        else:
            self.call_from_thread(self._at_work.add, job.id)

    def _look(self) -> None:
        changed = self.board.take()
        if not changed:
            return
        for job in changed:
            self._tell_end(job)
        section = self._front()
        if section is None:
            return
        # A job may end while the program does, and the section's parts are being taken away.
        with contextlib.suppress(NoMatches):
            self.freshen_bars(section)
            section.jobs_changed(changed)

    def _tell_end(self, job: Job) -> None:
        """Say that a job ended, unless it had when this run began."""
        if not job.state.ended:
            self._at_work.add(job.id)
            self._warned = False
        elif job.id in self._at_work:
            from modelhub.services.jobs.model import JobState
            from modelhub.tui.jobboard import ending_of

            self._at_work.discard(job.id)
            told = ending_of(job)
            severity = "information" if job.state is JobState.DONE else "warning"
            self.notify(told, severity=severity, markup=False)  # type: ignore[arg-type]

    def _front(self) -> Section | None:
        from modelhub.tui.screens.section import Section

        screen = self.screen_stack[0] if self.screen_stack else None
        return screen if isinstance(screen, Section) and screen.is_mounted else None

    def freshen_bars(self, section: Section) -> None:
        """Bring the bars of `section` up to date with the jobs."""
        from modelhub.tui.widgets.activity import ActivityBar

        running = self.board.running()
        at_work = sum(not job.state.ended for job in self.board.jobs.values())
        for activity in section.query(ActivityBar):
            activity.job = running[0] if running else None
            activity.others = max(0, len(running) - 1)
        for bar in section.query(TopBar):
            bar.at_work = at_work
            bar.library = self.library_text

    # Telling

    def tell_error(self, error: Exception) -> None:
        """Say what went wrong in a toast; an error of modelhub brings its hint."""
        from modelhub.text import clean

        text = clean(getattr(error, "message", str(error)), lines=True)
        hint = clean(getattr(error, "hint", ""), lines=True)
        self.notify(f"{text}\n{hint}" if hint else text, severity="error", markup=False, timeout=10)

    # The end

    def _catch_signals(self) -> None:
        """SIGTERM and a closed terminal leave as `q` does, so that the terminal is put back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self.exit)

    def action_leave(self) -> None:
        """Leave; where jobs would stop with this process, the second time only."""
        lost = self._lost_by_leaving()
        if lost and not self._warned:
            self._warned = True
            self.notify(lost, severity="warning")
        else:
            self.exit()

    def _lost_by_leaving(self) -> str:
        number = self.session.working_here(self._at_work)
        if self.unwritten:
            what = "a change waits" if self.unwritten == 1 else f"{self.unwritten} changes wait"
            return f"{what} for the catalog and would be lost; again to leave all the same"
        if not number:
            return ""
        what = "1 job runs" if number == 1 else f"{number} jobs run"
        text = f"{what} in this window and would stop; again to leave all the same"
        return f"{text}. A later start goes on where they were."

    def on_unmount(self) -> None:
        """Follow no longer."""
        self.board.close()


def run(session: Session) -> None:
    """Show the terminal UI until the user leaves; the session is closed and its state kept."""
    app = ModelhubApp(session)
    try:
        app.run()
    finally:
        session.remembered.theme = app.theme
        session.save_state()
        session.close()
