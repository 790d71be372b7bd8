"""A tree to text: parsing it again gives the same tree."""

from __future__ import annotations

import re

from modelhub.catalog.search.ast import FieldTerm, Phrase, Query, Term

_PLAIN_VALUE = re.compile(r'[^\s,"<>]+')


def printed(query: Query) -> str:
    """The query as it would be typed."""
    return " ".join(map(printed_term, query.terms))


def printed_term(term: Term) -> str:
    """One term as it would be typed."""
    minus = "-" if term.negated else ""
    if isinstance(term, Phrase):
        return minus + _quoted(term.text)
    if isinstance(term, FieldTerm):
        values = ",".join(printed_value(one.text, quoted=one.quoted) for one in term.values)
        return f"{minus}{term.field}{term.operator}{values}"
    return minus + term.text


def printed_value(text: str, *, quoted: bool = False) -> str:
    """A value of a field as it would be typed, in quotes where it needs them or had them."""
    return _quoted(text) if quoted or not _PLAIN_VALUE.fullmatch(text) else text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
