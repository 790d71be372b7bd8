"""One value of the file or the environment, converted to its setting's type or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from modelhub.config.keys import Setting, choices, did_you_mean, expected
from modelhub.config.units import parse_bytes

_YES = frozenset(("true", "yes", "on", "1"))
_NO = frozenset(("false", "no", "off", "0"))
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


class Refused(Exception):
    """A value of the wrong kind.

    :param path: where inside the value: the position in a list, or the key in a table.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


def from_file(setting: Setting, value: Any, folder: Path) -> Any:
    """`value`, as `tomllib` read it, for `setting`.

    :param folder: what relative paths are meant from.
    :raises Refused: it may not stand there.
    """
    if setting.item_type is None:
        return _single(setting, value, folder)
    if not isinstance(value, setting.holds):
        raise Refused(f"expected {expected(setting.type)}, not {_shown(value)}")
    if isinstance(value, dict):
        return {key: _item(setting, item, key) for key, item in value.items()}
    return [_item(setting, item, index) for index, item in enumerate(value)]


def from_text(setting: Setting, text: str, folder: Path) -> Any:
    """The text of a variable for `setting`: lists are comma-separated, tables `NAME=VALUE,...`.

    :raises Refused: it may not stand there.
    """
    readers: dict[type, Callable[[str], Any]] = {
        bool: _bool,
        int: _number,
        float: _number,
        list: _list,
        dict: _table,
    }
    read = readers.get(setting.holds, str)
    value: Any = text if setting.extra.get("unit") else read(text)
    return from_file(setting, value, folder)


def _single(setting: Setting, value: Any, folder: Path) -> Any:
    if setting.extra.get("unit") == "bytes" and isinstance(value, str):
        try:
            value = parse_bytes(value)
        except ValueError as error:
            raise Refused(f"{error}, not {_shown(value)}") from error
    value = _converted(setting.type, value)
    if setting.extra.get("path") and value:
        return str(folder / Path(value).expanduser())
    return value


def _item(setting: Setting, item: Any, place: str | int) -> Any:
    try:
        return _converted(setting.item_type, item)
    except Refused as error:
        raise Refused(str(error), (place,)) from error


def _converted(annotation: Any, value: Any) -> Any:
    try:
        converted = msgspec.convert(value, annotation)
    except msgspec.ValidationError as error:
        near = did_you_mean(value, choices(annotation)) if isinstance(value, str) else ""
        raise Refused(f"expected {expected(annotation)}, not {_shown(value)}{near}") from error
    if isinstance(converted, float) and not abs(converted) < float("inf"):
        raise Refused(f"expected {expected(annotation)}, not {_shown(value)}")
    if isinstance(converted, str) and "\0" in converted:
        raise Refused("expected text without NUL characters")
    return converted


def _bool(text: str) -> bool | str:
    word = text.strip().lower()
    return True if word in _YES else False if word in _NO else text


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _list(text: str) -> list[str]:
    if text.strip() == "[]":
        return []
    return [part.strip() for part in text.split(",") if part.strip()]


def _table(text: str) -> dict[str, str]:
    pairs = {}
    for part in _list(text):
        name, equals, value = part.partition("=")
        if not equals:
            raise Refused(f"expected NAME=VALUE, NAME=VALUE ..., not {_shown(part)}")
        pairs[name.strip()] = value.strip()
    return pairs


def hide_login(text: str) -> str:
    """`text` without the user and password of a URL in it."""
    return _LOGIN.sub("***@", text)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    text = hide_login(text)
    return text if len(text) <= 60 else text[:59] + "…"
