"""A plan in numbers: what ``convert --plan`` prints, and gives as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from modelhub.convert.plan.loaders import loads_in
from modelhub.convert.planning import Plan

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Amount:
    """So many tensors, of so many bytes together."""

    tensors: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Cast:
    """Tensors that change their type.

    :param before: their bytes in the source.
    :param after: their bytes in the result.
    """

    dtype: str
    into: str
    tensors: int
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """What a conversion does, counted.

    :param before: all tensors of the source.
    :param kept: those of them that are in the result, with their size in the source.
    :param added: tensors of another file, with their size there.
    :param dropped: by reason.
    :param after: all tensors of the result.
    """

    before: Amount
    kept: Amount
    added: Amount
    dropped: dict[str, Amount]
    casts: tuple[Cast, ...]
    renamed: int
    after: Amount
    kind: str | None
    architecture: str | None
    precision: str | None
    operation: str
    target: str
    loads_in: tuple[str, ...]
    notices: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, to be written as JSON."""
        return asdict(self)


def summarize(plan: Plan) -> PlanSummary:
    """Count what a plan does."""
    kept = _amount(
        one.values.nbytes for one in plan.tensors if one.name not in plan.added
    )  # fmt: skip
    dropped = _dropped(plan)
    gone = _amount(one.nbytes for one in plan.dropped)
    identity = plan.identity
    return PlanSummary(
        before=Amount(kept.tensors + gone.tensors, kept.nbytes + gone.nbytes),
        kept=kept,
        added=_amount(one.values.nbytes for one in plan.tensors if one.name in plan.added),
        dropped=dropped,
        casts=_casts(plan),
        renamed=len(plan.renamed),
        after=Amount(len(plan.tensors), plan.nbytes),
        kind=identity.kind.value if identity.kind is not None else None,
        architecture=identity.architecture,
        precision=identity.precision,
        operation=plan.operation,
        target=plan.target.value,
        loads_in=loads_in(plan),
        notices=plan.notices,
    )


def _amount(sizes: Iterable[int]) -> Amount:
    every = list(sizes)
    return Amount(len(every), sum(every))


def _grouped(items: Iterable[_T], key: Callable[[_T], Any]) -> dict[Any, list[_T]]:
    groups: dict[Any, list[_T]] = {}
    for one in items:
        groups.setdefault(key(one), []).append(one)
    return groups


def _dropped(plan: Plan) -> dict[str, Amount]:
    groups = _grouped(plan.dropped, lambda one: one.reason.value)
    return {reason: _amount(one.nbytes for one in these) for reason, these in groups.items()}


def _casts(plan: Plan) -> tuple[Cast, ...]:
    changed = (one for one in plan.tensors if one.dtype != one.values.dtype)
    groups = _grouped(changed, lambda one: (one.values.dtype, one.dtype))
    return tuple(
        Cast(
            dtype,
            into,
            len(these),
            sum(one.values.nbytes for one in these),
            sum(one.nbytes for one in these),
        )
        for (dtype, into), these in groups.items()
    )
