"""How tags are spelled."""

from __future__ import annotations

import unicodedata

from modelhub.errors import UsageError

LONGEST_TAG = 64
"""Characters."""


def normalised_tag(text: str) -> str:
    """The one spelling of a tag: Unicode NFC, lower-case, single spaces.

    :raises UsageError: nothing is left, it is too long, or holds control characters.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    tag = " ".join(folded.split())
    if not tag:
        raise UsageError("a tag cannot be empty")
    if len(tag) > LONGEST_TAG:
        raise UsageError(f"a tag has {LONGEST_TAG} characters at most: {tag[:20]}...")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Co") for char in tag):
        raise UsageError(f"a tag cannot hold control characters: {tag!r}")
    return tag
