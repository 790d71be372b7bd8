"""A form in as many lines as it has fields: names, values, and the keys that change them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from modelhub.text import clean, pad, shorten
from modelhub.tui.widgets.chooser import Choice, Chooser
from modelhub.tui.widgets.rows import Piece, Row, Rows, heading

LABEL = 13
_ALLOW_UNSAFE = re.compile(r"`?--allow-unsafe`?")


def in_forms_words(hint: str) -> str:
    """A hint with a form's field in the place of the command line's option."""
    return _ALLOW_UNSAFE.sub("“unsafe files: read”", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A line of a form.

    :param choices: its values, where there are few; else the screen asks for one.
    :param empty: what stands there for an empty value.
    """

    name: str
    label: str
    choices: Sequence[Choice] = ()
    empty: str = ""


class Form(Rows):
    """Fields under headings; a text in the place of a field is a heading.

    :param fields: in the order in which they stand.
    """

    BINDING_GROUP_TITLE = "Form"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "edit", "change"),
        Binding("right,l", "turn(1)", "Next value", show=False),
        Binding("left,h", "turn(-1)", "Value before", show=False),
        Binding("backspace,delete", "reset", "Usual value", show=False),
    ]

    class Changed(Message):
        """A field has another value."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Asked(Message):
        """The user wants to give a field a value that only the screen can ask for."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    def __init__(self, fields: Sequence[Field | str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.fields = {one.name: one for one in fields if isinstance(one, Field)}
        self.values: dict[str, str] = dict.fromkeys(self.fields, "")
        self.shown: dict[str, str] = {}
        """What stands there for values that do not speak for themselves."""
        self._lines = [
            heading(f" {one}") if isinstance(one, str) else Row(one.name, partial(self._line, one))
            for one in fields
        ]

    def on_mount(self) -> None:
        """Show the fields."""
        self.show(self._lines)

    def _line(self, field: Field, width: int) -> list[Piece]:
        value = self.values[field.name]
        here = self.key == field.name and self.has_focus
        text = self._in_words(field, value)
        if here and field.choices:
            text = f"‹ {text} ›"
        look = "" if value else "muted"
        label = pad(shorten(field.label, LABEL), LABEL)
        return [(f" {label} ", ""), (shorten(text, max(4, width - LABEL - 3)), look)]

    def _in_words(self, field: Field, value: str) -> str:
        if field.name in self.shown and value:
            return clean(self.shown[field.name])
        for known, text in field.choices:
            if known == value:
                return text
        return clean(value) if value else field.empty

    def set(self, name: str, value: str, *, shown: str | None = None) -> None:
        """Give a field a value; :class:`Changed` tells of it, if it is another one.

        :param shown: what stands there for it.
        """
        if shown is not None:
            self.shown[name] = shown
        if self.values[name] != value:
            self.values[name] = value
            self.post_message(self.Changed(name))
        self.refresh()

    def fill(self, values: Mapping[str, str]) -> None:
        """Give several fields values, and tell nobody."""
        self.values.update((name, value) for name, value in values.items() if name in self.fields)
        self.refresh()

    def action_edit(self) -> None:
        """Change the field under the cursor."""
        field = self.fields.get(self.key)
        if field is None:
            return
        if len(field.choices) == 2:
            self.action_turn(1)
        elif field.choices:
            self._choose(field)
        else:
            self.post_message(self.Asked(field))

    def _choose(self, field: Field) -> None:
        def chosen(value: str | None) -> None:
            if value is not None:
                self.set(field.name, value)

        chooser = Chooser(field.label, field.choices, self.values[field.name])
        self.app.push_screen(chooser, chosen)

    def action_turn(self, by: int) -> None:
        """The next value of the field under the cursor, or the one before."""
        field = self.fields.get(self.key)
        if field is None or not field.choices:
            return
        known = [value for value, _ in field.choices]
        now = self.values[field.name]
        at = known.index(now) if now in known else 0
        self.set(field.name, known[(at + by) % len(known)])

    def action_reset(self) -> None:
        """Back to the usual value, which is the first one, or none."""
        field = self.fields.get(self.key)
        if field is not None:
            self.set(field.name, field.choices[0][0] if field.choices else "")

    def on_rows_opened(self, event: Rows.Opened) -> None:
        """A double click changes a field."""
        event.stop()
        self.action_edit()
