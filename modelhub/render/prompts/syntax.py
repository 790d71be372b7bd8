"""The syntax of prompts as A1111 reads it: weights, escapes, BREAK.

Source: AUTOMATIC1111/stable-diffusion-webui ``modules/prompt_parser.py``
(``parse_prompt_attention``) and its wiki page "Features". One thing differs: a BREAK within
brackets breaks as well; there it becomes a word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from modelhub.errors import UsageError

UP = 1.1
"""The weight of one round bracket; a square one divides by it."""
MOST_CHARACTERS = 200_000
_HEAVIEST = 1000.0
"""Weights beyond mean nothing, and powers of them are no numbers any more."""
_TOKEN = re.compile(
    r"\\[()\[\]\\]?|\(|\[|:\s*(?P<weight>[+-]?[.\d]{1,20})\s*\)|\)|\]|[^\\()\[\]:]+|:"
)
_BREAK = re.compile(r"\bBREAK\b")
_AND = re.compile(r"\bAND\b")
_IN_SQUARE = re.compile(r"(?<!\\)\[([^\[\]\\]*)\]")
_CHANGES_AT = re.compile(r"\s*[\d.]{1,20}\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text with one weight; a BREAK, which ends a chunk, has no text.

    :param weight: 1 is as it stands.
    """

    text: str
    weight: float = 1.0

    @property
    def is_break(self) -> bool:
        """Whether the prompt goes on in the next chunk from here."""
        return not self.text


def parse_prompt(prompt: str) -> tuple[Piece, ...]:
    """The pieces of a prompt. Brackets that nothing opens or closes are taken as A1111 takes them.

    ``(a)`` is a weight of 1.1, ``[a]`` its reciprocal, ``(a:1.3)`` that number, ``((a))`` both
    multiplied; ``\\(`` and so on are the characters themselves.

    :raises UsageError: it asks for what is not done here: several prompts joined by AND, or words
        that change from step to step; or it is longer than anyone reads.
    """
    if len(prompt) > MOST_CHARACTERS:
        raise UsageError(
            f"the prompt has {len(prompt):,} characters; {MOST_CHARACTERS:,} are the most"
        )
    _refuse_unknown(prompt)
    reader = _Reader()
    for found in _TOKEN.finditer(prompt):
        reader.take(found)
    return tuple(_merged(reader.finished()))


def plain_text(prompt: str) -> str:
    """A prompt without its weights, for encoders that know none.

    :raises UsageError: as :func:`parse_prompt`.
    """
    pieces = (" " if piece.is_break else piece.text for piece in parse_prompt(prompt))
    return " ".join("".join(pieces).split())


def _refuse_unknown(prompt: str) -> None:
    if _AND.search(prompt):
        raise UsageError(
            "several prompts joined by AND cannot be rendered",
            hint="write `and` for the word, or BREAK to begin another chunk",
        )
    for found in _IN_SQUARE.finditer(prompt):
        _, colon, end = found[1].rpartition(":")
        if "|" in found[1] or (colon and _CHANGES_AT.fullmatch(end)):
            raise UsageError(
                f"words that change from step to step cannot be rendered: {found[0][:100]}",
                hint=r"take one of the words; a literal bracket is written \[",
            )


@dataclass(slots=True)
class _Bracket:
    """A pair of brackets: around which texts, and their weight. One that is open goes to the end.

    :param start: the number of the first text in it; `end` that of the first one after it.
    """

    start: int
    weight: float
    end: int | None = None


class _Brackets:
    """All brackets of one kind: among themselves they are nested."""

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._all: list[_Bracket] = []
        self._open: list[_Bracket] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def open(self, index: int) -> None:
        self._open.append(_Bracket(index, self._weight))
        self._all.append(self._open[-1])

    def close(self, index: int, weight: float | None = None) -> None:
        closed = self._open.pop()
        closed.end = index
        closed.weight = self._weight if weight is None else weight

    def weights(self, count: int) -> Iterator[float]:
        """Of each text, that of all brackets around it."""
        around: list[tuple[int, float]] = []
        following = iter([*self._all, _Bracket(count, 1.0)])
        bracket = next(following)
        for index in range(count):
            while around and around[-1][0] <= index:
                around.pop()
            while bracket.start <= index:
                end = count if bracket.end is None else bracket.end
                if end > index:
                    outer = around[-1][1] if around else 1.0
                    around.append((end, _bounded(outer * bracket.weight)))
                bracket = next(following)
            yield around[-1][1] if around else 1.0


class _Reader:
    """Collects texts, and the brackets around them."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._round = _Brackets(UP)
        self._square = _Brackets(1 / UP)

    def take(self, found: re.Match[str]) -> None:
        """Take the next token of the syntax."""
        mark, weight, index = found[0], _number(found["weight"]), len(self._texts)
        if mark.startswith("\\"):
            self._add(mark[1:])
        elif mark == "(":
            self._round.open(index)
        elif mark == "[":
            self._square.open(index)
        elif weight is not None and self._round:
            self._round.close(index, weight)
        elif mark == ")" and self._round:
            self._round.close(index)
        elif mark == "]" and self._square:
            self._square.close(index)
        else:
            self._add_text(mark)

    def finished(self) -> Iterator[Piece]:
        """All pieces; what is still open counts to the end."""
        count = len(self._texts)
        weights = zip(self._round.weights(count), self._square.weights(count), strict=True)
        for text, (by_round, by_square) in zip(self._texts, weights, strict=True):
            yield Piece(text, _bounded(by_round * by_square) if text else 1.0)

    def _add_text(self, text: str) -> None:
        parts = _BREAK.split(text)
        for index, part in enumerate(parts):
            if index:
                self._texts.append("")
                part = part.lstrip()
            self._add(part if index == len(parts) - 1 else part.rstrip())

    def _add(self, text: str) -> None:
        if text:
            self._texts.append(text)


def _bounded(weight: float) -> float:
    return min(max(weight, -_HEAVIEST), _HEAVIEST)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is None or math.isfinite(number) else None


def _merged(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Neighbours of the same weight as one, so that a word over a bracket stays one word."""
    texts: list[str] = []
    weight = 1.0
    for piece in pieces:
        if texts and (piece.is_break or piece.weight != weight):
            yield Piece("".join(texts), weight)
            texts = []
        if piece.is_break:
            yield piece
        else:
            texts.append(piece.text)
            weight = piece.weight
    if texts:
        yield Piece("".join(texts), weight)
