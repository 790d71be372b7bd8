"""A1111's ``parameters``: the text by which image tools tell how a picture was made.

The grammar is that of `AUTOMATIC1111/stable-diffusion-webui`: written by ``create_infotext``
(`modules/processing.py`), quoted and parsed in `modules/infotext_utils.py`, its hashes put there by
`extensions-builtin/Lora` and `modules/textual_inversion`. Civitai reads the same in another way
(`civitai/civitai src/utils/metadata/automatic.metadata.ts`): where the two differ, what we write is
read alike by both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_NEGATIVE = "Negative prompt:"
_TAKEN_BY_CIVITAI = ("Steps: ", "Template: ", "Negative Template: ")
_LONGEST_LINE = 1 << 20
_LONGEST_KEY = 100
_MOST_FIELDS = 1_000
_QUOTED = re.compile(r'\s*("(?:\\.|[^\\"])+")(?=,|$)')
_KEY = re.compile(r"\w[\w \-/]+\Z")


@dataclass(frozen=True, slots=True)
class Infotext:
    """What a ``parameters`` text says.

    :param fields: by A1111's names (``Steps``, ``Sampler``, ``Model hash``), in their order.
    """

    prompt: str = ""
    negative: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def written_infotext(infotext: Infotext) -> str:
    """The text. Fields that are empty are left out.

    The prompts stay the same to a text encoder, which takes any run of blanks for one; where they
    hold the grammar's own words, a blank more keeps these from being read as such.

    :param infotext: its first field has to be ``Steps``: by that Civitai finds the line.
    """
    lines = [_harmless(infotext.prompt)] if infotext.prompt.strip() else []
    if infotext.negative.strip():
        lines.append(f"{_NEGATIVE} {_harmless(infotext.negative)}")
    pairs = [f"{key}: {_quoted(value)}" for key, value in infotext.fields.items() if value]
    return "\n".join([*lines, ", ".join(pairs)])


def plain_name(name: str) -> str:
    """The name of a model as it may stand in the text, without what separates there."""
    kept = "".join(" " if one in ',:"\\' or not one.isprintable() else one for one in name)
    return " ".join(kept.split())


def parse_infotext(text: str) -> Infotext:
    """A ``parameters`` text, of any program that writes A1111's grammar.

    Takes time in proportion to its length; what is not understood is left out.
    """
    *lines, last = text[:_LONGEST_LINE].strip().split("\n")
    fields = _parsed_fields(last)
    if len(fields) < 3:
        lines.append(last)
        fields = {}
    positive: list[str] = []
    negative: list[str] = []
    target = positive
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(_NEGATIVE):
            target = negative
            stripped = stripped.removeprefix(_NEGATIVE).strip()
        target.append(stripped)
    return Infotext("\n".join(positive).strip(), "\n".join(negative).strip(), fields)


def _harmless(prompt: str) -> str:
    lines = prompt.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    kept = [line.replace(_NEGATIVE, "Negative  prompt:").strip() for line in lines]
    return "\n".join(f" {one}" if one.startswith(_TAKEN_BY_CIVITAI) else one for one in kept)


def _quoted(value: str) -> str:
    if not any(one in value for one in ",\n:"):
        return value
    return json.dumps(value, ensure_ascii=False)


def _parsed_fields(line: str) -> dict[str, str]:
    """``Key: value, Key: "quoted, value"``: a value ends at the comma after it."""
    found: dict[str, str] = {}
    place = 0
    while len(found) < _MOST_FIELDS and (colon := line.find(":", place)) >= 0:
        key = _KEY.search(line[max(place, colon - _LONGEST_KEY) : colon])
        place = colon + 1
        if key is None:
            continue
        quoted = _QUOTED.match(line, place)
        comma = line.find(",", place if quoted is None else quoted.end())
        end = len(line) if comma < 0 else comma
        value = line[place:end].strip() if quoted is None else quoted[1]
        place = end + 1
        if value:
            found[key.group()] = _unquoted(value)
    return found


def _unquoted(text: str) -> str:
    if not text[0] == text[-1] == '"':
        return text
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
