"""`STEM.json`: what the web UIs of A1111 and Forge keep about a model; it is the user's.

Source: `modules/extra_networks.py` (`get_user_metadata`),
`modules/ui_extra_networks_user_metadata.py`, `extensions-builtin/Lora/ui_edit_user_metadata.py`
and, for Forge, `extensions-builtin/sd_forge_lora/ui_extra_networks_lora.py` and
`modules/ui_extra_networks_checkpoints_user_metadata.py`. ``sd version`` is a member's name of
`SdVersion` (`network.py`: SD1, SD2, SDXL; Forge: Flux); where it is absent, the web UI looks into
the file, so an unknown one is left out. ``activation text`` is added to the prompt as it is.
A whole file that is written here has no weight, notes or negative text: those are the user's.
"""

from __future__ import annotations

import re

from modelhub.html_text import plain_text
from modelhub.placement.kinds import Kind
from modelhub.placement.sidecars.contract import AnotherModels, Json, SidecarFacts, text, texts

SUFFIX = ".json"

_BASES = (
    (re.compile(r"SD 1\.|SD 1\b", re.IGNORECASE), "SD1"),
    (re.compile(r"SD 2\.|SD 2\b", re.IGNORECASE), "SD2"),
    (re.compile(r"SDXL|Pony(?! V7)|Illustrious|NoobAI", re.IGNORECASE), "SDXL"),
    (re.compile(r"Flux\.1", re.IGNORECASE), "Flux"),
)
KEYS = frozenset(
    (
        *("description", "notes", "sd version", "sd_version_str", "activation text"),
        *("preferred weight", "negative text", "vae", "vae_te", "extensions"),
    )
)
"""The keys of the web UI's own."""


def build(facts: SidecarFacts) -> Json:
    """Description, trigger words and base model; what is not known is left out."""
    sidecar: Json = {}
    description = plain_text(
        text(facts.model.get("description")) or text(facts.version.get("description"))
    )
    if description:
        sidecar["description"] = description
    version = sd_version(text(facts.version.get("baseModel")))
    if facts.kind is Kind.LORA:
        if version:
            sidecar["sd version"] = version
        words = texts(facts.version.get("trainedWords"))
        if words:
            sidecar["activation text"] = activation_text(words)
    elif version:
        sidecar["sd_version_str"] = f"SdVersion.{version}"
    return sidecar


def merge(existing: Json, fresh: Json) -> Json:
    """Only what is absent is filled in: an emptied field is the user's word too.

    :raises AnotherModels: the file has no key of the web UI: a workflow or a training
        configuration may have the same name.
    """
    if existing and not KEYS & existing.keys():
        raise AnotherModels("something else than a model for the web UI")
    return fresh | existing


def sd_version(base_model: str) -> str | None:
    """The web UI's name for Civitai's base model, or `None`. Pony and Illustrious are SDXL."""
    return next((name for pattern, name in _BASES if pattern.match(base_model)), None)


def activation_text(words: list[str]) -> str:
    """Trigger words in one line. Whole prompts, told by their commas, are parted by ``||``."""
    lines = [" ".join(word.split()).strip(" ,") for word in words]
    lines = [line for line in lines if line]
    are_prompts = len(lines) > 1 and any("," in line for line in lines)
    return (" || " if are_prompts else ", ").join(lines)
