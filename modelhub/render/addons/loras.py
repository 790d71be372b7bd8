"""LoRAs put into the modules of a pipeline, and taken out again to the very bit.

The weights are computed as :mod:`modelhub.convert.lora` merges them into a file: in fp32, from the
weights as they were, rounded once. No state of an earlier weight is left when it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from modelhub.convert.computed import numbers_of
from modelhub.convert.lora import merged
from modelhub.convert.lora.adapter import Adapter, LayerKind, read_adapter
from modelhub.convert.readers import Source
from modelhub.errors import (
    AddonMisfit,
    Cancelled,
    CannotRender,
    ConversionRefused,
    FormatError,
    SourceChanged,
)
from modelhub.formats.identify import identify
from modelhub.formats.reading import read_model
from modelhub.render.addons.fitting import require_fit
from modelhub.render.addons.joined import joined_modules
from modelhub.render.addons.modules import Slot, Weights, modules_of, weights_of
from modelhub.render.addons.originals import Originals, originals_of
from modelhub.render.sources import open_to_render

if TYPE_CHECKING:
    import torch

    from modelhub.convert.lora.names import Piece
    from modelhub.convert.options import Precision
    from modelhub.convert.planning import Plan
    from modelhub.convert.values import Values
    from modelhub.formats.identity import Identity
    from modelhub.render.pipelines.assembling import Assembled
    from modelhub.render.request import Weighted

Progress = Callable[[int, int], None]
"""Called with how many bytes of weights are changed, of how many."""

_SHOWN = 3
_Key = tuple[tuple[str, int, int, float, str], ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the LoRAs.

    :param changed: how many weights are not the checkpoint's own.
    :param notices: layers that had no module, and the like.
    """

    changed: int = 0
    notices: tuple[str, ...] = ()


def apply_loras(
    pipe: Any,
    loras: Sequence[Weighted],
    *,
    model: Path,
    base: Identity | None = None,
    precision: Precision | None = None,
    progress: Progress | None = None,
    cancel: Event | None = None,
) -> Applied:
    """Make a pipeline's weights the checkpoint's own with these LoRAs, and no others.

    Whatever was applied before, to this pipeline or to another one that shares modules with it, is
    gone afterwards: call it before each picture, with no LoRAs too. It does nothing where all is
    as wanted already. When it fails, the weights are those of the checkpoint.

    Parameters may be on any device and of any type; those that change get new memory there.

    :param pipe: a diffusers pipeline, its modules where they are between two pictures.
    :param loras: of any names and families that merge; those of weight 0 are only checked.
    :param model: the checkpoint that the diffusion model is of.
    :param base: what it is; None: it is looked at, if there are LoRAs.
    :param precision: what the changed weights are rounded to, where arithmetic is in a wider type.
    :raises AddonMisfit: a LoRA is for another model.
    :raises CannotRender: it is none, or of a kind that changes more than weights.
    :raises FormatError: it is damaged, or has values that are no numbers.
    :raises FileUnreadable: it cannot be read, or was written to meanwhile.
    :raises UsageError: a weight is no number.
    :raises Cancelled: `cancel` was set.
    """
    originals = {name: originals_of(one) for name, one in modules_of(pipe).items()}
    if not loras:
        _restore(originals.values())
        return Applied()
    try:
        return _applied(originals, loras, model, base, precision, progress, cancel)
    except BaseException:
        _restore(originals.values())
        raise


def apply_to(
    assembled: Assembled,
    loras: Sequence[Weighted] | None = None,
    *,
    progress: Progress | None = None,
    cancel: Event | None = None,
) -> Applied:
    """As :func:`apply_loras`, for a pipeline as it is assembled, in the precision of its recipe.

    :param loras: None: those of the recipe.
    """
    if assembled.turns is not None:
        # A part that is on the device would be given back its weights in the host's memory.
        assembled.turns.leave()
    recipe = assembled.recipe
    return apply_loras(
        assembled.pipe,
        recipe.loras if loras is None else loras,
        model=Path(recipe.model),
        base=assembled.identity,
        precision=recipe.precision,
        progress=progress,
        cancel=cancel,
    )


def remove_loras(pipe: Any) -> None:
    """Make a pipeline's weights the checkpoint's own again, to the bit."""
    _restore(originals_of(one) for one in modules_of(pipe).values())


def _applied(
    originals: Mapping[str, Originals],
    loras: Sequence[Weighted],
    model: Path,
    base: Identity | None,
    precision: Precision | None,
    progress: Progress | None,
    cancel: Event | None,
) -> Applied:
    with ExitStack() as stack:
        stamps = [_stamp(Path(one.path)) for one in loras]
        sources = [stack.enter_context(opened_lora(Path(one.path))) for one in loras]
        base = base or identify(read_model(model))
        _require_fits(sources, model, base)
        pairs = zip(sources, loras, strict=True)
        active = [(source, one.weight) for source, one in pairs if one.weight != 0]
        if not active:
            _restore(originals.values())
            return Applied()
        adapters = [read_adapter(source) for source, _ in active]
        left_out = [text for adapter in adapters for text in _left_out(adapter)]
        weights = weights_of(originals)
        plan = _plan(weights.plan, active, model, joined_modules(base, originals))
        work = _Work(originals, weights, plan, _key(loras, stamps, precision), precision)
        try:
            work.carry_out(progress, cancel)
        except FormatError as error:
            raise _with_its_file(error, adapters) from error
        for source, _ in active:
            source.check_unchanged()
    return Applied(len(plan.added), (*plan.notices, *left_out, *work.notices()))


def _with_its_file(error: FormatError, adapters: Sequence[Adapter]) -> FormatError:
    """The error of a layer, with the LoRA named that has it, or all that have one of its name."""
    if error.path is not None:
        return error
    having = [
        str(adapter.source.path)
        for adapter in adapters
        if any(layer.stem[:200] in error.reason for layer in adapter.layers.values())
    ]
    return error.of(" or ".join(having)) if having else error


def _restore(originals: Iterable[Originals]) -> None:
    for one in originals:
        one.restore(one.changed)
        one.applied = ()


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a LoRA's file; of a folder, its own; zeros where none is."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, status.st_mtime_ns


@contextmanager
def opened_lora(path: Path) -> Iterator[Source]:
    """A LoRA's file, and errors in the words of a render, also those of who reads it meanwhile."""
    try:
        with open_to_render(path) as source:
            yield source
    except SourceChanged as error:
        hint = "render again once nothing writes to it"
        raise SourceChanged(error.message, hint=hint) from error
    except ConversionRefused as error:
        raise CannotRender(error.message, hint=error.hint) from error


def _require_fits(sources: Sequence[Source], model: Path, base: Identity) -> None:
    for source in sources:
        require_fit(source.path, identify(source.header), model, base)


def _plan(
    own: Plan,
    active: Sequence[tuple[Source, float]],
    model: Path,
    joined: Mapping[str, Sequence[Piece]],
) -> Plan:
    """The pipeline's weights with the LoRAs merged in; nothing is computed yet."""
    checkpoint = Source(model, own.header, {}, (), inert_counts={}, beside=(), shared=())
    try:
        return merged(own, checkpoint, active, joined)
    except ConversionRefused as error:
        raise AddonMisfit(error.message, hint=error.hint) from error


def _key(
    loras: Sequence[Weighted], stamps: Sequence[tuple[int, int]], precision: Precision | None
) -> _Key:
    """What tells one set of LoRAs from another: their files as they are now, and their weights."""
    rounding = "" if precision is None else precision.value
    return tuple(
        (one.path, *stamp, one.weight, rounding)
        for one, stamp in zip(loras, stamps, strict=True)
        if one.weight != 0
    )


@dataclass(slots=True)
class _Work:
    """The change of a pipeline's weights to what a plan makes of them."""

    originals: Mapping[str, Originals]
    weights: Weights
    plan: Plan
    key: _Key
    precision: Precision | None

    def carry_out(self, progress: Progress | None, cancel: Event | None) -> None:
        """Change what has to be changed, and make all else what it was."""
        stale = {name: one for name, one in self.originals.items() if one.applied != self.key}
        todo = [
            (self.weights.slots[one.name], one.values)
            for one in self.plan.tensors
            if one.name in self.plan.added and self.weights.slots[one.name].folder in stale
        ]
        for folder, one in stale.items():
            one.applied = None
            one.overflowed = one.in_bytes = 0
            one.restore(one.changed - {slot.parameter for slot, _ in todo if slot.folder == folder})
        sizes = [self._nbytes(slot) for slot, _ in todo]
        done, total = 0, sum(sizes)
        for (slot, values), size in zip(todo, sizes, strict=True):
            if cancel is not None and cancel.is_set():
                raise Cancelled("stopped while LoRAs were put into the model", hint="")
            self._change(slot, values)
            done += size
            if progress is not None:
                progress(done, total)
        for one in stale.values():
            one.applied = self.key

    def _nbytes(self, slot: Slot) -> int:
        return self.originals[slot.folder].tensor(slot.parameter).nbytes

    def _change(self, slot: Slot, values: Values) -> None:
        import torch

        numbers = torch.from_numpy(numbers_of(values))
        if self.precision is not None:
            numbers = numbers.to(_torch_type(self.precision))
        originals = self.originals[slot.folder]
        made = originals.replace(slot.parameter, numbers)
        narrow = made.dtype is not torch.float32 or numbers.dtype is not torch.float32
        # The sum is quicker to make than a look at each number.
        if narrow and not bool(made.float().sum().isfinite()):
            originals.overflowed += not bool(made.float().isfinite().all())
        originals.in_bytes += made.element_size() == 1

    def notices(self) -> list[str]:
        """What became of the numbers that their types do not hold."""
        told = []
        overflowed = sum(one.overflowed for one in self.originals.values())
        in_bytes = sum(one.in_bytes for one in self.originals.values())
        if overflowed:
            told.append(
                f"{overflowed:,} weights have values beyond their type with these LoRAs: the "
                "picture will be broken; try less of them, or bf16"
            )
        if in_bytes:
            told.append(
                f"{in_bytes:,} weights are kept in 8 bits: of what the LoRAs change in them, what "
                "is small is lost"
            )
        return told


def _torch_type(precision: Precision) -> torch.dtype:
    import torch

    types = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return types[precision.value]


def _left_out(adapter: Adapter) -> list[str]:
    """What is said of tensors that belong to no layer.

    :raises CannotRender: some change a layer in a way that is not merged.
    """
    path = adapter.source.path
    for layer in adapter.layers.values():
        names = [name for role, name in layer.names.items() if role not in ("alpha", "magnitude")]
        if layer.kind is LayerKind.OTHER and names:
            raise CannotRender(
                f"{path} cannot be put into a model: {names[0][:200]} is of a family for which "
                "this is not known (OFT, GLoRA, IA3 and the like)",
                hint="LoRA, LoCon, LoHa, LoKr, DoRA and whole differences can",
            )
    if not adapter.beside:
        return []
    shown = ", ".join(name[:80] for name in adapter.beside[:_SHOWN])
    more = ", ..." if len(adapter.beside) > _SHOWN else ""
    count = len(adapter.beside)
    return [f"{path}: {count:,} tensors are of no layer and left out: {shown}{more}"]
