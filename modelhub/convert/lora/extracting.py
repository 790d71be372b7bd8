"""The plan of a LoRA that is the difference of two checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from threading import Event
from typing import TYPE_CHECKING

from modelhub.convert.computed import Computed, Recent, constant, numbers_of
from modelhub.convert.lora.describing import extracted_metadata
from modelhub.convert.lora.lowrank import Decomposition, RankRule, of_matrix
from modelhub.convert.lora.targets import Target, targets_of
from modelhub.convert.lora.words import flat
from modelhub.convert.options import Precision
from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned
from modelhub.errors import Cancelled, ConversionRefused, FormatError, UsageError
from modelhub.formats.identify import identify
from modelhub.formats.tensor_data import ITEM_SIZES

if TYPE_CHECKING:
    from modelhub.convert.computed import Numbers
    from modelhub.convert.readers import Source
    from modelhub.formats.identity import Identity

_ARCHITECTURES = ("sd1", "sd2", "sdxl")
MIN_DIFFERENCE = 0.01
"""The text encoders count as the same unless a weight differs by more (sd-scripts' default)."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """One module in both models."""

    tuned: Target
    base: Target

    @property
    def is_text(self) -> bool:
        return self.tuned.part != "unet"

    @property
    def is_wide(self) -> bool:
        return not self.tuned.is_linear


@dataclass(slots=True)
class _Found:
    pairs: list[_Pair] = field(default_factory=list)
    same: int = 0
    other_shapes: list[str] = field(default_factory=list)
    largest_in_text: float = 0.0


def extract_plan(
    tuned: Source,
    base: Source,
    *,
    rank: int,
    conv_rank: int | None = None,
    dtype: Precision = Precision.FP16,
    min_difference: float = MIN_DIFFERENCE,
    progress: Callable[[int, int], None] | None = None,
    cancel: Event | None = None,
) -> Plan:
    """A LoRA in kohya's names that makes `base` nearly `tuned`: SD 1.x, SD 2.x and SDXL.

    The weights of both are compared here, once, module by module; decomposed they are when the
    result is written. Its layers are those that kohya's trainer changes: attention and
    feed-forward of the UNet's transformers and of the text encoders and, with `conv_rank`, the
    rest of the UNet's blocks. What is the same in both is left out; so are text encoders with no
    weight that differs by more than `min_difference`.

    :param conv_rank: of convolutions of 3x3; None leaves them and their blocks out.
    :param dtype: of the factors.
    :param progress: called with how many modules are compared, of how many.
    :raises ConversionRefused: the two are no checkpoints of one architecture, or have the same
        weights.
    :raises FormatError: one is damaged, or has values that are no numbers.
    :raises FileUnreadable: one cannot be read.
    :raises UsageError: a rank below 1.
    :raises Cancelled: `cancel` was set.
    """
    if rank < 1 or (conv_rank is not None and conv_rank < 1):
        raise UsageError("a rank is at least 1")
    identity = _same_architecture(tuned, base)
    found = _found(tuned, base, wide=conv_rank is not None)
    _compare(found, tuned, base, progress, cancel)
    notices = _leave_same_text(found, min_difference)
    if not found.pairs:
        raise ConversionRefused(
            f"{tuned.path} and {base.path} have the same weights: there is no difference to extract"
        )
    rule = RankRule(rank, conv_rank)
    work = _Work(tuned, base, identity, rule, dtype)
    for pair in found.pairs:
        work.add(pair)
    return Plan(
        tensors=tuple(work.tensors),
        added=frozenset(one.name for one in work.tensors),
        metadata=extracted_metadata(identity, rule, work.ranks),
        operation=f"LoRA of rank {rank} from the difference to {base.path.name}",
        notices=(*notices, *_notices(found)),
    )


def _same_architecture(tuned: Source, base: Source) -> Identity:
    of_tuned, of_base = identify(tuned.header), identify(base.header)
    for source, one in ((tuned, of_tuned), (base, of_base)):
        if one.architecture not in _ARCHITECTURES:
            raise ConversionRefused(
                f"{source.path} is of {one.architecture or 'an unknown architecture'}: LoRAs are "
                "extracted from models of SD 1.x, SD 2.x and SDXL"
            )
    if of_tuned.architecture != of_base.architecture:
        raise ConversionRefused(
            f"{tuned.path} is {of_tuned.architecture}, {base.path} is {of_base.architecture}: "
            "a difference is of two models of one architecture"
        )
    return of_tuned


def _found(tuned: Source, base: Source, *, wide: bool) -> _Found:
    """The modules of both that a LoRA of kohya's changes."""
    found = _Found()
    others = targets_of(_shapes(base)).by_name
    for target in targets_of(_shapes(tuned)).all:
        if not _is_trained(target, wide=wide):
            continue
        other = others.get((target.part, flat(target.path)))
        if other is None:
            continue
        if (target.shape[0], prod(target.shape[1:])) != (other.shape[0], prod(other.shape[1:])):
            found.other_shapes.append(target.tensor)
            continue
        found.pairs.append(_Pair(target, other))
    return found


def _shapes(source: Source) -> Mapping[str, tuple[int, ...]]:
    return {name: values.shape for name, values in source.tensors.items()}


def _is_trained(target: Target, *, wide: bool) -> bool:
    """As kohya-ss/sd-scripts ``networks/lora.py`` chooses (``UNET_TARGET_REPLACE_MODULE``,
    ``UNET_TARGET_REPLACE_MODULE_CONV2D_3X3``, ``TEXT_ENCODER_TARGET_REPLACE_MODULE``)."""
    if len(target.shape) not in (2, 4):
        return False
    if target.part != "unet":
        return ".self_attn." in target.path or ".mlp." in target.path
    if ".attentions." in target.path:
        return target.is_linear
    return wide and any(
        block in target.path for block in (".resnets.", ".downsamplers.", ".upsamplers.")
    )


def _compare(
    found: _Found,
    tuned: Source,
    base: Source,
    progress: Callable[[int, int], None] | None,
    cancel: Event | None,
) -> None:
    """Take out the modules that are the same in both."""
    import numpy as np

    differing = []
    for number, pair in enumerate(found.pairs):
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"stopped while comparing {tuned.path} with {base.path}")
        largest = float(np.max(np.abs(_difference(pair, tuned, base)), initial=0.0))
        if pair.is_text:
            found.largest_in_text = max(found.largest_in_text, largest)
        if largest:
            differing.append(pair)
        if progress is not None:
            progress(number + 1, len(found.pairs))
    found.same = len(found.pairs) - len(differing)
    found.pairs = differing


def _difference(pair: _Pair, tuned: Source, base: Source) -> Numbers:
    """In two dimensions: outputs by inputs (and kernel).

    :raises FormatError: it has values that are no numbers.
    """
    import numpy as np

    made = _weight(pair.tuned, tuned)
    made -= _weight(pair.base, base)
    if not np.isfinite(made).all():
        raise FormatError(
            f"{pair.tuned.tensor} differs by values that are no numbers", path=tuned.path
        )
    return made


def _weight(target: Target, source: Source) -> Numbers:
    whole = numbers_of(source.tensors[target.tensor])
    rows = whole[target.rows[0] : target.rows[1]]
    return (rows.T if target.transposed else rows).reshape(target.shape[0], -1)


def _leave_same_text(found: _Found, least: float) -> list[str]:
    texts = sum(pair.is_text for pair in found.pairs)
    if not texts or found.largest_in_text > least:
        return []
    found.pairs = [pair for pair in found.pairs if not pair.is_text]
    return [
        f"the text encoders are left out: no weight of theirs differs by more than {least:g} "
        f"(the largest difference is {found.largest_in_text:.2g})"
    ]


def _notices(found: _Found) -> list[str]:
    told = []
    if found.same:
        told.append(f"{found.same:,} modules are the same in both, and left out")
    if found.other_shapes:
        told.append(
            f"{len(found.other_shapes):,} modules have other shapes in the base, and are left out"
        )
    return told


@dataclass(slots=True)
class _Work:
    """The layers of the result while they are added."""

    tuned: Source
    base: Source
    identity: Identity
    rule: RankRule
    dtype: Precision
    tensors: list[Planned] = field(default_factory=list)
    ranks: dict[int, float] = field(default_factory=dict)
    last: Recent[Decomposition] = field(default_factory=Recent)

    def add(self, pair: _Pair) -> None:
        """Put the factors of a module into the plan."""
        shape = pair.tuned.shape
        outputs, kernel = shape[0], shape[2:]
        rank = min(self.rule.most(wide=pair.is_wide), outputs, prod(shape[1:]))
        self.ranks[rank] = float(rank)

        def factors() -> tuple[Numbers, Numbers]:
            made = self.last.get(pair, lambda: self._decomposed(pair, rank))
            last, first = made.factors(rank)
            return last.astype("<f4"), first.astype("<f4")

        stem = self._stem(pair.tuned)
        ones = (1,) * len(kernel)
        both = 2 * ITEM_SIZES["F32"] * prod(shape)
        down = Computed((rank, shape[1], *kernel), lambda: factors()[1], memory=both)
        up = Computed((outputs, rank, *ones), lambda: factors()[0], memory=both)
        self._plan(f"{stem}.alpha", constant(rank))
        self._plan(f"{stem}.lora_down.weight", down)
        self._plan(f"{stem}.lora_up.weight", up)

    def _decomposed(self, pair: _Pair, rank: int) -> Decomposition:
        return of_matrix(_difference(pair, self.tuned, self.base), rank)

    def _plan(self, name: str, values: Computed) -> None:
        self.tensors.append(Planned(name, values, self.dtype.dtype))

    def _stem(self, target: Target) -> str:
        original = self.identity.architecture == "sdxl"
        if target.part == "unet":
            return f"lora_unet_{flat(target.stored_path if original else target.path)}"
        number = target.part.removeprefix("te") if original else ""
        return f"lora_te{number}_{flat(target.path)}"
