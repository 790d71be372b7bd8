"""The settings one by one: section, key, type, default, variable, and what may stand there."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import fields

from modelhub.config.settings import Config
from modelhub.config.units import EXPECTED_SIZE

VARIABLE_PREFIX = "MODELHUB_"
OTHER_VARIABLES = ("MODELHUB_HOME", "MODELHUB_CONFIG", "MODELHUB_CIVITAI_API_KEY")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration.

    :param type: the annotation, with its constraints.
    :param extra: what the annotation says beyond them (`unit`, `path`, `choices`, `expected`).
    """

    section: str
    key: str
    type: Any
    default: Any
    extra: dict[str, Any]

    @property
    def name(self) -> str:
        """``download.connections``"""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """``MODELHUB_DOWNLOAD_CONNECTIONS``"""
        return f"{VARIABLE_PREFIX}{self.section}_{self.key}".upper()

    @property
    def item_type(self) -> Any:
        """The type of a list's items or of a table's values; None for other settings."""
        if typing.get_origin(self.type) in (list, dict):
            return typing.get_args(self.type)[-1]
        return None

    @property
    def holds(self) -> type:
        """The plain type: `str`, `int`, `float`, `bool`, `list` or `dict`."""
        annotation = self.type
        while typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        origin = typing.get_origin(annotation)
        if origin is typing.Literal:
            return str
        plain: type = origin or annotation
        return plain


@cache
def settings() -> dict[str, dict[str, Setting]]:
    """All settings by section and key, in the order of the file."""
    found: dict[str, dict[str, Setting]] = {}
    for section in fields(Config):
        found[section.name] = {
            field.name: Setting(
                section.name, field.name, field.type, _default(field), _extra(field.type)
            )
            for field in fields(section.type)
        }
    return found


def each_setting() -> Iterator[Setting]:
    """All settings, in the order of the file."""
    for section in settings().values():
        yield from section.values()


def section_type(section: str) -> type[msgspec.Struct]:
    """The struct of a section."""
    types: dict[str, type[msgspec.Struct]] = {field.name: field.type for field in fields(Config)}
    return types[section]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _extra(annotation: Any) -> dict[str, Any]:
    for part in typing.get_args(annotation):
        if isinstance(part, msgspec.Meta) and part.extra:
            return dict(part.extra)
    return {}


def expected(annotation: Any) -> str:
    """What may stand there, in words: ``a whole number from 1 to 64``."""
    extra = _extra(annotation)
    if extra.get("unit") == "bytes":
        return EXPECTED_SIZE
    if "choices" in extra:
        return one_of(extra["choices"])
    if "expected" in extra:
        return str(extra["expected"])
    info = msgspec.inspect.type_info(annotation)
    if isinstance(info, msgspec.inspect.LiteralType):
        return one_of([str(value) for value in info.values])
    if isinstance(info, msgspec.inspect.IntType):
        return "a whole number" + _bounds(info)
    if isinstance(info, msgspec.inspect.FloatType):
        return "a number" + _bounds(info)
    words: dict[type, str] = {
        msgspec.inspect.BoolType: "true or false",
        msgspec.inspect.ListType: "a list",
        msgspec.inspect.DictType: "a table",
    }
    return words.get(type(info), "text in quotes")


def choices(annotation: Any) -> tuple[str, ...]:
    """The values that may stand there, where they are a fixed few."""
    extra = _extra(annotation)
    if "choices" in extra:
        return tuple(extra["choices"])
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(str(value) for value in typing.get_args(annotation))
    return ()


def one_of(values: Iterable[str]) -> str:
    """``"a", "b" or "c"``"""
    quoted = [f'"{value}"' for value in values]
    return " or ".join(part for part in (", ".join(quoted[:-1]), quoted[-1]) if part)


def _bounds(info: msgspec.inspect.IntType | msgspec.inspect.FloatType) -> str:
    low, high = info.ge, info.le
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if info.gt is not None:
        above = f" greater than {info.gt:g}"
        return f"{above}, at most {high:g}" if high is not None else above
    return ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "x"?``, or nothing where no known word is like it."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
