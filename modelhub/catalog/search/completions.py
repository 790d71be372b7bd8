"""How a query that is being typed could go on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from modelhub.catalog.search.ast import Operator
from modelhub.catalog.search.fields import FIELDS, field_named
from modelhub.catalog.search.printer import printed_value

_QUOTED = r'"(?:[^"\\]|\\.)*+"?+'
_TERMS = re.compile(rf'\s++|(?:{_QUOTED}|[^\s"])++', re.DOTALL)
_VALUES = re.compile(rf'{_QUOTED}|[^,"]++|,', re.DOTALL)
_TERM = re.compile(r"-?(?:([A-Za-z_]+)(<=|>=|:|=|<|>)(?:<=|>=|<|>)?)?(.*)", re.DOTALL)
MOST = 50


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` may replace the query from `start` to the cursor."""

    text: str
    start: int


def completions(
    text: str, cursor: int, values: Callable[[str, str], Iterable[str]] | None = None
) -> list[Completion]:
    """What could stand at `cursor`: fields at the start of a term, values after a field.

    :param values: further values of a field (its tags, its creators) that start with a text.
    """
    before = text[:cursor]
    term = _after_last(_TERMS, str.isspace, before)
    found = _TERM.match(term)
    assert found is not None
    name, typed = found[1], found[3]
    if name is None:
        return _fields(typed, len(before) - len(typed))
    field = field_named(name)
    if field is None:
        return []
    last = _after_last(_VALUES, ",".__eq__, typed)
    start = len(before) - len(last)
    prefix = last.removeprefix('"').lower()
    known = [*field.values(), *(values(field.name, prefix) if values else ())]
    fitting = dict.fromkeys(value for value in known if value.lower().startswith(prefix))
    return [Completion(printed_value(value), start) for value in fitting][:MOST]


def _after_last(parts: re.Pattern[str], separates: Callable[[str], bool], text: str) -> str:
    """What stands behind the last separator of `text` that is in no quotes."""
    start = 0
    for part in parts.finditer(text):
        if separates(part[0]):
            start = part.end()
    return text[start:]


def _fields(typed: str, start: int) -> list[Completion]:
    if typed.startswith('"'):
        return []
    return [
        Completion(name + (">" if Operator.GREATER in field.operators else ":"), start)
        for name, field in sorted(FIELDS.items())
        if name.startswith(typed.lower())
    ]
