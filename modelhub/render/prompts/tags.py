"""Names of files within a prompt: ``<lora:name:0.8>``, and trigger words that belong into one.

Source: AUTOMATIC1111/stable-diffusion-webui ``modules/extra_networks.py`` and
``extensions-builtin/Lora/extra_networks_lora.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from modelhub.errors import UsageError

_TAG = re.compile(r"<(\w{1,30}):([^<>\n]{1,500})>")
_LORAS = frozenset({"lora", "lyco"})
_OTHERS = frozenset({"hypernet"})
_SPACES = re.compile(r"[ \t]{2,}")
_HEAVIEST = 100.0
_LONGEST_WORDS = 1000


@dataclass(frozen=True, slots=True)
class LoraTag:
    """A LoRA that a prompt names.

    :param name: as the prompt has it: of the file, mostly without its suffix.
    :param weight: of the UNet's part.
    :param text_weight: of the text encoder's part.
    """

    name: str
    weight: float = 1.0
    text_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Tagged:
    """A prompt without its tags, and the tags."""

    prompt: str
    loras: tuple[LoraTag, ...] = ()
    notices: tuple[str, ...] = ()


def without_tags(prompt: str) -> Tagged:
    """Take the tags out of a prompt. What only looks like one stays where it is.

    :raises UsageError: the weight of a LoRA is no number.
    """
    loras: list[LoraTag] = []
    notices: list[str] = []

    def taken(found: re.Match[str]) -> str:
        kind, arguments = found[1].lower(), found[2]
        if kind in _LORAS:
            loras.append(_lora(found[0], arguments.split(":")))
        elif kind in _OTHERS:
            notices.append(f"{found[0][:100]} was left out: hypernetworks are not rendered")
        else:
            return found[0]
        return ""

    plain = _TAG.sub(taken, prompt)
    if plain != prompt:
        plain = _SPACES.sub(" ", plain).strip()
    return Tagged(plain, tuple(loras), tuple(notices))


def with_words(prompt: str, words: Iterable[str]) -> str:
    """A prompt with trigger words before it, those left out that it has already.

    :param words: each a word or a phrase, as the trainer or the page has it.
    """
    missing: list[str] = []
    length = 0
    there = prompt.lower()
    for word in words:
        plain = " ".join(word.split()).strip(" ,")
        if not plain or plain.lower() in there or length > _LONGEST_WORDS:
            continue
        missing.append(plain)
        length += len(plain)
        there += f", {plain.lower()}"
    return ", ".join((*missing, prompt) if prompt.strip() else missing)


def _lora(tag: str, arguments: list[str]) -> LoraTag:
    """Positions are the name, the text encoder's weight and the UNet's; `te=` and `unet=` too."""
    positional = [one for one in arguments if "=" not in one]
    named = dict(one.split("=", 1) for one in arguments if "=" in one)
    if not positional or not positional[0].strip():
        raise UsageError(f"{tag[:100]} names no LoRA")
    text = named.get("te", positional[1] if len(positional) > 1 else "1")
    unet = named.get("unet", positional[2] if len(positional) > 2 else text)
    return LoraTag(positional[0].strip(), _weight(tag, unet), _weight(tag, text))


def _weight(tag: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not abs(weight) <= _HEAVIEST:
        raise UsageError(f"{tag[:100]}: {text[:30]!r} is no weight", hint="as in <lora:name:0.8>")
    return weight
