"""What a person wrote in a sidecar, told apart from what a tool copied there from Civitai.

Sources: the editors of the web UI (`modules/ui_extra_networks_user_metadata.py`,
`extensions-builtin/Lora/ui_edit_user_metadata.py`, where a weight of 0 means none, and
`modules/ui_extra_networks_checkpoints_user_metadata.py`); LoRA Manager's
`docs/metadata-json-schema.md` (which fields a user edits); the "User settings" of
Stability Matrix' `ConnectedModelInfo.cs`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from modelhub.html_text import plain_text
from modelhub.placement.sidecars.a1111 import KEYS, activation_text, sd_version
from modelhub.placement.sidecars.contract import Json, child, number, text, texts

LONGEST_NOTE = 100_000
"""Characters of a note that are kept, as the catalog takes them."""
LONGEST_WORD = 500
"""Characters of one trigger word; a longer one is a text, and goes to the notes."""
LONGEST_VALUE = 10_000
MOST_WORDS = 1_000
"""Trigger words, and tags, of one sidecar that are kept."""

_LORA = re.compile(r"<(?:lora|lyco|hypernet):[^>]*>", re.IGNORECASE)
_UNSAID = frozenset(("", "unknown", "automatic", "sdversion.unknown"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one person wrote about one model; empty is nothing."""

    notes: tuple[str, ...] = ()
    """Texts, each as one field or file had it."""
    trigger_words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """``title``, ``preferred_weight``, ``negative_text``, ``vae``, ``favorite``, ``usage_tips``,
    ``sd_version``."""
    edited_words: tuple[str, ...] = ()
    """Trigger words of which it cannot be told, from the sidecar alone, who wrote them."""

    def __bool__(self) -> bool:
        return bool(self.notes or self.trigger_words or self.tags or self.values)

    @property
    def note(self) -> str:
        """All texts below each other, as long as a note may be."""
        return "\n\n".join(self.notes)[:LONGEST_NOTE].rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What Civitai says of the model, as tools copy it: nobody's own words."""

    texts: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    sd_versions: frozenset[str] = frozenset()
    is_independent: bool = False
    """Whether it was told by something else than sidecars in which people edit it."""


def is_a1111(content: Json) -> bool:
    """Whether a `STEM.json` is the web UI's: workflows and training settings have that name too."""
    return bool(KEYS & content.keys())


def of_a1111(content: Json) -> Words:
    """`STEM.json`: description and notes, activation text, weight, negative text, version, VAE."""
    words, longer = _split_activation(text(content.get("activation text")))
    values = {
        "negative_text": text(content.get("negative text")),
        "preferred_weight": _weight(content.get("preferred weight")),
        "sd_version": text(content.get("sd version")) or text(content.get("sd_version_str")),
        "vae": text(content.get("vae")) or ", ".join(texts(content.get("vae_te"))),
    }
    notes = (text(content.get("description")), text(content.get("notes")), longer)
    return Words(notes=tidy_notes(notes), trigger_words=words, values=_said(values))


def of_lora_manager(content: Json) -> Words:
    """`STEM.metadata.json`: notes, favourite, tips, and where they are not Civitai's own, title
    and tags. Trigger words are edited where Civitai's are kept: see :attr:`Words.edited_words`.
    Of a model that is not Civitai's, all is the user's; the manager writes `from_civitai` there,
    too, but no id."""
    civitai = child(content, "civitai")
    model = child(civitai, "model")
    is_civitais = number(civitai.get("id")) is not None
    title, name = text(content.get("model_name")), text(model.get("name"))
    version = text(civitai.get("name"))
    theirs = {text(content.get("file_name")), name, version, f"{name} {version}"}
    tips = _tips(content.get("usage_tips"))
    values = {
        "title": "" if title in theirs else title,
        "favorite": "yes" if content.get("favorite") is True else "",
        "usage_tips": json.dumps(tips, ensure_ascii=False, sort_keys=True) if tips else "",
        "preferred_weight": _weight(tips.get("strength")),
    }
    words = _tidy_words(texts(civitai.get("trainedWords")) or texts(content.get("trainedWords")))
    described = "" if is_civitais else text(content.get("modelDescription"))
    return Words(
        notes=tidy_notes((described, text(content.get("notes")))),
        trigger_words=() if is_civitais else words,
        tags=_tags_beside(model, texts(content.get("tags")), is_civitais=is_civitais),
        values=_said(values),
        edited_words=words if is_civitais else (),
    )


def _tags_beside(
    model: Mapping[str, Any], tags: Iterable[str], *, is_civitais: bool
) -> tuple[str, ...]:
    """The tags that are not the model's; none where Civitai's list is not there to compare."""
    published = {tag.casefold() for tag in texts(model.get("tags"))}
    if is_civitais and not published:
        return ()
    return tuple(islice((tag for tag in tags if tag.casefold() not in published), MOST_WORDS))


def of_stability_matrix(content: Json) -> Words:
    """`STEM.cm-info.json`: the user's title, and the settings that they generate with."""
    defaults = child(content, "InferenceDefaults")
    tips = json.dumps(defaults, ensure_ascii=False, sort_keys=True) if defaults else ""
    return Words(values=_said({"title": text(content.get("UserTitle")), "usage_tips": tips}))


def copied(
    versions: Iterable[Mapping[str, Any]],
    models: Iterable[Mapping[str, Any]] = (),
    *,
    is_independent: bool = False,
) -> Copied:
    """What tools would have copied from these answers of Civitai, or claims of such."""
    of_versions = [version for version in versions if version]
    of_models = [
        *(model for model in models if model),
        *(child(version, "model") for version in of_versions),
    ]
    described = [text(one.get("description")) for one in (*of_versions, *of_models)]
    word_lists = [texts(version.get("trainedWords")) for version in of_versions]
    # As they are, in one line as we write them, and cut at their commas as other tools' are.
    spoken = [
        *(word for words in word_lists for word in words),
        *(word for words in word_lists for word in _split_activation(activation_text(words))[0]),
        *(piece for words in word_lists for word in words for piece in word.split(",")),
    ]
    bases = (sd_version(text(version.get("baseModel"))) for version in of_versions)
    return Copied(
        texts=frozenset(_plain(one) for one in described if one.strip()),
        words=frozenset(_folded(word) for word in spoken),
        tags=frozenset(_folded(tag) for model in of_models for tag in texts(model.get("tags"))),
        names=frozenset(_folded(text(model.get("name"))) for model in of_models),
        sd_versions=frozenset(base for base in bases if base),
        is_independent=is_independent and bool(of_versions),
    )


def own_words(words: Words, published: Copied) -> Words:
    """`words` without what is Civitai's."""
    edited = words.edited_words if published.is_independent else ()
    triggers = dict.fromkeys((*words.trigger_words, *edited))
    values = dict(words.values)
    if values.get("sd_version", "").removeprefix("SdVersion.") in published.sd_versions:
        del values["sd_version"]
    if _folded(values.get("title", "")) in published.names:
        values.pop("title", None)
    return replace(
        words,
        notes=tuple(note for note in words.notes if _plain(note) not in published.texts),
        trigger_words=tuple(word for word in triggers if _folded(word) not in published.words),
        tags=tuple(tag for tag in words.tags if _folded(tag) not in published.tags),
        values=values,
        edited_words=(),
    )


def joined_words(several: Iterable[Words]) -> Words:
    """The words of several sidecars as one: nothing twice, the first value of each name."""
    whole = list(several)
    values: dict[str, str] = {}
    for one in whole:
        values = dict(one.values) | values
    return Words(
        notes=tidy_notes(note for one in whole for note in one.notes),
        trigger_words=tuple(dict.fromkeys(word for one in whole for word in one.trigger_words)),
        tags=tuple(dict.fromkeys(tag for one in whole for tag in one.tags)),
        values=values,
    )


def tidy_notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Texts with the line breaks of this system; one that is within another is left out."""
    kept: list[str] = []
    for note in map(_tidy, notes):
        if note and not any(note in before for before in kept):
            kept.append(note)
    return tuple(kept)


def _tidy(value: str) -> str:
    return value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()


def _split_activation(activation: str) -> tuple[tuple[str, ...], str]:
    """The words of an activation text, and those pieces that are too long for words.

    Whole prompts are parted by ``||``, words by commas; a network's own tag is no word.
    """
    bare = _LORA.sub("", activation)
    pieces = bare.split("||") if "||" in bare else bare.split(",")
    tidy = [" ".join(piece.split()).strip(" ,") for piece in pieces]
    longer = [piece for piece in tidy if len(piece) > LONGEST_WORD]
    return _tidy_words(tidy), "\n\n".join(longer)


def _tidy_words(words: Iterable[str]) -> tuple[str, ...]:
    tidy = (" ".join(word.split()) for word in islice(words, 10 * MOST_WORDS))
    unique = dict.fromkeys(word for word in tidy if word and len(word) <= LONGEST_WORD)
    return tuple(islice(unique, MOST_WORDS))


def _weight(value: object) -> str:
    """A weight that was set, as short text; 0 is the editors' word for none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        number = float(value)
    except OverflowError:
        return ""
    return f"{number:g}" if math.isfinite(number) and number != 0 else ""


def _tips(value: object) -> Mapping[str, Any]:
    """`usage_tips`: a JSON object in a string."""
    if not isinstance(value, str) or len(value) > LONGEST_VALUE:
        return {}
    try:
        tips = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return tips if isinstance(tips, dict) else {}


def _said(values: Mapping[str, str]) -> dict[str, str]:
    tidy = {name: _tidy(value) for name, value in values.items()}
    return {
        name: value
        for name, value in tidy.items()
        if value.casefold() not in _UNSAID and len(value) <= LONGEST_VALUE
    }


def _plain(html: str) -> str:
    return " ".join(plain_text(html[:LONGEST_NOTE]).split())


def _folded(value: str) -> str:
    return " ".join(value.split()).casefold()
