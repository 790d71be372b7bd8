"""Settings of an image filled in: as asked for, as recommended, or as the model suggests.

All of it works without torch.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict, replace

from modelhub.errors import UsageError
from modelhub.formats.identity import Identity
from modelhub.render.defaultstable import (
    ANIME_WORDS,
    BY_MODEL,
    BY_VARIANT,
    CLIP_SKIP_FROM_TWO,
    FLOW_ARCHITECTURES,
    GENERAL,
    Default,
)
from modelhub.render.request import Settings
from modelhub.render.samplers import Sampling, sampling

RANDOM = -1
"""The seed that stands for any."""
MOST_STEPS = 1000
"""So many steps the noise has in training."""
_LEAST_SIDE, _MOST_SIDE = 64, 8192
_MOST_PIXELS = 1 << 25
_MOST_CFG = 100.0
_MOST_CLIP_SKIP = 12
_LARGEST_SEED = (1 << 63) - 1
_RANDOM_SEEDS = 1 << 32
_TIMES_NATIVE = 2.0
_SIZE = re.compile(r"\s*(\d{1,5})\s*[x×]\s*(\d{1,5})\s*")
_STEPS_IN_NAME = re.compile(r"(?<!\d)(\d{1,2})[ _-]?steps?(?![a-z])", re.IGNORECASE)
_NAMED_STEPS = frozenset({"lightning", "hyper", "lcm", "turbo", "dmd"})
_SUITING_THE_MODEL = frozenset({"sgm_uniform", "simple"})
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings of which none is open.

    :param settings: the seed drawn, the sampler by A1111's name, the schedule by ComfyUI's.
    :param tags: words that the makers of the model put before every prompt; not put there.
    :param reasons: for each setting that was not asked for, where it comes from.
    """

    settings: Settings
    notices: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    reasons: Mapping[str, str] | None = None


def resolve(
    settings: Settings,
    identity: Identity,
    recommended: Mapping[str, object] | None = None,
) -> Resolved:
    """Fill in what is open: from what the model's page recommends, then from what the model is.

    :param identity: of the checkpoint.
    :param recommended: settings of an image of the model's page, as Civitai's ``meta`` has them
        (``steps``, ``sampler``, ``cfgScale``, ``clipSkip``, ``Size``, ``Schedule type``, ``seed``
        and prompts left aside). Hostile, or of another program: what makes no sense is left out.
    :raises UsageError: a setting makes no sense; :func:`check` says which.
    """
    check(settings)
    suggested, rows = _suggested(identity)
    advised, notices = (
        recommended_settings(recommended, suggested) if recommended else (Settings(), [])
    )
    filled, reasons = _filled(
        settings, ((advised, "the model's page"), *((row.given, row.source) for row in rows))
    )
    chosen = _sampling(settings, advised, suggested)
    filled = replace(
        filled,
        sampler=chosen.sampler.name,
        schedule=chosen.schedule.name,
        seed=secrets.randbelow(_RANDOM_SEEDS) if settings.seed == RANDOM else settings.seed,
    )
    check(filled)
    most = chosen.sampler.most_steps
    if most is not None and (filled.steps or 0) > most:
        raise UsageError(
            f"sampler {chosen.sampler.name} makes {most} steps at most, not {filled.steps}"
        )
    notices += _notices(settings, filled, identity)
    return Resolved(
        filled, tuple(notices), next((row.tags for row in rows if row.tags), ()), reasons
    )


def check(settings: Settings) -> None:
    """Refuse settings of which no image comes; those that are open pass.

    :raises UsageError: the first that makes no sense, and why.
    """
    for mistake in _mistakes(settings):
        raise UsageError(mistake)


def _mistakes(settings: Settings) -> Iterator[str]:
    if settings.steps is not None and not 1 <= settings.steps <= MOST_STEPS:
        yield f"{settings.steps} steps cannot be made: 1 to {MOST_STEPS:,} can"
    if settings.cfg is not None and not (
        math.isfinite(settings.cfg) and 0 <= settings.cfg <= _MOST_CFG
    ):
        yield f"a CFG scale of {settings.cfg} makes no image: it goes from 0 to {_MOST_CFG:.0f}"
    if settings.seed < RANDOM or settings.seed > _LARGEST_SEED:
        yield f"a seed is 0 to {_LARGEST_SEED}, or -1 for a random one, not {settings.seed}"
    yield from _mistakes_of_size(settings.width, settings.height)
    if settings.clip_skip is not None and not 1 <= settings.clip_skip <= _MOST_CLIP_SKIP:
        yield f"clip skip goes from 1 to {_MOST_CLIP_SKIP}, not {settings.clip_skip}"
    share = settings.refiner_from
    if share is not None and not 0 <= share <= 1:
        yield f"the refiner takes over at a share of the steps from 0 to 1, not at {share}"


def _mistakes_of_size(width: int | None, height: int | None) -> Iterator[str]:
    for name, side in (("width", width), ("height", height)):
        if side is None:
            continue
        if not _LEAST_SIDE <= side <= _MOST_SIDE:
            yield f"a {name} of {side} pixels is not possible: {_LEAST_SIDE} to {_MOST_SIDE} are"
        elif side % 8:
            near = side - side % 8
            yield (
                f"a {name} of {side} pixels is not divisible by 8; the nearest are {near} and "
                f"{near + 8}"
            )
    if (width or 0) * (height or 0) > _MOST_PIXELS:
        yield f"{width} x {height} pixels are too many: {_MOST_PIXELS:,} are the most"


def recommended_settings(
    meta: Mapping[str, object], native: Settings
) -> tuple[Settings, list[str]]:
    """What an image's metadata recommend for another image of the same model.

    :param meta: as Civitai has it for an image; the numbers may be text.
    :param native: the model's own settings. A size of more than twice its pixels was made in two
        passes, and says nothing.
    :returns: the settings, the others None; and what was left out of them and why.
    """
    notices: list[str] = []
    found: dict[str, Any] = {
        "steps": _whole(meta, "steps", "Steps"),
        "cfg": _number(meta, "cfgScale", "cfg", "CFG scale"),
        "clip_skip": _whole(meta, "clipSkip", "Clip skip"),
    }
    for key, value in tuple(found.items()):
        if value is not None and any(_mistakes(Settings(**{key: value}))):
            notices.append(f"the page recommends {key} {value}, which is not possible")
            found[key] = None
    sampler, schedule = _text(meta, "sampler"), _text(meta, "scheduler", "Schedule type")
    if sampler is not None:
        try:
            chosen = sampling(sampler, schedule)
            found |= {"sampler": chosen.sampler.name, "schedule": chosen.schedule.name}
        except UsageError as error:
            notices.append(f"the page's sampler is not used: {error.message}")
    size = _SIZE.fullmatch(_text(meta, "Size", "size") or "")
    if size is not None:
        width, height = int(size[1]), int(size[2])
        most = _TIMES_NATIVE * (native.width or 0) * (native.height or 0)
        if width * height <= most and not any(_mistakes_of_size(width, height)):
            found |= {"width": width, "height": height}
    return Settings(**found), notices


def _text(meta: Mapping[str, object], *keys: str) -> str | None:
    values = (meta.get(key) for key in keys)
    return next((one[:200] for one in values if isinstance(one, str) and one.strip()), None)


def _number(meta: Mapping[str, object], *keys: str) -> float | None:
    for key in keys:
        value = meta.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            return float(value)
        except (ValueError, OverflowError):
            continue
    return None


def _whole(meta: Mapping[str, object], *keys: str) -> int | None:
    number = _number(meta, *keys)
    return int(number) if number is not None and number.is_integer() else None


def _suggested(identity: Identity) -> tuple[Settings, list[Default]]:
    """What the model is rendered with, and the rows that say so, the strongest first."""
    rows = [Default(GENERAL, "A1111's own defaults")]
    rows += [row for row in (*BY_MODEL, *BY_VARIANT) if _holds(row, identity)]
    rows += _by_name(identity)
    rows.reverse()
    merged, _ = _filled(Settings(), tuple((row.given, row.source) for row in rows))
    return merged, rows


def _holds(row: Default, identity: Identity) -> bool:
    if row.variant is not None and (
        row.variant not in identity.variants
        or (row.architecture is None and identity.architecture in FLOW_ARCHITECTURES)
        or (row.certain and not _is_certain(row.variant, identity))
    ):
        return False
    return all(
        wanted is None or wanted == known
        for wanted, known in (
            (row.architecture, identity.architecture),
            (row.edition, identity.edition),
            (row.family, identity.family),
        )
    )


def _is_certain(variant: str, identity: Identity) -> bool:
    return any(
        one.field == "variants" and one.value == variant and one.certain
        for one in identity.evidence
    )


def _by_name(identity: Identity) -> Iterator[Default]:
    """What only the title, or the file's name, says: ``4step``, ``anime``."""
    named = [one.because for one in identity.evidence if one.field == "variants"]
    texts = [identity.title or "", *named]
    few = _NAMED_STEPS.intersection(identity.variants)
    steps = [int(found[1]) for text in texts for found in _STEPS_IN_NAME.finditer(text[:500])]
    if few and steps and 1 <= steps[0] <= 16:
        yield Default(Settings(steps=steps[0]), "its name")
    words = set(_WORD.findall((identity.title or "")[:500].lower()))
    if identity.architecture == "sd1" and words.intersection(ANIME_WORDS):
        yield Default(Settings(clip_skip=2), "its title: models of anime descend from NovelAI's")


def _filled(
    settings: Settings, sources: tuple[tuple[Settings, str], ...]
) -> tuple[Settings, dict[str, str]]:
    """What is open, filled from the first source that has it; and which source that was."""
    values = asdict(settings)
    reasons: dict[str, str] = {}
    for given, source in sources:
        for key, value in asdict(given).items():
            if values[key] is None and value is not None:
                values[key] = value
                reasons[key] = source
    return Settings(**values), reasons


def _sampling(settings: Settings, advised: Settings, suggested: Settings) -> Sampling:
    """Sampler and schedule belong together: a schedule is not taken from where the sampler is not.

    But one that suits the model (SGM Uniform of a turbo model) suits it with every sampler.
    """
    if settings.sampler is not None:
        fixed = suggested.schedule if suggested.schedule in _SUITING_THE_MODEL else None
        return sampling(settings.sampler, settings.schedule, otherwise=fixed)
    if advised.sampler is not None:
        return sampling(advised.sampler, settings.schedule or advised.schedule)
    assert suggested.sampler is not None
    return sampling(suggested.sampler, settings.schedule or suggested.schedule)


def _notices(asked: Settings, filled: Settings, identity: Identity) -> Iterator[str]:
    if asked.clip_skip == 1 and identity.architecture in CLIP_SKIP_FROM_TWO:
        yield ("clip skip 1 is 2 here: the model was trained with the layer before the last")
    pixels = (filled.width or 0) * (filled.height or 0)
    native, _ = _suggested(identity)
    usual = (native.width or 1) * (native.height or 1)
    if pixels > 3 * usual or pixels * 3 < usual:
        yield (
            f"{filled.width} x {filled.height} is far from the {native.width} x {native.height} "
            "that the model was trained for"
        )
