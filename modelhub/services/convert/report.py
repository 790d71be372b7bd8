"""A plan as it is shown: what stays and becomes of it, what goes, and why."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelhub.convert.options import Target
from modelhub.convert.plan import summarize
from modelhub.services.convert.outcome import KeptWider, PlannedConversion

if TYPE_CHECKING:
    from modelhub.convert.planning import Plan
    from modelhub.convert.readers import Source
    from modelhub.convert.writers import Overflowing

_FORMATS = {Target.SAFETENSORS: "safetensors", Target.CKPT: "ckpt", Target.DIFFUSERS: "diffusers"}


def planned_conversion(
    source: Source,
    plan: Plan,
    target: Path,
    *,
    verdict: str,
    overflows: Sequence[Overflowing] | None,
    size: int | None,
    notices: Sequence[str] = (),
) -> PlannedConversion:
    """What `plan` does, for people and programs.

    :param overflows: what fp16 cannot hold of it; None where nobody looked.
    :param size: of the result in bytes; None for a folder.
    """
    reasons = dict.fromkeys(one.reason for one in plan.dropped)
    cast = [one for one in plan.tensors if one.dtype != one.values.dtype]
    return PlannedConversion(
        source=source.path,
        target=target,
        target_is_taken=os.path.lexists(target),
        changes=changes(source, plan),
        verdict=verdict,
        size_before=source.header.size,
        size_after=size,
        summary=summarize(plan),
        cast=tuple((one.name, one.values.dtype, one.dtype) for one in cast),
        dropped={
            reason.value: tuple(one.name for one in plan.dropped if one.reason is reason)
            for reason in reasons
        },
        renamed=tuple((one.old, one.new) for one in plan.renamed),
        overflows=None if overflows is None else kept_wider(overflows),
        inert=tuple(source.inert),
        result=_identity(plan),
        metadata=dict(plan.metadata),
        notices=(*notices, *plan.notices),
    )


def kept_wider(overflows: Sequence[Overflowing]) -> tuple[KeptWider, ...]:
    """The same, in the words of the outcome."""
    return tuple(
        KeptWider(name=one.name, largest=one.largest, count=one.count) for one in overflows
    )


def changes(source: Source, plan: Plan) -> bool:
    """Whether the result would hold anything else than the source does, or hold it otherwise."""
    have = source.header
    if have.format.catalog_name != _FORMATS[plan.target] or have.parts:
        return True
    if plan.dropped or plan.renamed or len(plan.tensors) != len(have.tensors):
        return True
    return any(
        one.values is not source.tensors.get(one.name) or one.dtype != one.values.dtype
        for one in plan.tensors
    )


def widened(plan: Plan, overflows: Sequence[Overflowing], dtype: str | None) -> Plan:
    """The plan with the tensors that fp16 cannot hold in another type; None leaves it as it is."""
    names = {one.name for one in overflows}
    if dtype is None or not names:
        return plan
    return dataclasses.replace(
        plan,
        tensors=tuple(
            dataclasses.replace(one, dtype=dtype) if one.name in names else one
            for one in plan.tensors
        ),
    )


def _identity(plan: Plan) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(plan.identity)
    found.pop("evidence", None)
    return found
