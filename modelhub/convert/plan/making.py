"""How a plan comes about: the steps in their order, and what must hold at their end."""

from __future__ import annotations

from dataclasses import replace

from modelhub.convert.options import ConvertOptions, Ema, Target
from modelhub.convert.plan.baking import bake_in
from modelhub.convert.plan.draft import Draft, TensorSource, new_draft
from modelhub.convert.plan.ema import choose_ema, stand_alone
from modelhub.convert.plan.extracting import extract
from modelhub.convert.plan.fixes import FIXED, fix_names, fix_positions
from modelhub.convert.plan.marks import mark_training
from modelhub.convert.plan.metadata import kept_metadata, of_whole
from modelhub.convert.plan.precision import cast, precision_words
from modelhub.convert.plan.pruning import prune
from modelhub.convert.plan.standalone import name_embedding, refuse_unreadable
from modelhub.convert.plan.wording import shown
from modelhub.convert.planning import Plan, Renamed
from modelhub.convert.values import Planned
from modelhub.errors import ConversionRefused

_RESERVED = "__metadata__"
"""Of the header of safetensors."""


def make_plan(
    source: TensorSource, options: ConvertOptions, *, vae: TensorSource | None = None
) -> Plan:
    """What becomes of each tensor of `source`. Reads no data.

    Every tensor is either in the result or listed as dropped, with the reason; training state
    (``source.beside``) is always dropped, since no format but a pickle has a place for it.

    :param vae: a VAE, or a checkpoint with one, that is to take the place of the source's.
    :raises ConversionRefused: it cannot be made: a part is missing or there are several, the VAE
        does not fit, nothing would be left, two tensors would have one name.
    :raises FormatError: tensors of a diffusers folder are missing or of the wrong shape.
    """
    if vae is not None and options.extract is not None:
        raise ConversionRefused(
            f"a VAE cannot be put into the {options.extract.value} of {source.path}",
            hint="extract a part, or bake a VAE in",
        )
    draft = new_draft(source)
    draft.words += precision_words(options)
    if options.fix:
        fix_names(draft)
    draft.look()
    refuse_unreadable(draft)
    if options.target is not Target.DIFFUSERS:
        mark_training(draft)
    _select(draft, options)
    if vae is not None:
        bake_in(draft, vae)
    cast(draft, options)
    if options.fix:
        fix_positions(draft)
    name_embedding(draft)
    _tell_of_shared(draft)
    _refuse_impossible(draft)
    return _finished(draft, options)


def _select(draft: Draft, options: ConvertOptions) -> None:
    """Which tensors are kept, and under which names."""
    choice = options.ema
    if choice is None and options.prune:
        choice = None if stand_alone(draft) else Ema.DROP
        if choice is None:
            draft.notices.append("the EMA weights are the only ones of their part, and stay")
    choose_ema(draft, choice)
    if options.prune:
        prune(draft)
    if options.extract is not None:
        extract(draft, options.extract)


def _tell_of_shared(draft: Draft) -> None:
    """Neither format of the results lets two tensors be one piece of the file."""
    sizes = {one.old: one.nbytes for one in draft.entries if not one.added}
    again = 0
    for group in draft.source.shared:
        kept = [sizes[name] for name in group if name in sizes]
        again += sum(kept[1:])
    if again:
        draft.notices.append(
            f"tensors that share their values are written one by one: {again:,} bytes more"
        )


def _refuse_impossible(draft: Draft) -> None:
    path = draft.source.path
    if not draft.entries:
        raise ConversionRefused(f"{path}: nothing would be left of it")
    taken: dict[str, str] = {}
    for one in draft.entries:
        if one.name in taken:
            raise ConversionRefused(
                f"{path}: {shown(taken[one.name])} and {shown(one.old)} would both be named "
                f"{shown(one.name)}"
            )
        taken[one.name] = one.old
        if one.name == _RESERVED:
            raise ConversionRefused(f"{path}: no tensor may be named {_RESERVED}")


def _finished(draft: Draft, options: ConvertOptions) -> Plan:
    entries = draft.entries
    renamed = (
        Renamed(old, one.name)
        for one in entries
        if not one.added
        for old in draft.olds(one)
        if old != one.name
    )
    extracted = options.extract is not None
    plan = Plan(
        tensors=tuple(Planned(one.name, one.values, one.dtype) for one in entries),
        dropped=tuple(draft.dropped),
        renamed=tuple(renamed),
        metadata=kept_metadata(draft.source.header, extracted=extracted),
        operation=_operation(draft, options),
        notices=tuple(draft.notices),
        target=options.target,
        added=frozenset(one.name for one in entries if one.added),
    )
    if not extracted:
        return plan
    return replace(plan, metadata={**plan.metadata, **of_whole(plan.identity, draft.identity)})


def _operation(draft: Draft, options: ConvertOptions) -> str:
    words = list(draft.words)
    if any(notice.startswith(FIXED) for notice in draft.notices):
        words.append("fixed")
    if options.target is not Target.SAFETENSORS or not words:
        words.append(f"to {options.target.value}")
    return ", ".join(words)
