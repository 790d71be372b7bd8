"""What a model's page recommends: its version's settings, and what most of its images were made
with.

A version's ``settings`` hold ``strength`` and ``clipSkip`` (civitai/civitai
``src/server/schema/model-version.schema.ts``, ``recommendedSettingsSchema``); an image's ``meta``
holds what the text in the uploaded picture said: ``steps``, ``sampler``, ``cfgScale``, ...
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

_LEAST_IMAGES = 2
"""Fewer are an example, no recommendation."""
_MOST_IMAGES = 200
_LONGEST_VALUE = 100
_STRONGEST = 4.0
_OF_SAMPLING = ("sampler", "Schedule type")
"""These belong together: the schedule is taken from images with the sampler that is taken."""
_SINGLE = ("steps", "cfgScale", "Size")
_CLIP_SKIP = ("clipSkip", "Clip skip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """What a page recommends.

    :param weight: of a LoRA; None: nothing is said.
    :param meta: as Civitai has it for an image, as far as it holds for most of them.
    """

    weight: float | None = None
    meta: Mapping[str, object] = field(default_factory=dict)


def recommended_by_page(catalog: Catalog, version_id: int | None) -> Recommended:
    """What the page of a version recommends, as far as Civitai's answers were recorded."""
    answer = None if version_id is None else catalog.raw_answer(version_id=version_id)
    if answer is None:
        return Recommended()
    try:
        return recommended_by(msgspec.json.decode(answer[0]))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return Recommended()


def recommended_by(version: Any) -> Recommended:
    """The same from a version's answer, decoded; what is malformed is passed over."""
    if not isinstance(version, Mapping):
        return Recommended()
    settings = version.get("settings")
    settings = settings if isinstance(settings, Mapping) else {}
    images = version.get("images")
    metas = [_meta(one) for one in (images if isinstance(images, list) else [])[:_MOST_IMAGES]]
    found: dict[str, object] = {}
    for name in _SINGLE:
        found |= _usual(metas, (name,))
    found |= _usual(metas, _OF_SAMPLING)
    if (skip := _usual_value(metas, _CLIP_SKIP)) is not None:
        found["clipSkip"] = skip
    if _plain(settings.get("clipSkip")) is not None:
        found["clipSkip"] = settings["clipSkip"]
    return Recommended(weight=_weight(settings.get("strength")), meta=found)


def _meta(image: Any) -> Mapping[str, Any]:
    meta = image.get("meta") if isinstance(image, Mapping) else None
    return meta if isinstance(meta, Mapping) else {}


def _usual(metas: Sequence[Mapping[str, Any]], names: tuple[str, ...]) -> dict[str, object]:
    """The values under `names` that most images have together; the first must be there."""
    counted = Counter(
        tuple(_plain(meta.get(name)) for name in names)
        for meta in metas
        if _plain(meta.get(names[0])) is not None
    ).most_common(1)
    if not counted or counted[0][1] < _LEAST_IMAGES:
        return {}
    pairs = zip(names, counted[0][0], strict=True)
    return {name: value for name, value in pairs if value is not None}


def _usual_value(metas: Sequence[Mapping[str, Any]], names: tuple[str, ...]) -> object | None:
    """The value that most images have under any of `names`."""
    spellings = (_usual(metas, (name,)).get(name) for name in names)
    return next((value for value in spellings if value is not None), None)


def _plain(value: Any) -> int | float | str | None:
    """A number or a short text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return None if isinstance(value, str) and len(value) > _LONGEST_VALUE else value


def _weight(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) <= _STRONGEST else None
