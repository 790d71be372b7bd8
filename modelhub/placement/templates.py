"""The `template` layout: `{type}/{base_model}/{creator}/{model} - {version}/{file}`.

A template is split at its slashes into components, each of text and ``{field}``s; ``{field|lower}``
is the field in lower case, ``{{`` and ``}}`` are braces. Every field is cleaned as one component,
so that no name from a server can add a folder or leave the root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn

from modelhub.errors import ConfigError
from modelhub.placement.names import MAX_BYTES, MODEL_FILE_BYTES, clean_name

FIELDS: Mapping[str, str] = {
    "type": "the model's type as Civitai writes it: Checkpoint, LORA",
    "kind": "what the file itself is: checkpoint, lora, vae, text encoder",
    "base_model": "SD 1.5, SDXL 1.0, Flux.1 D",
    "creator": "the user name of who published it",
    "model": "the model's name",
    "version": "the version's name",
    "model_id": "Civitai's number of the model",
    "version_id": "Civitai's number of the version",
    "file": "the file's name with its extension",
}
"""What a template may hold, with what each field is."""

FILTERS = ("lower",)
UNKNOWN = "unknown"
"""Stands for a field that is not known."""

_FIELD_BYTES = 120
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lower: bool


_Component = tuple[str | _Field, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template; :func:`parse_template` makes one."""

    components: tuple[_Component, ...]

    def render(self, values: Mapping[str, str]) -> PurePosixPath:
        """The path, relative to the root, for `values` by field name; missing ones are "unknown".

        The last component is a clean file name with the extension of the `file` field.
        """
        *folders, file = self.components
        parts = [clean_name(_text(component, values), max_bytes=MAX_BYTES) for component in folders]
        return PurePosixPath(*parts, clean_name(_text(file, values), max_bytes=MODEL_FILE_BYTES))


def parse_template(text: str, *, key: str = "library.template") -> Template:
    """Check `text` and take it apart.

    :param key: the setting's name, for the message.
    :raises ConfigError: an unknown field or filter, a brace without its other, an empty or
        absolute path, `..`, text that cannot be a file name, or no `{file}` at the end; the
        message names the column, counted from 1.
    """
    components: list[_Component] = []
    column = 1
    for part in text.split("/"):
        components.append(_component(part, column, text, key))
        column += len(part) + 1
    last = components[-1]
    if not last or not isinstance(last[-1], _Field) or last[-1].name != "file":
        _fail(key, text, len(text), "a template ends with {file}")
    return Template(tuple(components))


def _component(part: str, start: int, text: str, key: str) -> _Component:
    if not part:
        _fail(key, text, start, "an empty component: the path is relative, with single slashes")
    pieces: list[str | _Field] = []
    for token in _TOKEN.finditer(part):
        column = start + token.start()
        if token.group() in ("{{", "}}"):
            pieces.append(token.group()[0])
        elif token.group(1) is not None:
            pieces.append(_field(token.group(1), column, text, key))
        elif token.group() in ("{", "}"):
            _fail(key, text, column, f"`{token.group()}` without its other; write it twice for one")
        else:
            pieces.append(token.group())
    probe = "".join("x" if isinstance(piece, _Field) else piece for piece in pieces)
    if clean_name(probe) != probe:
        _fail(key, text, start, f"`{part}` cannot be the name of a file or folder everywhere")
    return tuple(pieces)


def _field(inside: str, column: int, text: str, key: str) -> _Field:
    name, bar, filter_name = (piece.strip() for piece in inside.partition("|"))
    if name not in FIELDS:
        _fail(key, text, column, f"unknown field `{name}`; known: {', '.join(FIELDS)}")
    if bar and filter_name not in FILTERS:
        _fail(key, text, column, f"unknown filter `{filter_name}`; known: {', '.join(FILTERS)}")
    return _Field(name, lower=filter_name == "lower")


def _text(component: _Component, values: Mapping[str, str]) -> str:
    return "".join(
        piece if isinstance(piece, str) else _value(piece, values) for piece in component
    )


def _value(field: _Field, values: Mapping[str, str]) -> str:
    raw = values.get(field.name, "").strip()
    limit = MODEL_FILE_BYTES if field.name == "file" else _FIELD_BYTES
    cleaned = clean_name(raw, max_bytes=limit) if raw else UNKNOWN
    return cleaned.lower() if field.lower else cleaned


def _fail(key: str, text: str, column: int, what: str) -> NoReturn:
    raise ConfigError(f"{key}: column {column} of `{text}`: {what}")
