"""The plan of a checkpoint with LoRAs merged into its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import TYPE_CHECKING

from modelhub.convert.computed import Computed, numbers_of
from modelhub.convert.lora.adapter import (
    Adapter,
    Layer,
    LayerKind,
    difference_shape,
    read_adapter,
)
from modelhub.convert.lora.deltas import Taken, change, change_vector
from modelhub.convert.lora.describing import some
from modelhub.convert.lora.targets import Target, Targets, targets_of
from modelhub.convert.plan import make_plan
from modelhub.convert.planning import Dropped, Reason
from modelhub.errors import ConversionRefused, UsageError
from modelhub.formats.identify import identify
from modelhub.formats.tensor_data import ITEM_SIZES

if TYPE_CHECKING:
    from modelhub.convert.computed import Numbers
    from modelhub.convert.lora.names import Piece
    from modelhub.convert.options import ConvertOptions
    from modelhub.convert.planning import Plan
    from modelhub.convert.readers import Source
    from modelhub.convert.values import Planned, Values

_PRODUCTS = frozenset({LayerKind.LORA, LayerKind.LOHA, LayerKind.LOKR})
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True, slots=True)
class _Step:
    """What one layer does to one tensor."""

    layer: Layer
    strength: float
    target: Target
    role: str
    """The layer's tensor that is added to a vector, or "" where the weight is changed."""
    taken: Taken | None = None
    """The rows of the layer's difference that are meant; None: all."""

    @property
    def rows(self) -> int:
        """How many the layer's whole difference has to have."""
        start, stop = self.target.rows
        return stop - start if self.taken is None else self.taken.of


@dataclass(slots=True)
class _Matched:
    """The layers of one LoRA against the modules of a checkpoint."""

    steps: dict[str, list[_Step]] = field(default_factory=dict)
    layers: int = 0
    missing: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)


def merge_plan(
    checkpoint: Source,
    loras: Sequence[tuple[Source, float]],
    options: ConvertOptions,
) -> Plan:
    """A checkpoint, as `options` make it, with LoRAs merged in. Reads no values but alphas.

    Each changed tensor is computed in fp32 when it is written, one at a time, and rounded once, to
    the type of the result. The LoRAs may have any names, and may be LoCon, LoHa, LoKr, DoRA or
    whole differences.

    :param loras: each with its strength; 1 is full, negative takes away.
    :raises ConversionRefused: a LoRA is for another model, or of a kind that changes more than
        weights.
    :raises FormatError: a LoRA's tensors do not go together.
    :raises FileUnreadable: one cannot be read.
    :raises UsageError: a strength is no number.
    """
    return merged(make_plan(checkpoint, options), checkpoint, loras)


def merged(
    plan: Plan,
    checkpoint: Source,
    loras: Sequence[tuple[Source, float]],
    joined: Mapping[str, Sequence[Piece]] | None = None,
) -> Plan:
    """A plan, with LoRAs merged into what it makes. As :func:`merge_plan`.

    :param joined: names that other programs have for modules of the diffusion model, or for
        several as one: :meth:`~modelhub.convert.lora.targets.Targets.join`.
    """
    tensors = {one.name: one for one in plan.tensors}
    targets = targets_of({one.name: one.values.shape for one in plan.tensors})
    targets.join("unet", joined or {})
    steps: dict[str, list[_Step]] = {}
    notices = list(plan.notices)
    for source, strength in loras:
        if not isfinite(strength):
            raise UsageError(f"{strength} is no strength of a LoRA")
        adapter = read_adapter(source)
        found = _matched(adapter, strength, targets, tensors)
        _require_fit(found, adapter, checkpoint)
        for name, added in found.steps.items():
            steps.setdefault(name, []).extend(added)
        notices += _notices(found, source, strength)
    if any(name.startswith("model_ema.") for name in tensors):
        notices.append("the EMA twin is kept as it was: the LoRAs are in the other weights alone")
    replaced = [one for one in plan.tensors if one.name in steps]
    return dataclasses.replace(
        plan,
        tensors=tuple(_merged(one, steps.get(one.name, ())) for one in plan.tensors),
        dropped=(
            *plan.dropped,
            *(Dropped(one.name, one.values.nbytes, Reason.REPLACED) for one in replaced),
        ),
        added=plan.added | steps.keys(),
        metadata=_metadata(plan.metadata, checkpoint, loras),
        operation=", ".join(filter(None, (plan.operation, _operation(loras)))),
        notices=tuple(notices),
    )


def _matched(
    adapter: Adapter, strength: float, targets: Targets, tensors: Mapping[str, Planned]
) -> _Matched:
    found = _Matched()
    for layer in adapter.layers.values():
        if layer.kind is LayerKind.OTHER:
            _require_mergeable(layer, adapter)
            continue
        found.layers += 1
        steps = [
            step
            for target, taken in _shares(targets.of(layer.key))
            for step in _steps(layer, strength, target, taken, tensors)
        ]
        if not steps:
            found.missing.append(layer.stem)
        elif not all(_fits(step, tensors[name].values) for name, step in steps):
            found.misfits.append(layer.stem)
        else:
            for name, step in steps:
                found.steps.setdefault(name, []).append(step)
    return found


def _shares(targets: Sequence[Target]) -> Iterator[tuple[Target, Taken | None]]:
    """Each module with the rows that it has of a layer which is of all of them."""
    if len(targets) == 1:
        yield targets[0], None
        return
    sizes = [one.rows[1] - one.rows[0] for one in targets]
    start = 0
    for target, size in zip(targets, sizes, strict=True):
        yield target, Taken(start, start + size, sum(sizes))
        start += size


def _require_mergeable(layer: Layer, adapter: Adapter) -> None:
    """Pass over a lonely alpha; refuse a layer of a family that is not merged.

    :raises ConversionRefused: as it says.
    """
    weights = [name for role, name in layer.names.items() if role not in ("alpha", "magnitude")]
    if weights:
        raise ConversionRefused(
            f"{adapter.source.path} cannot be merged: {weights[0][:200]} is of a family that is "
            "not (OFT, GLoRA, IA3 and the like)",
            hint="LoRA, LoCon, LoHa, LoKr, DoRA and whole differences can",
        )


def _steps(
    layer: Layer,
    strength: float,
    target: Target,
    taken: Taken | None,
    tensors: Mapping[str, Planned],
) -> list[tuple[str, _Step]]:
    """The tensors that a layer changes: the weight, the bias, or both."""
    found = []
    if layer.kind in _PRODUCTS or "diff" in layer.names:
        found.append((target.tensor, _Step(layer, strength, target, "", taken)))
    if "w_norm" in layer.names:
        found.append((target.tensor, _Step(layer, strength, target, "w_norm", taken)))
    if target.bias in tensors:
        roles = (role for role in ("diff_b", "b_norm") if role in layer.names)
        found += [(target.bias, _Step(layer, strength, target, role, taken)) for role in roles]
    return found


def _fits(step: _Step, values: Values) -> bool:
    layer, target = step.layer, step.target
    if step.role:
        return prod(layer.shape(step.role)) == step.rows and len(values.shape) == 1
    columns = prod(target.shape[1:])
    outputs = step.rows if not target.transposed else target.shape[0]
    if layer.kind in _PRODUCTS:
        return len(target.shape) > 1 and difference_shape(layer) == (outputs, columns)
    return prod(layer.shape("diff")) == outputs * columns


def _require_fit(found: _Matched, adapter: Adapter, checkpoint: Source) -> None:
    """Refuse a LoRA for another model.

    :raises ConversionRefused: as it says.
    """
    path = adapter.source.path
    if found.layers and not found.misfits and len(found.missing) < found.layers:
        return
    made_for = identify(adapter.source.header).architecture
    base = identify(checkpoint.header).architecture
    told = ""
    if made_for and base and made_for != base:
        told = f": it is made for {made_for}, and {checkpoint.path} is {base}"
    elif found.misfits:
        told = f": shapes differ in {some(found.misfits)}"
    elif found.missing:
        told = f": there is no {some(found.missing)} in it"
    raise ConversionRefused(
        f"{path} does not go into {checkpoint.path}{told}",
        hint="`modelhub inspect FILE` tells for which model a LoRA is made",
    )


def _notices(found: _Matched, source: Source, strength: float) -> list[str]:
    told = []
    if strength == 0:
        told.append(f"{source.path} has strength 0: it changes nothing")
    if found.missing:
        told.append(
            f"{source.path}: {len(found.missing):,} of {found.layers:,} layers have no module in "
            f"the result and are left out: {some(found.missing)}"
        )
    return told


def _merged(planned: Planned, steps: Sequence[_Step]) -> Planned:
    if not steps:
        return planned
    values = planned.values
    if planned.dtype not in _FLOATS:
        raise ConversionRefused(
            f"{planned.name} is of type {planned.dtype}, into which nothing is merged",
            hint="choose a type for the result: `--dtype fp16`",
        )

    def numbers() -> Numbers:
        made = numbers_of(values)
        for step in steps:
            _apply(made, step)
        return made

    difference = ITEM_SIZES["F32"] * prod(values.shape)
    return dataclasses.replace(planned, values=Computed(values.shape, numbers, memory=difference))


def _apply(numbers: Numbers, step: _Step) -> None:
    target = step.target
    rows = numbers[target.rows[0] : target.rows[1]]
    if step.role:
        change_vector(rows, step.layer, step.role, step.strength, step.taken)
    else:
        weight = rows.T if target.transposed else rows
        change(weight, step.layer, step.strength, step.taken)


def _metadata(
    metadata: Mapping[str, str], checkpoint: Source, loras: Sequence[tuple[Source, float]]
) -> dict[str, str]:
    """With the names of all that was merged, as ModelSpec has a key for them."""
    names = [checkpoint.path.stem, *(source.path.stem for source, _ in loras)]
    before = metadata.get("modelspec.merged_from")
    told = ", ".join([before, *names[1:]] if before else names)
    return {**metadata, "modelspec.merged_from": told}


def _operation(loras: Sequence[tuple[Source, float]]) -> str:
    names = (f"{source.path.name} {strength:g}" for source, strength in loras)
    return f"merged {' + '.join(names)}"
