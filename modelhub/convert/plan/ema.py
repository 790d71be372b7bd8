"""The averaged twin of the weights (EMA): left, dropped, or put in the place of the others.

CompVis/stable-diffusion ``ldm/modules/ema.py`` keeps the average of ``model.diffusion_model.a.b``
under ``model_ema.diffusion_modelab``: the name within its module without its dots. A VAE that was
trained so has its twins the same way.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from modelhub.convert.options import Ema
from modelhub.convert.plan.draft import Draft, Entry, is_average_beside
from modelhub.convert.plan.ema_names import WEIGHTS, full_name
from modelhub.convert.plan.wording import shown, some
from modelhub.convert.planning import Reason
from modelhub.errors import ConversionRefused
from modelhub.formats.identify.parts import Role

_EMA = "model_ema."
_VAE = "first_stage_model."
_COUNTERS = (f"{_EMA}decay", f"{_EMA}num_updates")


def is_ema(name: str) -> bool:
    """Whether a name is that of an average, or of a counter of the averaging."""
    return name.startswith((_EMA, _VAE + _EMA))


def is_counter(name: str) -> bool:
    """Whether a tensor only counts or weighs the averaging."""
    return name.removeprefix(_VAE) in _COUNTERS


def choose_ema(draft: Draft, choice: Ema | None) -> None:
    """Do with the averages what was asked for.

    Averages that stand alone, without the weights that name them, are swapped in where their own
    names tell the full ones.

    :raises ConversionRefused: they do not, the averages would be dropped and nothing be left, are
        of another shape, or are kept where no tensor of the model is.
    """
    twins = {one.name: one for one in draft.entries if is_ema(one.name)}
    if choice is None or choice is Ema.KEEP:
        if choice is Ema.KEEP and twins:
            draft.words.append("ema kept")
        return
    if choice is Ema.SWAP:
        if not any(not is_counter(name) for name in twins):
            _refuse_beside(draft)
            raise ConversionRefused(
                f"{draft.source.path}: there are no EMA weights to swap in",
                hint="without --ema its weights are taken as they are; "
                "the query `ema:yes` finds the files that have some",
            )
        _swap(draft, twins)
        draft.words.append("ema")
    elif twins:
        _refuse_alone(draft, "keep them, or have them take their own place with --ema")
        draft.words.append("without ema")
    draft.drop(lambda one: is_ema(one.name), Reason.EMA)


def _refuse_beside(draft: Draft) -> None:
    beside = next((one for one in draft.source.beside if is_average_beside(one.name)), None)
    if beside is not None:
        raise ConversionRefused(
            f"{draft.source.path}: the EMA weights are a model of their own beside the other "
            f"({shown(beside.name)}), and cannot be swapped in"
        )


def stand_alone(draft: Draft) -> bool:
    """Whether there are averages, and none of the weights that they are the averages of."""
    averages = {one.name for one in draft.entries if is_ema(one.name) and not is_counter(one.name)}
    return bool(averages) and not any(_twin_of(one) in averages for one in draft.entries)


def _refuse_alone(draft: Draft, hint: str) -> None:
    if stand_alone(draft):
        raise ConversionRefused(
            f"{draft.source.path}: the EMA weights are the only ones of their part",
            hint=hint,
        )


def _is_weight(one: Entry) -> bool:
    return one.role in (Role.UNET, Role.VAE)


def _twin_of(one: Entry) -> str | None:
    """How the average of a tensor would be called."""
    if is_ema(one.name):
        return None
    if one.name.startswith(_VAE):
        return f"{_VAE}{_EMA}{one.name.removeprefix(_VAE).replace('.', '')}"
    return _EMA + one.name.removeprefix("model.").replace(".", "")


def _name_in_full(draft: Draft) -> bool:
    """Give averages that stand alone the names of their weights; whether all have one."""
    names = {
        one.name: full_name(one.name)
        for one in draft.entries
        if is_ema(one.name) and not is_counter(one.name)
    }
    if None in names.values():
        return False
    draft.entries = [
        one if (name := names.get(one.name)) is None else _named(one, name) for one in draft.entries
    ]
    draft.notices.append("the names of the EMA weights, which are the only ones, get their dots")
    return True


def _named(one: Entry, name: str) -> Entry:
    return replace(one, name=name, role=Role.UNET, part=WEIGHTS)


def _swap(draft: Draft, twins: dict[str, Entry]) -> None:
    if stand_alone(draft) and _name_in_full(draft):
        return
    _refuse_alone(draft, "keep them: their full names cannot be told from what is left of these")
    weights: dict[str, list[Entry]] = {}
    for one in draft.entries:
        name = _twin_of(one)
        if name in twins:
            weights.setdefault(name, []).append(one)
    places: dict[str, Entry] = {}
    for name, named in weights.items():
        _refuse_unlike(draft, twins[name], named)
        places[named[0].name] = twins[name]
    _tell_of_missing(draft, places)
    _put_in_place(draft, places)


def _refuse_unlike(draft: Draft, twin: Entry, named: list[Entry]) -> None:
    if len(named) > 1:
        raise ConversionRefused(
            f"{draft.source.path}: {shown(twin.name)} is the average of {shown(named[0].name)} as "
            f"well as of {shown(named[1].name)}"
        )
    if twin.values.shape != named[0].values.shape:
        raise ConversionRefused(
            f"{draft.source.path}: {shown(twin.name)} has the shape {list(twin.values.shape)}, and "
            f"{shown(named[0].name)} has {list(named[0].values.shape)}"
        )


def _put_in_place(draft: Draft, places: dict[str, Entry]) -> None:
    """Each average stands where the weight stood, in the order of the source too."""
    taken = {twin.name for twin in places.values()}
    order: list[Entry] = []
    for one in draft.entries:
        twin = places.get(one.name)
        if twin is not None:
            draft.dropped += draft.gone(one, Reason.NOT_EMA)
            order.append(replace(twin, name=one.name, role=one.role, part=one.part))
        elif one.name not in taken:
            order.append(one)
    draft.entries = order


def _tell_of_missing(draft: Draft, replaced: Collection[str]) -> None:
    parts = {one.part for one in draft.entries if one.name in replaced}
    missing = [
        one.name
        for one in draft.entries
        if one.part in parts and _is_weight(one) and one.name not in replaced
    ]
    if missing:
        draft.notices.append(f"{len(missing):,} weights have no EMA twin and stay: {some(missing)}")
