"""The words that an add-on listens to, put into a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BRACKET = re.compile(r"(?<!\\)[()\[\]]")
_WEIGHTED = re.compile(r"\([^()]*:\s*-?[\d.]+\s*\)")
_SPACES = re.compile(r"[\s_]+")
_LORA_TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
MOST_LETTERS = 1000
"""Of what is put into a prompt: longer lists are no words to be spoken but descriptions."""


def with_triggers(prompt: str, words: Iterable[str], limit: int = 3) -> str:
    """A prompt that begins with the words which an add-on listens to, those that it lacks.

    A word may be a phrase, or a list with commas, as creators publish them. Brackets in a word are
    escaped, as in ``saber \\(fate\\)``, unless they are a weight.

    :param words: the most important first.
    :param limit: of entries of `words` that are looked at; those in the prompt already count.
    """
    present = _spoken(_LORA_TAG.sub(" ", prompt))
    added: list[str] = []
    letters = 0
    looked_at = 0
    for word in words:
        if looked_at >= limit:
            break
        pieces = [one for one in (piece.strip() for piece in word.split(",")) if one]
        if not pieces:
            continue
        looked_at += 1
        for piece in pieces:
            if _is_in(_spoken(piece), present) or letters + len(piece) > MOST_LETTERS:
                continue
            added.append(_escaped(piece))
            letters += len(piece)
            present += f" , {_spoken(piece)}"
    return ", ".join((*added, prompt) if prompt.strip() else added) if added else prompt


def _spoken(text: str) -> str:
    """`text` as it is compared: without escapes, underscores and doubled spaces, folded."""
    return _SPACES.sub(" ", text.replace("\\", "")).strip().casefold()


def _is_in(word: str, text: str) -> bool:
    """Whether `word` stands in `text` as itself, not within a longer word."""
    return not word or re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _escaped(word: str) -> str:
    if _WEIGHTED.fullmatch(word):
        return word
    return _BRACKET.sub(lambda found: f"\\{found[0]}", word)
