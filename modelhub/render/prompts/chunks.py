"""Prompts as tokens, in chunks of the 75 that a CLIP text encoder reads at a time.

As AUTOMATIC1111/stable-diffusion-webui ``modules/sd_hijack_clip.py`` (``tokenize_line``): a chunk
that is full ends at a comma where one is among its last 20 tokens; an embedding's vectors stay
together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from modelhub.render.prompts.syntax import Piece

CHUNK = 75
"""Tokens of a chunk beside its start and its end."""
BACKTRACK = 20
MOST_CHUNKS = 40
"""3,000 tokens: what comes after has no say in the image, and time and memory grow with it."""
START, END, COMMA = 49406, 49407, 267
"""``<|startoftext|>``, ``<|endoftext|>`` and ``,</w>`` of CLIP's vocabulary, which all have."""
_PLACEHOLDER = 0

Tokenize = Callable[[str], Sequence[int]]
"""Numbers of the tokens of a text, without start and end."""


@dataclass(frozen=True, slots=True)
class Word:
    """The word of an embedding, as tokens.

    :param name: of the embedding.
    :param vectors: how many it stands for; :data:`CHUNK` at most.
    """

    name: str
    tokens: tuple[int, ...]
    vectors: int


@dataclass(frozen=True, slots=True)
class Inserted:
    """Vectors of an embedding in place of the tokens from `position` on, the start counted."""

    position: int
    name: str


@dataclass(slots=True)
class Chunk:
    """Up to 75 tokens, each with its weight, and the embeddings among them."""

    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    inserted: list[Inserted] = field(default_factory=list)

    def numbers(self, padding: int) -> list[int]:
        """All 77: with start and end, filled up.

        :param padding: the number of the token that this encoder's texts are filled up with.
        """
        left = CHUNK - len(self.tokens)
        return [START, *self.tokens, END, *[padding] * left]

    @property
    def all_weights(self) -> list[float]:
        """Of all 77."""
        return [1.0, *self.weights, *[1.0] * (CHUNK + 1 - len(self.weights))]


@dataclass(frozen=True, slots=True)
class Chunked:
    """A prompt in chunks, one at least.

    :param tokens: how many it has, those left out too.
    :param used: names of the embeddings that it speaks of.
    """

    chunks: tuple[Chunk, ...]
    tokens: int
    used: frozenset[str]
    notices: tuple[str, ...] = ()


def chunked(pieces: Sequence[Piece], tokenize: Tokenize, words: Sequence[Word] = ()) -> Chunked:
    """The chunks of a prompt.

    :param words: of the embeddings at hand.
    """
    filling = _Filling(words)
    for piece in pieces:
        if piece.is_break:
            filling.next_chunk()
        else:
            filling.take(tokenize(piece.text), piece.weight)
    return filling.finished()


class _Filling:
    def __init__(self, words: Sequence[Word]) -> None:
        self._words = _by_first_token(words)
        self._chunks: list[Chunk] = []
        self._chunk = Chunk()
        self._comma = -1
        self._count = 0
        self._used: set[str] = set()

    def take(self, tokens: Sequence[int], weight: float) -> None:
        position = 0
        while position < len(tokens):
            word = self._word_at(tokens, position)
            if word is None:
                self._make_room(tokens[position])
                self._chunk.tokens.append(tokens[position])
                self._chunk.weights.append(weight)
                position += 1
                self._count += 1
            else:
                self._insert(word, weight)
                position += len(word.tokens)

    def next_chunk(self) -> None:
        self._chunks.append(self._chunk)
        self._chunk = Chunk()
        self._comma = -1

    def finished(self) -> Chunked:
        if self._chunk.tokens or not self._chunks:
            self.next_chunk()
        notices = []
        if len(self._chunks) > MOST_CHUNKS:
            notices.append(
                f"the prompt has {self._count:,} tokens in {len(self._chunks):,} chunks; "
                f"the first {MOST_CHUNKS} chunks are used"
            )
        elif len(self._chunks) > 1:
            notices.append(
                f"the prompt has {self._count:,} tokens: {len(self._chunks)} chunks of {CHUNK}"
            )
        kept = tuple(self._chunks[:MOST_CHUNKS])
        return Chunked(kept, self._count, frozenset(self._used), tuple(notices))

    def _make_room(self, token: int) -> None:
        chunk = self._chunk
        if token == COMMA:
            self._comma = len(chunk.tokens)
        elif len(chunk.tokens) == CHUNK and self._comma != -1 and CHUNK - self._comma <= BACKTRACK:
            self._move_on(self._comma + 1)
        if len(self._chunk.tokens) == CHUNK:
            self.next_chunk()

    def _move_on(self, start: int) -> None:
        """Take what stands from `start` on into the next chunk."""
        chunk = self._chunk
        moved = Chunk(
            chunk.tokens[start:],
            chunk.weights[start:],
            [
                Inserted(one.position - start, one.name)
                for one in chunk.inserted
                if one.position > start
            ],
        )
        del chunk.tokens[start:], chunk.weights[start:]
        chunk.inserted = [one for one in chunk.inserted if one.position <= start]
        self.next_chunk()
        self._chunk = moved

    def _insert(self, word: Word, weight: float) -> None:
        if len(self._chunk.tokens) + word.vectors > CHUNK:
            self.next_chunk()
        self._chunk.inserted.append(Inserted(len(self._chunk.tokens) + 1, word.name))
        self._chunk.tokens += [_PLACEHOLDER] * word.vectors
        self._chunk.weights += [weight] * word.vectors
        self._count += word.vectors
        self._used.add(word.name)

    def _word_at(self, tokens: Sequence[int], position: int) -> Word | None:
        for word in self._words.get(tokens[position], ()):
            if tuple(tokens[position : position + len(word.tokens)]) == word.tokens:
                return word
        return None


def _by_first_token(words: Sequence[Word]) -> Mapping[int, list[Word]]:
    """The longest first: ``cat-toy-2`` is not ``cat-toy`` and something."""
    found: dict[int, list[Word]] = {}
    for word in sorted(words, key=lambda one: -len(one.tokens)):
        if word.tokens:
            found.setdefault(word.tokens[0], []).append(word)
    return found
