"""What the name of a file lets one guess. Names lie: nothing here is ever certain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from modelhub.formats.identify.metadata_words import family_named, variants_named
from modelhub.formats.identity import Identity, ModelKind


class Guess(NamedTuple):
    """One field, as the name of the file lets one guess it."""

    field: str
    value: str
    because: str


class Hint(NamedTuple):
    """One line: in the name of a file of that kind and edition, a word makes a field likely."""

    kind: ModelKind | None
    architecture: str | None
    edition: str | None
    """That the tensors gave; empty: none."""
    words: str
    """A regular expression on the name in lower case, its punctuation as spaces."""
    field: str
    value: str


_VAE = ModelKind.VAE

HINTS: tuple[Hint, ...] = (
    Hint(None, "sd2", "", r"768|\bv2 1\b.*\bnonema\b|\bv ema\b", "edition", "768-v"),
    Hint(None, "sd2", "", r"512|\bbase\b", "edition", "512-base"),
    Hint(None, "flux", "dev", r"kontext", "edition", "kontext"),
    Hint(None, "flux", "dev", r"krea", "edition", "krea"),
    Hint(None, "flux", "canny or depth", r"canny", "edition", "canny"),
    Hint(None, "flux", "canny or depth", r"depth", "edition", "depth"),
    Hint(None, "qwen", "", r"edit 2511", "edition", "edit 2511"),
    Hint(None, "qwen", "", r"edit 2509", "edition", "edit 2509"),
    Hint(None, "qwen", "", r"edit", "edition", "edit"),
    Hint(None, "krea2", "", r"\braw\b", "edition", "raw"),
    Hint(None, "krea2", "", r"turbo", "edition", "turbo"),
    Hint(None, "flux2", "klein 4B", r"\bbase\b", "variants", "base"),
    Hint(None, "flux2", "klein 9B", r"\bbase\b", "variants", "base"),
    Hint(None, "sd3", "3.5 large", r"turbo", "edition", "3.5 large turbo"),
    Hint(None, "hidream", "", r"\be1\b", "edition", "e1"),
    Hint(None, "hidream", "", r"\bfull\b", "edition", "full"),
    Hint(None, "hidream", "", r"\bdev\b", "edition", "dev"),
    Hint(None, "hidream", "", r"\bfast\b", "edition", "fast"),
    Hint(None, "wan", "t2v 14B", r"2 ?2\b|high ?noise|low ?noise", "edition", "2.2 t2v 14B"),
    Hint(None, "wan", "t2v 14B", r"2 ?1\b", "edition", "2.1 t2v 14B"),
    Hint(None, "wan", None, r"high ?noise|\bhigh\b(?! ?(?:qual|res))", "variants", "high-noise"),
    Hint(None, "wan", None, r"low ?noise|\blow\b(?! ?(?:qual|res|vram))", "variants", "low-noise"),
    Hint(None, "ltxv", None, r"distilled", "variants", "distilled"),
    Hint(_VAE, None, "4-channel", r"sd ?xl|\bxl\b|xlvae|pony|illustrious", "architecture", "sdxl"),
    Hint(_VAE, None, "4-channel", r"ft mse|ft ema|kl f8|orangemix|\bsd ?1|blessed|clearvae",
         "architecture", "sd1"),
    Hint(_VAE, None, "16-channel", r"flux|^ae\b", "architecture", "flux"),
    Hint(_VAE, None, "16-channel", r"\bsd ?3", "architecture", "sd3"),
    Hint(_VAE, None, "tiny, 4-channel", r"xl", "architecture", "sdxl"),
    Hint(_VAE, None, "tiny, 16-channel", r"\bsd ?3|taesd3", "architecture", "sd3"),
    Hint(_VAE, None, "tiny, 16-channel", r"f1|flux", "architecture", "flux"),
)  # fmt: skip
_COMPILED = tuple((hint, re.compile(hint.words)) for hint in HINTS)
_PUNCTUATION = re.compile(r"[\W_]+")
_WITH_VARIANTS = frozenset({ModelKind.CHECKPOINT, ModelKind.DIFFUSION_MODEL, ModelKind.LORA})


def guesses(name: str, identity: Identity) -> Iterator[Guess]:
    """What the name of a file lets one guess of what its tensors and metadata leave open."""
    plain = _PUNCTUATION.sub(" ", name[:255].lower())
    for hint, words in _COMPILED:
        if (
            (hint.kind is None or hint.kind is identity.kind)
            and (hint.architecture is None or hint.architecture == identity.architecture)
            and (hint.edition is None or hint.edition == (identity.edition or ""))
            and words.search(plain)
        ):
            yield Guess(hint.field, hint.value, f"the file's name: {name[:80]}")
    if identity.kind not in _WITH_VARIANTS:
        return
    for variant in variants_named(name[:255]):
        yield Guess("variants", variant, f"the file's name: {name[:80]}")
    if identity.architecture == "sdxl" and identity.family is None:
        family = family_named(name[:255])
        if family is not None:
            yield Guess("family", family, f"the file's name: {name[:80]}")
