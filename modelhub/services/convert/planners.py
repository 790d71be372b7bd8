"""Which planner makes the plan of a request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING

from modelhub.convert.options import Precision, Target
from modelhub.errors import ConversionRefused
from modelhub.formats.identify import identify
from modelhub.formats.identity import ModelKind
from modelhub.services.convert.request import ConvertRequest, Work

if TYPE_CHECKING:
    from modelhub.convert.lora import RankRule
    from modelhub.convert.planning import Plan
    from modelhub.convert.readers import Source


def plan_of(
    request: ConvertRequest,
    source: Source,
    others: Sequence[Source],
    *,
    progress: Callable[[int, int], None],
    cancel: Event,
) -> Plan:
    """What will be made of `source`.

    :param others: what :attr:`ConvertRequest.others` names, opened.
    :param progress: called while values have to be compared for it: how many are, and of how many.
    :raises ConversionRefused: it cannot be made, or a file is none of the kind for it.
    :raises Cancelled: `cancel` was set.
    """
    work, options = request.work, request.options
    if work is Work.WEIGHTS:
        return _weights(request, source, others)
    from modelhub.convert.lora import extract_plan, lora_plan, merge_plan

    if work is Work.MERGE:
        for one in others:
            _require_lora(one, "--merge-lora takes LoRA files")
        weights = [weight for _, weight in request.loras]
        return merge_plan(source, list(zip(others, weights, strict=True)), options)
    if work is Work.LORA:
        _require_lora(source, "--lora-keys and --rank are of LoRA files")
        plan = lora_plan(
            source,
            key_format=request.lora_keys,
            rank=_rank_rule(request),
            dtype=options.dtype,
            progress=progress,
            cancel=cancel,
        )
    else:
        plan = extract_plan(
            source,
            others[0],
            rank=request.rank or 0,
            dtype=options.dtype or Precision.FP16,
            progress=progress,
            cancel=cancel,
        )
    return dataclasses.replace(plan, target=options.target)


def _weights(request: ConvertRequest, source: Source, others: Sequence[Source]) -> Plan:
    from modelhub.convert.plan import make_plan

    plan = make_plan(source, request.options, vae=others[0] if others else None)
    return _foreseen(plan) if plan.target is Target.DIFFUSERS else plan


def _foreseen(plan: Plan) -> Plan:
    """The plan of a folder, with what becomes of its tensors there as well.

    :raises ConversionRefused: no such folder can be made of it.
    """
    from modelhub.convert.diffusers import to_diffusers

    folder = to_diffusers(plan)
    left = {one.name for one in folder.dropped}
    return dataclasses.replace(
        plan,
        tensors=tuple(one for one in plan.tensors if one.name not in left),
        dropped=(*plan.dropped, *folder.dropped),
        renamed=folder.renamed,
        notices=tuple(dict.fromkeys((*plan.notices, *folder.notices))),
    )


def _rank_rule(request: ConvertRequest) -> RankRule | None:
    from modelhub.convert.lora import Keep, RankRule

    if request.rank is None:
        return None
    if request.keep_energy is None:
        return RankRule(request.rank)
    return RankRule(request.rank, keep=Keep.ENERGY, amount=request.keep_energy)


def _require_lora(source: Source, why: str) -> None:
    found = identify(source.header, name=source.path.name).kind
    if found is not ModelKind.LORA:
        what = f"a {found.value}" if found is not None else "of no kind that is known"
        raise ConversionRefused(f"{source.path} is {what}: {why}")
