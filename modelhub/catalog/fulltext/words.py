"""How text becomes words, the same for what is indexed and what is asked, on both databases.

A word is a run of letters and digits, without accents and case. Scripts that are written without
spaces (Chinese, Japanese, and Korean, where endings are glued on) become one word a character: a
query of several is then a phrase, so that any part of a name is found, not only its start.
``camelCase`` is indexed whole and in its parts, as file names of models are often written so.
"""

from __future__ import annotations

import re
import unicodedata

_RUN = re.compile(r"[^\W_]+")
_ACCENT = re.compile("[\u0300-\u036f]")
_UNSPACED = re.compile(
    "([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])"
)
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")
LONGEST_WORD = 64
"""Characters of a word that are indexed: longer ones are hashes and noise."""


def folded(text: str) -> str:
    """`text` without case, accents and compatibility forms, for comparing and sorting."""
    if text.isascii():
        return text.lower()
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", plain.casefold())


def words_of(text: str) -> list[str]:
    """The words of `text`, in order."""
    plain = folded(text)
    if not plain.isascii():
        plain = _UNSPACED.sub(r" \1 ", plain)
    return [word[:LONGEST_WORD] for word in _RUN.findall(plain)]


def indexed_words(text: str) -> list[str]:
    """The words of `text`, and after them the parts of those in camelCase."""
    words = words_of(text)
    if text.islower():
        return words
    known = set(words)
    for run in _RUN.findall(text):
        parts = _HUMP.split(run)
        if len(parts) > 1:
            for word in words_of(" ".join(parts)):
                if word not in known:
                    known.add(word)
                    words.append(word)
    return words
