"""Query text to tokens. White space parts terms and means nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from modelhub.errors import QuerySyntaxError


class TokenKind(Enum):
    """What a token is."""

    MINUS = auto()
    WORD = auto()
    PHRASE = auto()
    FIELD = auto()
    OPERATOR = auto()
    VALUE = auto()
    QUOTED_VALUE = auto()
    COMMA = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token, its text without quotes and escapes, and where it starts and ends in the query."""

    kind: TokenKind
    text: str
    column: int
    end: int


_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"([A-Za-z_]+)(<=|>=|:|=|<|>)")
_WORD = re.compile(r"\S+")
_VALUE = re.compile(r'[^\s,"]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMPARISON = re.compile("<=|>=|<|>")


def tokens(query: str) -> Iterator[Token]:
    """The tokens of `query`.

    :raises QuerySyntaxError: a quote is not closed, or stands where none can.
    """
    at = _skip(query, 0)
    while at < len(query):
        if query[at] == "-":
            yield Token(TokenKind.MINUS, "-", at + 1, at + 1)
            at += 1
        field = _FIELD.match(query, at)
        if field:
            yield Token(TokenKind.FIELD, field[1], field.start() + 1, field.end(1))
            at = field.end()
            sign, at = _operator(query, field[2], at)
            yield Token(TokenKind.OPERATOR, sign, field.end(1) + 1, at)
            for token in _values(query, at):
                yield token
                at = token.end
        elif at < len(query) and query[at] == '"':
            token = _quoted(query, at, TokenKind.PHRASE)
            yield token
            at = token.end
        else:
            word = _WORD.match(query, at)
            if word:
                yield Token(TokenKind.WORD, word[0], at + 1, word.end())
                at = word.end()
        at = _skip(query, at)


def _skip(query: str, at: int) -> int:
    space = _SPACE.match(query, at)
    return space.end() if space else at


def _operator(query: str, sign: str, at: int) -> tuple[str, int]:
    """``size:>2GB`` is a way to write ``size>2GB``."""
    more = _COMPARISON.match(query, at) if sign == ":" else None
    return (more[0], more.end()) if more else (sign, at)


def _values(query: str, at: int) -> Iterator[Token]:
    while at < len(query) and not query[at].isspace():
        if query[at] == ",":
            token = Token(TokenKind.COMMA, ",", at + 1, at + 1)
        elif query[at] == '"':
            token = _quoted(query, at, TokenKind.QUOTED_VALUE)
        else:
            plain = _VALUE.match(query, at)
            assert plain is not None
            token = Token(TokenKind.VALUE, plain[0], at + 1, plain.end())
        yield token
        at = token.end


def _quoted(query: str, at: int, kind: TokenKind) -> Token:
    found = _QUOTED.match(query, at)
    if not found:
        raise QuerySyntaxError(
            "this quote is never closed", query=query, column=at + 1, expected='a closing "'
        )
    text = _ESCAPED.sub(r"\1", found[1])
    return Token(kind, text, at + 1, found.end())
