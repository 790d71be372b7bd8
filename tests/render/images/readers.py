"""How other programs read ``parameters``, after the grammars that they publish."""

from __future__ import annotations

import json
import re

A1111_FIELD = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""`AUTOMATIC1111/stable-diffusion-webui modules/infotext_utils.py`, ``re_param``."""


def as_a1111(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and fields (``parse_generation_parameters`` of the same file)."""
    *above, last = text.strip().split("\n")
    pairs = A1111_FIELD.findall(last)
    if len(pairs) < 3:
        above, pairs = [*above, last], []
    sides: tuple[list[str], list[str]] = ([], [])
    side = 0
    for line in (one.strip() for one in above):
        if line.startswith("Negative prompt:"):
            side = 1
            line = line[16:].strip()
        if sides[side] == [""]:
            sides[side].clear()
        sides[side].append(line)
    fields = {key: _unquoted(value.strip()) for key, value in pairs if value.strip()}
    return "\n".join(sides[0]), "\n".join(sides[1]), fields


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


Details = dict[str, "str | Details"]


def as_civitai(text: str) -> tuple[str, str, Details]:
    """The same as `civitai/civitai src/utils/metadata/automatic.metadata.ts` does it."""
    lines = [line for line in text.split("\n") if line.strip()]
    for key in ("Template: ", "Negative Template: "):
        found = next((line for line in lines if line.startswith(key)), None)
        if found is not None:
            at = lines.index(found)
            del lines[at]
            while at < len(lines) and not re.search(r"[\w\s]+: ", lines[at]):
                del lines[at]
    details = next((line for line in lines if line.startswith("Steps: ")), "")
    if details:
        lines.remove(details)
    prompt, *negative = (one.strip() for one in "\n".join(lines).split("Negative prompt:"))
    return prompt, " ".join(negative).strip(), _details(details)


def _details(line: str) -> Details:
    """Character by character: what stands in quotes is a list of details itself."""
    found: Details = {}
    key = value = ""
    quoted = False
    for one in line:
        if one == '"':
            if quoted:
                found[key] = _details(value.strip())
                key = ""
            quoted = not quoted
        elif one == ":" and not quoted:
            key, value = value.strip(), ""
        elif one == "," and not quoted:
            if key:
                found[key] = value.strip()
            key = value = ""
        else:
            value += one
    if key:
        found[key] = value.strip()
    return found
