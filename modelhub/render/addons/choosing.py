"""Which checkpoint an add-on is tried on, of those that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelhub.formats.identity import Identity, ModelKind
from modelhub.render.addons.fitting import fits

_FAMILY_WORDS = (
    ("noobai", re.compile(r"noob", re.IGNORECASE)),
    ("illustrious", re.compile(r"illustrious", re.IGNORECASE)),
    ("animagine", re.compile(r"animagine", re.IGNORECASE)),
    ("pony", re.compile(r"pony", re.IGNORECASE)),
)
_KIN = {"noobai": "illustrious"}
"""Families that were trained from another one: NoobAI XL from Illustrious XL early release."""
_TASKS = frozenset({"inpainting", "instruct-pix2pix", "depth", "upscaler", "unclip"})
_DISTILLED = frozenset({"turbo", "lightning", "lcm", "hyper", "dmd", "dmd2"})
_TOLD_BY_TRAINERS = frozenset({"sd1", "sdxl"})
"""Where a LoRA that says nothing of velocities predicts the noise; of SD 2, few say."""
_ENDING = re.compile(r"\.(safetensors|ckpt|pt|pth|bin)\Z", re.IGNORECASE)
_BETWEEN = re.compile(r"[\W_]+")
_SHORTEST_NAME = 4
_SHORTEST_HASH = 8

_SAME_CONTENT, _SAME_NAME = 1000, 500
_SAME_FAMILY, _KIN_FAMILY, _NO_FAMILY, _OTHER_FAMILY = 100, 60, -40, -60
_CERTAIN_FIT = 20
_OTHER_TASK, _IS_DISTILLED, _OTHER_PREDICTION, _IS_UNSAFE = -400, -30, -80, -200
_A_STAR = 4
_WITHOUT_PARTS = -150


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A checkpoint that is there.

    :param path: absolute.
    :param name: of the model, as its page or the user calls it.
    :param base: what Civitai's page names as its base model: ``Pony``, ``SDXL 1.0``.
    :param size: of the file, in bytes.
    :param hashes: any of the file, in hex: SHA256, AutoV2, AutoV1.
    :param rating: of the user, 1 to 5.
    :param unsafe: the scan calls it dangerous.
    """

    path: str
    identity: Identity
    size: int
    name: str = ""
    base: str | None = None
    hashes: tuple[str, ...] = ()
    rating: int | None = None
    unsafe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBase:
    """The base that an add-on names.

    :param name: of the checkpoint's file, as the trainer wrote it down.
    :param hashes: of that file, in hex, whole or their beginnings.
    :param base: what Civitai's page names: ``Illustrious``, ``SD 1.5``.
    """

    name: str | None = None
    hashes: tuple[str, ...] = ()
    base: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, str], base: str | None = None) -> NamedBase:
        """What kohya's trainer left in the metadata (kohya-ss/sd-scripts ``train_network.py``)."""
        keys = ("ss_new_sd_model_hash", "ss_sd_model_hash")
        hashes = (metadata.get(key, "").strip().lower() for key in keys)
        return cls(
            name=metadata.get("ss_sd_model_name") or None,
            hashes=tuple(one for one in hashes if re.fullmatch(r"[0-9a-f]{8,64}", one)),
            base=base,
        )


@dataclass(frozen=True, slots=True)
class Ranked:
    """A checkpoint that fits; `reasons` say why it stands where it stands, for people."""

    candidate: Candidate
    score: int
    reasons: tuple[str, ...]


def choose_base(
    candidates: Iterable[Candidate], addon: Identity, named: NamedBase | None = None
) -> list[Ranked]:
    """The checkpoints that an add-on (LoRA, embedding, VAE) fits, the best to try it on first.

    The checkpoint that the add-on names comes first, then those of its family (Pony, Illustrious
    and the like), then the others of its architecture; those for another task (inpainting) and
    distilled ones last. Between equals the user's rating decides, then pruned before full, then the
    smaller file. What certainly does not fit is left out.
    """
    named = named or NamedBase()
    ranked = []
    for one in candidates:
        fit = fits(addon, one.identity)
        if not fit.fits:
            continue
        reasons = [(_CERTAIN_FIT if fit.certain else 0, fit.why)]
        reasons += _for_its_name(one, named)
        reasons += _for_its_family(one, addon, named)
        reasons += _for_itself(one, addon)
        score = sum(points for points, _ in reasons)
        ranked.append(Ranked(one, score, tuple(why for _, why in reasons)))
    return sorted(ranked, key=_order)


def _order(one: Ranked) -> tuple[int, bool, int, str]:
    candidate = one.candidate
    return -one.score, not candidate.identity.pruned, candidate.size, candidate.path


def _for_its_name(one: Candidate, named: NamedBase) -> list[tuple[int, str]]:
    hashes = [known.lower() for known in one.hashes]
    for wanted in named.hashes:
        if any(_same_hash(wanted.lower(), known) for known in hashes):
            return [(_SAME_CONTENT, f"it was trained on this very file ({wanted[:10]})")]
    wanted_name = _plain(named.name or "")
    names = {_plain(one.name), _plain(one.path)}
    if len(wanted_name) >= _SHORTEST_NAME and wanted_name in names:
        return [(_SAME_NAME, f"it was trained on {named.name}")]
    return []


def _same_hash(one: str, other: str) -> bool:
    shorter = min(len(one), len(other))
    return shorter >= _SHORTEST_HASH and one[:shorter] == other[:shorter]


def _plain(name: str) -> str:
    return _BETWEEN.sub("", _ENDING.sub("", _tail(name))).casefold()


def _tail(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _for_its_family(one: Candidate, addon: Identity, named: NamedBase) -> list[tuple[int, str]]:
    wanted = addon.family or _family_in(named.base, named.name)
    family = one.identity.family or _family_in(one.base, one.name, _tail(one.path))
    if wanted == family:
        return [(_SAME_FAMILY, f"both are of the family of {wanted}")] if wanted else []
    if wanted and family and (_KIN.get(wanted) == family or _KIN.get(family) == wanted):
        return [(_KIN_FAMILY, f"{wanted} and {family} are akin")]
    mine, its = wanted or "none", family or "none"
    points = _OTHER_FAMILY if wanted and family else _NO_FAMILY
    return [(points, f"its family is {its}, that of the add-on {mine}")]


def _family_in(*texts: str | None) -> str | None:
    for text in texts:
        for family, words in _FAMILY_WORDS:
            if text and words.search(text):
                return family
    return None


def _for_itself(one: Candidate, addon: Identity) -> list[tuple[int, str]]:
    identity = one.identity
    differing = sorted(set(identity.variants) - set(addon.variants))
    found = [(_OTHER_TASK, f"it is for another task: {it}") for it in differing if it in _TASKS]
    found += [(_IS_DISTILLED, f"it is distilled ({it})") for it in differing if it in _DISTILLED]
    tells = addon.kind is ModelKind.LORA and addon.architecture in _TOLD_BY_TRAINERS
    if tells and _predicts_v(identity) != _predicts_v(addon):
        found.append((_OTHER_PREDICTION, "one predicts the velocity, the other the noise"))
    if identity.kind is ModelKind.DIFFUSION_MODEL:
        found.append((_WITHOUT_PARTS, "it has no text encoder and no VAE of its own"))
    if one.unsafe:
        found.append((_IS_UNSAFE, "the scan calls it dangerous"))
    if one.rating:
        found.append((_A_STAR * one.rating, f"rated {one.rating}"))
    return found


def _predicts_v(identity: Identity) -> bool:
    return "v-prediction" in identity.variants
