"""One request, varied along one axis or two: a request for each cell of a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from modelhub.convert.options import Precision
from modelhub.errors import UsageError
from modelhub.render.axes import MOST_CELLS, Axis, AxisKind, Value, named
from modelhub.render.request import Recipe, Request, Settings, Weighted

_COST = {
    AxisKind.FILE: 5,
    AxisKind.DTYPE: 4,
    AxisKind.EMA: 4,
    AxisKind.VAE: 3,
    AxisKind.LORA: 2,
    AxisKind.LORA_WEIGHT: 2,
    AxisKind.PROMPT: 1,
    AxisKind.CLIP_SKIP: 1,
}
"""What it takes to go from one value to the next; 0: nothing is loaded or encoded anew."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The requests of a grid, row by row.

    :param rows: the labels; empty where one axis alone is varied, and all is one row.
    :param order: row and column of each cell, in the order in which they are best made: what is
        dear to change changes least often.
    """

    cells: tuple[tuple[Request, ...], ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    order: tuple[tuple[int, int], ...]


def expand(request: Request, axes: Sequence[Axis]) -> Matrix:
    """A request for each cell: the first axis goes across, the second down.

    :raises UsageError: no axis or more than two, the same twice, an axis that does not fit the
        request, or more than 400 cells.
    """
    if not 1 <= len(axes) <= 2:
        raise UsageError(f"--compare takes one axis or two, not {len(axes)}")
    if len({axis.name for axis in axes}) < len(axes):
        raise UsageError(f"--compare {axes[0].name}: the same axis twice")
    across = axes[0]
    down = axes[1] if len(axes) == 2 else None
    count = len(across.values) * (len(down.values) if down else 1)
    if count > MOST_CELLS:
        raise UsageError(
            f"{count:,} pictures to compare are more than {MOST_CELLS}",
            hint="give fewer values: --compare steps=10,20",
        )
    _refuse_missing_loras(request.recipe, axes)
    cells = tuple(
        tuple(
            _cell(request, f"{request.id}-{row}-{column}", ((down, below), (across, value)))
            for column, value in enumerate(across.values)
        )
        for row, below in enumerate(down.values if down else (None,))
    )
    return Matrix(cells, down.labels() if down else (), across.labels(), _order(across, down))


def precision_reference(axis: Axis) -> int | None:
    """The column that the others are compared with: fp32, else as stored; None: no such."""
    if axis.kind is not AxisKind.DTYPE or len(axis.values) < 2:
        return None
    for wanted in (Precision.FP32, None):
        if wanted in axis.values:
            return axis.values.index(wanted)
    return 0


def _order(across: Axis, down: Axis | None) -> tuple[tuple[int, int], ...]:
    rows, columns = range(len(down.values) if down else 1), range(len(across.values))
    if down is None or _COST.get(down.kind, 0) >= _COST.get(across.kind, 0):
        return tuple((row, column) for row in rows for column in columns)
    return tuple((row, column) for column in columns for row in rows)


def _cell(request: Request, name: str, varied: Iterable[tuple[Axis | None, Value]]) -> Request:
    pairs = [(axis, value) for axis, value in varied if axis is not None]
    # Which LoRA comes before how much of it.
    for axis, value in sorted(pairs, key=lambda pair: pair[0].kind is AxisKind.LORA_WEIGHT):
        request = _varied(request, axis, value)
    return replace(request, id=name)


def _varied(request: Request, axis: Axis, value: Value) -> Request:
    if axis.kind in _IN_SETTINGS:
        changed: Settings = replace(request.settings, **{_IN_SETTINGS[axis.kind]: value})
        return replace(request, settings=changed)
    return replace(request, recipe=_recipe(request.recipe, axis, value))


_IN_SETTINGS = {
    AxisKind.STEPS: "steps",
    AxisKind.CFG: "cfg",
    AxisKind.SAMPLER: "sampler",
    AxisKind.CLIP_SKIP: "clip_skip",
    AxisKind.SEED: "seed",
    AxisKind.PROMPT: "prompt",
}
_IN_RECIPE = {
    AxisKind.DTYPE: "precision",
    AxisKind.FILE: "model",
    AxisKind.VAE: "vae",
    AxisKind.EMA: "ema",
}


def _recipe(recipe: Recipe, axis: Axis, value: Value) -> Recipe:
    if axis.kind is AxisKind.LORA:
        weight = recipe.loras[0].weight if recipe.loras else 1.0
        loras = (Weighted(value, weight),) if isinstance(value, str) else ()
        return replace(recipe, loras=loras)
    if axis.kind is AxisKind.LORA_WEIGHT and isinstance(value, float):
        return replace(recipe, loras=_weighted(recipe.loras, axis, value))
    return replace(recipe, **{_IN_RECIPE[axis.kind]: value})


def _weighted(loras: tuple[Weighted, ...], axis: Axis, weight: float) -> tuple[Weighted, ...]:
    return tuple(replace(one, weight=weight) if _means(axis, one.path) else one for one in loras)


def _means(axis: Axis, path: str) -> bool:
    return axis.lora.lower() in ("", named(path).lower())


def _refuse_missing_loras(recipe: Recipe, axes: Sequence[Axis]) -> None:
    used = [one.path for one in recipe.loras]
    for axis in axes:
        if axis.kind is AxisKind.LORA:
            used = [value for value in axis.values if isinstance(value, str)]
    for axis in axes:
        if axis.kind is not AxisKind.LORA_WEIGHT or any(_means(axis, path) for path in used):
            continue
        if not used:
            raise UsageError(
                f"--compare {axis.name}: no LoRA is used", hint="give one: --lora FILE"
            )
        names = ", ".join(named(path) for path in used)
        raise UsageError(f"--compare {axis.name}: no LoRA is called that", hint=f"used: {names}")
