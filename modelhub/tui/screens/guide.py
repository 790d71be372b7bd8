"""The guide of the first run: folders of other tools, the key, and off it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, SelectionList, Static
from textual.widgets.selection_list import Selection

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import JobKind, JobRequest
from modelhub.text import clean, plural, shorten

if TYPE_CHECKING:
    from modelhub.placement.adoption import Detected
    from modelhub.tui.app import ModelhubApp

_WELCOME = (
    "Welcome. modelhub keeps a catalog of your models where they are: nothing is moved, "
    "changed or copied."
)
_FOUND = "These tools were found; choose whose models it should know."
_NONE = "No ComfyUI, web UI, Forge, InvokeAI or Stability Matrix was found; name a folder below."


class GuideScreen(ModalScreen[None]):
    """One page, which can be left at any time."""

    DEFAULT_CSS = """
    GuideScreen { align: center middle; }
    GuideScreen > VerticalScroll {
        width: 78; max-width: 100%; height: auto; max-height: 100%; background: $surface;
        border: round $primary; padding: 0 1;
    }
    GuideScreen Static { height: auto; width: 1fr; }
    GuideScreen SelectionList, GuideScreen SelectionList:focus {
        height: auto; max-height: 7; border: none; padding: 0; margin-top: 1;
    }
    GuideScreen Input { height: 1; border: none; padding: 0; background: $panel; }
    GuideScreen .label { margin-top: 1; text-style: bold; color: $primary; }
    GuideScreen Checkbox { border: none; padding: 0; margin-top: 1; background: $surface; }
    GuideScreen Horizontal { height: 1; margin-top: 1; }
    GuideScreen Button { margin-right: 2; }
    """
    BINDING_GROUP_TITLE = "Guide"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "later", "later"),
        Binding("ctrl+s", "begin", "begin"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: list[Detected] = []

    def compose(self) -> ComposeResult:
        """The page."""
        with VerticalScroll() as box:
            box.border_title = "First steps"
            box.border_subtitle = "^s begins · esc later; ctrl+g shows this again"
            yield Static(_WELCOME, id="welcome", markup=False)
            yield SelectionList[int]()
            yield Static("Another folder with models", classes="label", markup=False)
            yield Input(placeholder="~/models", id="folder", compact=True)
            yield Static("Civitai API key, if you have one", classes="label", markup=False)
            yield Input(
                placeholder="some files need it; kept in the keyring",
                id="key",
                password=True,
                compact=True,
            )
            yield Checkbox("Ask Civitai, by hash, what the models are", value=True, compact=True)
            with Horizontal():
                yield Button("Begin", id="begin", variant="primary", compact=True)
                yield Button("Later", id="later", compact=True)

    def on_mount(self) -> None:
        """Look for other tools."""
        self.query_one(SelectionList).display = False
        self._look()

    @property
    def _hub(self) -> ModelhubApp:
        return cast("ModelhubApp", self.app)

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def _look(self) -> None:
        from modelhub.services.adopt.finding import find_tools

        found = list(find_tools())
        self.app.call_from_thread(self._show, found)

    def _show(self, found: list[Detected]) -> None:
        if not self.is_mounted:
            return
        self._found = found
        choices = self.query_one(SelectionList)
        self.query_one("#welcome", Static).update(f"{_WELCOME} {_FOUND if found else _NONE}")
        if not found:
            self.query_one("#folder").focus()
            return
        choices.display = True
        choices.add_options(
            Selection(shorten(clean(f"{one.tool}: {one.path}"), 66, middle=True), number, True)
            for number, one in enumerate(found)
        )
        choices.focus()

    @on(Button.Pressed, "#begin")
    def action_begin(self) -> None:
        """Adopt what is chosen, and index it."""
        chosen = [self._found[number].path for number in self.query_one(SelectionList).selected]
        folder = self.query_one("#folder", Input).value.strip()
        if folder:
            chosen.append(Path(folder).expanduser())
        key = self.query_one("#key", Input).value.strip()
        self._adopt(chosen, key, self.query_one(Checkbox).value)

    @on(Button.Pressed, "#later")
    def action_later(self) -> None:
        """Leave; it does not come by itself again."""
        self._hub.session.remembered.guided = True
        self.dismiss()

    @work(thread=True, exclusive=True, group="adopt", exit_on_error=False)
    def _adopt(self, paths: list[Path], key: str, match: bool) -> None:
        from modelhub.services.adopt import adopt
        from modelhub.services.credentials import check_form, store_key

        session = self._hub.session
        try:
            if key:
                store_key(check_form(key, "the key"), session.environ)
            targets: list[Path] = []
            if paths:
                report = adopt(paths, config=session.config, catalog=session.catalog, index=False)
                targets = report.targets
            if targets:
                first = session.jobs.enqueue(
                    JobRequest(
                        kind=JobKind.INDEX,
                        arguments={"paths": [str(one) for one in targets]},
                        title=f"index {plural(len(targets), 'folder')}",
                    )
                )
                if match:
                    session.jobs.enqueue(
                        JobRequest(
                            kind=JobKind.MATCH,
                            arguments={},
                            title="ask Civitai what the models are",
                            after=[first.id],
                        )
                    )
        except ModelhubError as error:
            self.app.call_from_thread(self._hub.tell_error, error)
            return
        self.app.call_from_thread(self._begun, len(targets))

    def _begun(self, folders: int) -> None:
        text = f"indexing {plural(folders, 'folder')}; 3 shows how far it is" if folders else ""
        if text:
            self._hub.notify(text)
        self.action_later()
