"""Every setting, with where its value is from; Enter changes one, checked before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from modelhub.config.keys import Setting, choices, each_setting
from modelhub.config.load import SourceKind, file_in_effect
from modelhub.errors import ModelhubError
from modelhub.text import clean, pad, shorten
from modelhub.tui.widgets.promptline import PromptLine

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

_NAME, _VALUE = 22, 34


class SettingsPane(Vertical):
    """A list of settings, and what the one under the cursor means."""

    DEFAULT_CSS = """
    SettingsPane > OptionList { height: 1fr; border: none; padding: 0; background: $background; }
    SettingsPane > OptionList:focus { border: none; background-tint: transparent; }
    SettingsPane > OptionList > .option-list--option-disabled { color: $primary; text-style: bold; }
    SettingsPane > .meaning {
        height: 5; padding: 0 1; background: $surface; border-top: hkey $panel;
    }
    """
    BINDING_GROUP_TITLE = "Settings"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "change", priority=True),
        Binding("delete,x", "reset", "default", tooltip="Back to the default"),
        Binding("e", "edit", "edit the file", tooltip="Open the file in your editor"),
        Binding("j", "move('down')", show=False),
        Binding("k", "move('up')", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The list and the meaning."""
        yield OptionList(markup=False)
        yield Static("", classes="meaning", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.fill()

    @property
    def _hub(self) -> ModelhubApp:
        return cast("ModelhubApp", self.app)

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def _file(self) -> Path:
        session = self._hub.session
        return file_in_effect(session.config_path, session.environ)[0]

    def fill(self) -> None:
        """Show the values that are in effect."""
        at = self._list.highlighted
        self._list.clear_options()
        section = ""
        for setting in each_setting():
            if setting.section != section:
                section = setting.section
                self._list.add_option(Option(f" {section}", disabled=True))
            self._list.add_option(Option(self._line(setting), id=setting.name))
        self._list.highlighted = 1 if at is None else at

    def _line(self, setting: Setting) -> Content:
        from modelhub.config.values import hide_login

        source = self._hub.session.loaded.sources[setting.name]
        value = clean(hide_login(self._value(setting)))
        where = "" if source.kind is SourceKind.DEFAULT else str(source.kind)
        return Content.assemble(
            "   ",
            pad(setting.key, _NAME),
            (pad(shorten(value or "(empty)", _VALUE), _VALUE + 1), "bold" if where else ""),
            (where, "$accent"),
        )

    def _value(self, setting: Setting) -> str:
        from modelhub.config.change import shown_value

        config = self._hub.session.config
        return shown_value(getattr(getattr(config, setting.section), setting.key))

    def _current(self) -> Setting | None:
        from modelhub.config.change import setting_named

        at = self._list.highlighted
        name = self._list.get_option_at_index(at).id if at is not None else None
        return setting_named(name) if name else None

    @on(OptionList.OptionHighlighted)
    def _explain(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        setting = self._current()
        if setting is None:
            return
        from modelhub.config.change import expectation, explanations

        source = self._hub.session.loaded.sources[setting.name]
        told = explanations().get(setting.name, "")
        text = f"{told}\nTakes {expectation(setting)}. From: {source}."
        self.query_one(".meaning", Static).update(clean(text, lines=True))

    def action_move(self, way: str) -> None:
        """As vi does."""
        (self._list.action_cursor_down if way == "down" else self._list.action_cursor_up)()

    def action_change(self) -> None:
        """Ask for another value."""
        setting = self._current()
        if setting is None or self._held_by_variable(setting):
            return
        from modelhub.config.change import expectation

        known = choices(setting.type) or (("true", "false") if setting.holds is bool else ())
        hint = shorten(expectation(setting), 40)
        name = setting.name

        def answered(text: str) -> None:
            self._write(name, text)

        self.screen.query_one(PromptLine).ask(
            f"{name} =",
            answered,
            value=self._value(setting),
            hint=hint,
            known=known,
        )

    def _held_by_variable(self, setting: Setting) -> bool:
        source = self._hub.session.loaded.sources[setting.name]
        if source.kind is not SourceKind.ENVIRONMENT:
            return False
        text = f"{setting.variable} is set, and goes before the file"
        self.app.notify(text, severity="warning", markup=False)
        return True

    def action_reset(self) -> None:
        """Back to the default."""
        setting = self._current()
        if setting is not None and not self._held_by_variable(setting):
            self._write(setting.name, None)

    @work(thread=True, exclusive=True, group="settings", exit_on_error=False)
    def _write(self, name: str, text: str | None) -> None:
        from modelhub.config.change import change_setting, reset_setting

        try:
            if text is None:
                reset_setting(self._file, name)
            else:
                change_setting(self._file, name, text)
            self._hub.session.reload_config()
        except ModelhubError as error:
            self.app.call_from_thread(self._hub.tell_error, error)
            return
        self.app.call_from_thread(self._written, name)

    def _written(self, name: str) -> None:
        if self.is_mounted:
            self.fill()
        section = name.partition(".")[0]
        later = "; takes effect at the next start" if section in ("catalog", "jobs") else ""
        self.app.notify(f"{name} is written to {self._file}{later}", markup=False)

    def action_edit(self) -> None:
        """Open the file in the user's editor; the screen is back when that is closed."""
        from modelhub.config.edit import create_from_example, open_editor

        try:
            create_from_example(self._file)
            with self.app.suspend():
                open_editor(self._file, self._hub.session.environ)
            self._hub.session.reload_config()
        except ModelhubError as error:
            self._hub.tell_error(error)
        self.fill()
