"""Finite values that fp16 cannot hold: found beforehand, and what becomes of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

from modelhub.convert.casts import LARGEST_FP16, decode, lost_to_fp16
from modelhub.convert.options import Overflow
from modelhub.convert.values import Planned
from modelhub.convert.writers.pieces import source_pieces, turn_of
from modelhub.convert.writers.threads import THREADS, work_off
from modelhub.convert.writers.written import Monitor, Overflowing, Phase, Progress
from modelhub.errors import FP16Overflow

_WIDER = frozenset({"F64", "F32", "BF16", "I64", "I32", "U64", "U32", "U16", "F8_E8M0"})
"""Types with numbers that fp16 does not reach."""
_NAMED = 5


def may_overflow(tensor: Planned) -> bool:
    """Whether a tensor is cast to fp16 from a type that reaches beyond it."""
    return tensor.dtype == "F16" and tensor.values.dtype in _WIDER


def find_overflows(
    tensors: Sequence[Planned],
    *,
    progress: Progress | None = None,
    cancel: Event | None = None,
) -> tuple[Overflowing, ...]:
    """The tensors with finite values that their cast to fp16 would make infinite, in their order.

    Reads those once that are cast to fp16, and nothing of the others.

    :raises FormatError, FileUnreadable: the source is damaged or cannot be read.
    :raises Cancelled: `cancel` was set.
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="overflow") as pool:
        return search(tensors, pool, Monitor(Path("a plan"), progress, cancel))


def search(
    tensors: Sequence[Planned], pool: ThreadPoolExecutor, monitor: Monitor
) -> tuple[Overflowing, ...]:
    """The same, with the threads and the listener of a conversion that is under way."""
    cast = [one for one in tensors if may_overflow(one)]
    monitor.enter(Phase.SEARCH, sum(one.nbytes for one in cast))
    found: dict[str, Overflowing] = {}

    def look(one: Planned) -> None:
        largest, count = 0.0, 0
        with turn_of(one.values):
            for piece in source_pieces(one.values):
                most, lost, _ = lost_to_fp16(decode(piece, one.values.dtype))
                largest, count = max(largest, most), count + lost
                monitor.advance(0)
        if count:
            found[one.name] = Overflowing(one.name, largest, count)
        monitor.advance(one.nbytes)

    def jobs() -> Iterator[Callable[[], None]]:
        return (partial(look, one) for one in cast)

    work_off(jobs(), pool)
    return tuple(found[one.name] for one in cast if one.name in found)


def kept_wider(
    tensors: Sequence[Planned], found: Sequence[Overflowing], overflow: Overflow
) -> tuple[Planned, ...]:
    """The tensors as they are to be written: those that overflow in a type that holds them.

    :raises FP16Overflow: `overflow` is STOP, and there are some.
    """
    if not found:
        return tuple(tensors)
    if overflow is Overflow.STOP:
        raise _refusal(found)
    dtype = {Overflow.FP32: "F32", Overflow.BF16: "BF16"}[overflow]
    names = {one.name for one in found}
    return tuple(
        Planned(one.name, one.values, dtype) if one.name in names else one for one in tensors
    )


def _refusal(found: Sequence[Overflowing]) -> FP16Overflow:
    named = ", ".join(f"{one.name} (up to {one.largest:,.6g})" for one in found[:_NAMED])
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    count = sum(one.count for one in found)
    return FP16Overflow(
        f"{count:,} value{'s' if count > 1 else ''} too large for fp16, which ends at "
        f"{LARGEST_FP16:,.0f}: {named}{more}",
        tensors=tuple(one.name for one in found),
    )
