"""What PEFT keeps apart from the tensors: the alphas of an adapter.

diffusers writes them into the metadata (``lora_adapter_metadata``: a JSON object, its keys
``unet.lora_alpha``, ``text_encoder.alpha_pattern``, ...); PEFT itself into
``adapter_config.json`` beside the file (huggingface/diffusers ``loaders/lora_base.py``;
huggingface/peft ``src/peft/tuners/lora/config.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from modelhub.convert.lora.words import flat
from modelhub.errors import FormatError

METADATA_KEY = "lora_adapter_metadata"
_CONFIG = "adapter_config.json"
_MOST_CONFIG = 4 << 20
"""A longer one is none that PEFT wrote, in characters."""
_TOO_LARGE = 1e30
_PARTS = {
    "unet": "unet",
    "transformer": "unet",
    "text_encoder": "te1",
    "text_encoder_2": "te2",
    "text_encoder_3": "te3",
}


@dataclass(frozen=True, slots=True)
class _Part:
    alpha: float | None
    by_module: tuple[tuple[str, float], ...]
    by_root: bool
    """Whether alpha is divided by the root of the rank (``use_rslora``)."""


@dataclass(frozen=True, slots=True)
class PeftSettings:
    """The alphas of an adapter, by part of the model; those under "" are for all others."""

    parts: Mapping[str, _Part]

    @classmethod
    def of(cls, path: Path, metadata: Mapping[str, str]) -> PeftSettings:
        """Those of a file; empty where there are none, or where they cannot be read as such.

        :raises FormatError: an alpha there is no number.
        """
        config = _parsed(metadata.get(METADATA_KEY))
        if config:
            split: dict[str, dict[str, Any]] = {}
            for key, value in config.items():
                part, _, name = key.partition(".")
                if part in _PARTS and name:
                    split.setdefault(_PARTS[part], {})[name] = value
            return cls({part: _part(one) for part, one in split.items()})
        beside = path.with_name(_CONFIG)
        if path.name.startswith("adapter_model") and beside.is_file():
            config = _parsed(_text(beside))
            if config:
                return cls({"": _part(config)})
        return cls({})

    def scale(self, part: str, path: str, rank: int) -> float:
        """What the product of a layer is multiplied by that has no alpha of its own."""
        settings = self.parts.get(part) or self.parts.get("")
        if settings is None:
            return 1.0
        alpha = settings.alpha
        for module, own in settings.by_module:
            if path == module or path.endswith(f"_{module}"):
                alpha = own
        if alpha is None:
            return 1.0
        return alpha / (sqrt(rank) if settings.by_root else rank)


def _text(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MOST_CONFIG + 1)
    except (OSError, ValueError):
        return None


def _parsed(text: str | None) -> dict[str, Any]:
    if not text or len(text) > _MOST_CONFIG:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _part(config: Mapping[str, Any]) -> _Part:
    pattern = config.get("alpha_pattern")
    modules = pattern.items() if isinstance(pattern, dict) else ()
    alpha = config.get("lora_alpha")
    return _Part(
        alpha=None if alpha is None else _number(alpha),
        by_module=tuple((flat(str(name)), _number(one)) for name, one in modules),
        by_root=config.get("use_rslora") is True,
    )


def _number(value: Any) -> float:
    # JSON knows NaN, and integers of any length.
    good = isinstance(value, int | float) and abs(value) < _TOO_LARGE
    if not good or isinstance(value, bool):
        raise FormatError("the settings of the adapter have an alpha that is no number")
    return float(value)
