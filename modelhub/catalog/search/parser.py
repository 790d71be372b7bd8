"""Query text to a tree. Pure: it knows the fields and their values, and no database.

>>> parse('anime -"v 1" type:lora,locon size>2GB').terms
(Word('anime'), Phrase('v 1', negated), FieldTerm('type', ':', (lora, locon)), ...)
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

from modelhub.catalog.fulltext.words import words_of
from modelhub.catalog.search.ast import FieldTerm, Operator, Phrase, Query, Term, Value, Word
from modelhub.catalog.search.criteria import ValueRefused
from modelhub.catalog.search.fieldkinds import nearest
from modelhub.catalog.search.fields import FIELDS, field_named
from modelhub.catalog.search.lexer import Token, TokenKind, tokens
from modelhub.errors import QuerySyntaxError

LONGEST_QUERY = 2_000
MOST_TERMS = 64
MOST_VALUES = 64
_ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)


def parse(text: str) -> Query:
    """The tree of a query.

    :raises QuerySyntaxError: with the column of the mistake and what was expected there.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_QUERY:
            raise QuerySyntaxError(
                "the query is too long",
                query=text,
                column=LONGEST_QUERY + 1,
                expected=f"{LONGEST_QUERY:,} characters at most",
            )
        self._text = text
        self._tokens = list(tokens(text))
        self._at = 0

    def query(self) -> Query:
        terms: list[Term] = []
        while token := self._peek():
            if len(terms) == MOST_TERMS:
                self._refuse("too many terms", token.column, f"{MOST_TERMS} at most")
            terms.append(self._term(token))
        return Query(tuple(terms), self._text)

    def _term(self, first: Token) -> Term:
        negated = first.kind is TokenKind.MINUS
        if negated:
            self._at += 1
        token = self._take()
        if token is None or (negated and token.column != first.end + 1):
            self._refuse("nothing after the minus", first.end + 1, "what to leave out")
        if token.kind is TokenKind.FIELD:
            return self._field(token, negated)
        if token.kind is TokenKind.MINUS or token.text.startswith("-"):
            self._refuse("two minus signs", token.column, "a word, a phrase or a field")
        if not words_of(token.text):
            self._refuse("nothing to search for", token.column, "letters or digits")
        if token.kind is TokenKind.PHRASE:
            return Phrase(token.text, negated, first.column)
        return Word(token.text, negated, first.column)

    def _field(self, name: Token, negated: bool) -> FieldTerm:
        sign = self._take()
        assert sign is not None
        field = field_named(name.text)
        if field is None:
            whole = name.text + sign.text
            near = nearest(name.text.lower(), FIELDS)
            hint = f"`{near}`" if near else "one of " + ", ".join(sorted(FIELDS))
            self._refuse(
                f"there is no field {name.text!r}", name.column, f'{hint}, or quotes: "{whole}..."'
            )
        operator = Operator(sign.text)
        if operator not in field.operators:
            signs = " or ".join(dict.fromkeys(field.operators))
            self._refuse(f"{field.name} cannot be compared so", sign.column, signs)
        values = self._values(sign.end + 1, field.expected)
        for value in values:
            try:
                field.read(operator, value, _ANY_TIME)
            except ValueRefused as refused:
                self._refuse(refused.message, value.column, refused.expected)
        column = name.column - 1 if negated else name.column
        return FieldTerm(field.name, operator, values, negated, column)

    def _values(self, column: int, expected: str) -> tuple[Value, ...]:
        values: list[Value] = []
        kinds = (TokenKind.VALUE, TokenKind.QUOTED_VALUE)
        while True:
            token = self._peek()
            if token is None or token.kind not in kinds or token.column != column:
                self._refuse("a value is missing", column, expected)
            self._at += 1
            if not token.text.strip():
                self._refuse("the value is empty", token.column, expected)
            values.append(Value(token.text, token.kind is TokenKind.QUOTED_VALUE, token.column))
            after = self._peek()
            if after and after.kind in kinds and after.column == token.end + 1:
                self._refuse("a quote inside a value", after.column, "a comma or a space")
            if after is None or after.kind is not TokenKind.COMMA:
                return tuple(values)
            if len(values) == MOST_VALUES:
                self._refuse("too many values", after.column, f"{MOST_VALUES} at most")
            self._at += 1
            column = after.end + 1

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> Token | None:
        token = self._peek()
        self._at += 1
        return token

    def _refuse(self, message: str, column: int, expected: str) -> NoReturn:
        raise QuerySyntaxError(message, query=self._text, column=column, expected=expected)
