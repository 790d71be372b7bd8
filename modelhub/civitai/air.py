"""AIR, the Artificial Intelligence Resource names of Civitai.

`urn:air:{ecosystem}:{type}:{source}:{model}@{version}[+{file}][.{format}]`; `urn:`, `air:`, the
ecosystem and the type may be left out, down to `civitai:78056@133274`.
"""

from __future__ import annotations

import re
from typing import Final

from modelhub.civitai.reference_values import FileWish, ModelRef, checked_id, quoted
from modelhub.errors import MalformedReference, UnsupportedSource

SOURCES: Final = frozenset(
    {"civitai", "huggingface", "orchestrator", "openai", "leonardo", "other"}
)
"""The sources that AIR knows; modelhub pulls from the first."""

_FORMATS: Final = {
    "safetensor": "SafeTensor",
    "safetensors": "SafeTensor",
    "ckpt": "PickleTensor",
    "pt": "PickleTensor",
    "pickletensor": "PickleTensor",
    "gguf": "GGUF",
    "diffuser": "Diffusers",
    "diffusers": "Diffusers",
    "onnx": "ONNX",
    "coreml": "Core ML",
}

_WORD = r"[A-Za-z0-9_\-/]+"
_AIR = re.compile(
    rf"(?P<scheme>(?:urn:)?air:|urn:)?"
    rf"(?:(?P<ecosystem>{_WORD}):)?(?:(?P<type>{_WORD}):)?"
    rf"(?P<source>{_WORD}):(?P<id>[^\s@:]+)(?:@(?P<version>\S+))?",
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"(?P<version>[0-9]+)(?:\+(?P<file>[0-9]+))?(?:\.(?P<format>[A-Za-z0-9_-]+))?"
)


def looks_like_air(text: str) -> bool:
    """Whether `text` is written as an AIR, of whatever source."""
    if re.match(r"(urn:)?air:|urn:", text, re.IGNORECASE):
        return True
    match = _AIR.fullmatch(text)
    return bool(match and (match["source"].lower() in SOURCES or match["ecosystem"]))


def parse_air(text: str) -> ModelRef:
    """Read an AIR.

    :raises MalformedReference: it is not of the form above.
    :raises UnsupportedSource: its source is not Civitai.
    """
    match = _AIR.fullmatch(text)
    if not match:
        raise MalformedReference(
            f"{quoted(text)} is no AIR",
            hint="an AIR is written urn:air:sd1:checkpoint:civitai:78056@133274",
        )
    if match["source"].lower() != "civitai":
        raise UnsupportedSource(
            f"{quoted(text)} is on {quoted(match['source'].lower())}: modelhub pulls from Civitai",
            hint="an AIR of Civitai has `civitai` before the model's id",
        )
    if match["version"] is None:
        return ModelRef(checked_id(match["id"], shown=text))
    rest = _VERSION.fullmatch(match["version"])
    if not rest:
        raise MalformedReference(
            f"{quoted(text)} is no AIR: {quoted(match['version'])} is no version",
            hint="after @ stands the version's id, then maybe +FILE and .FORMAT",
        )
    wish = FileWish(
        file_id=checked_id(rest["file"], shown=text) if rest["file"] else None,
        format=_FORMATS.get(rest["format"].lower(), rest["format"]) if rest["format"] else None,
    )
    return ModelRef(
        checked_id(match["id"], shown=text),
        version_id=checked_id(rest["version"], shown=text),
        file=wish,
    )
