"""Values of files read into tensors: each into the memory where it stays, in its final type."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from modelhub.convert.casts import decode
from modelhub.convert.options import Precision
from modelhub.convert.values import Planned, Values
from modelhub.errors import Cancelled, FormatError

if TYPE_CHECKING:
    import torch

_Stopped: TypeAlias = Callable[[], bool]
_Made: TypeAlias = "tuple[torch.Tensor, bool, bool]"
_READERS = 4
"""Threads: reading and casting go on in several at a time."""
_TORCH = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip
_ROUNDED = {Precision.FP16: "float16", Precision.BF16: "bfloat16", Precision.FP32: "float32"}


_NUMBERS = 1 << 18
"""Of a tensor in memory that are cast at a time: those of a piece of a file."""


@dataclass(slots=True)
class Tensors:
    """The tensors of a part.

    :param tensors: by their names in diffusers.
    :param broken: names of those with values that are no finite numbers.
    :param overflowed: names of those whose values were finite before they were rounded.
    """

    tensors: dict[str, torch.Tensor]
    broken: set[str] = field(default_factory=set)
    overflowed: set[str] = field(default_factory=set)


def torch_type(name: str) -> torch.dtype:
    """The type of torch that a precision (``fp16``) is."""
    import torch

    found: torch.dtype = getattr(torch, _ROUNDED[Precision(name)])
    return found


def read_tensors(
    planned: Sequence[Planned],
    *,
    dtype: torch.dtype | None,
    rounding: Precision | None,
    advanced: Callable[[int], None],
    cancel: threading.Event,
) -> Tensors:
    """Read all of them; no more than one piece (1 MiB) a thread is in memory beside the results.

    :param dtype: of the tensors that come out; None: that of the file, where torch has it.
    :param rounding: a type that the numbers go through on their way.
    :param advanced: told how many bytes more were read; always in the calling thread.
    :raises Cancelled: `cancel` was set.
    :raises FormatError, FileUnreadable, SourceChanged: as :meth:`Values.pieces`.
    """
    named = {one.name: one for one in planned}
    sizes = {name: one.values.nbytes for name, one in named.items()}

    def read(name: str, stopped: _Stopped) -> _Made:
        return _read(named[name], dtype, rounding, stopped)

    return _each(sizes, read, advanced, cancel)


def rounded(
    exact: Mapping[str, torch.Tensor],
    rounding: Precision | None,
    dtype: torch.dtype,
    *,
    cancel: threading.Event,
) -> Tensors:
    """Tensors in memory, rounded and cast as if they were read again, in memory of their own.

    :raises Cancelled: `cancel` was set.
    """
    through = None if rounding is None else torch_type(rounding)

    def round_one(name: str, stopped: _Stopped) -> _Made:
        return _rounded(exact[name], dtype, through, stopped)

    return _each(
        {name: one.nbytes for name, one in exact.items()}, round_one, lambda _: None, cancel
    )


def _each(
    sizes: Mapping[str, int],
    make: Callable[[str, _Stopped], _Made],
    advanced: Callable[[int], None],
    cancel: threading.Event,
) -> Tensors:
    """Make tensors by their names, several at a time; if one fails, the others stop."""
    found = Tensors({})
    stop = threading.Event()

    def stopped() -> bool:
        return cancel.is_set() or stop.is_set()

    # Large ones first: the last to be made is then a small one.
    order = sorted(sizes, key=lambda name: -sizes[name])
    with _one_thread_each(), ThreadPoolExecutor(_READERS) as readers:
        pending = {readers.submit(make, name, stopped): name for name in order}
        try:
            for done in as_completed(pending):
                name = pending[done]
                found.tensors[name], broken, overflowed = done.result()
                if broken:
                    found.broken.add(name)
                if overflowed:
                    found.overflowed.add(name)
                advanced(sizes[name])
        except BaseException:
            stop.set()
            for waiting in pending:
                waiting.cancel()
            raise
    # A module is filled in the order of its own names; so a report of them is in that of the file.
    found.tensors = {name: found.tensors[name] for name in sizes}
    return found


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Threads that share the processor with others of their own: torch adds none to them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read(
    planned: Planned,
    dtype: torch.dtype | None,
    rounding: Precision | None,
    stopped: _Stopped,
) -> _Made:
    """The tensor, whether it has values that are none, and whether rounding made them so."""
    import torch

    values = planned.values
    target = dtype or getattr(torch, _TORCH.get(values.dtype, "float32"))
    if target.itemsize == 1:
        # Eight bits are only a way to store numbers: nothing computes in them.
        target = torch.float16
    through = None if rounding is None else torch_type(rounding)
    result = torch.empty(values.shape, dtype=target)
    flat = result.reshape(-1)
    start, broken, overflowed = 0, False, False
    for piece in values.pieces():
        _stop_if(stopped)
        numbers = _numbers(piece, values)
        faults = _put(numbers, flat[start : start + numbers.numel()], through)
        broken, overflowed = broken | faults[0], overflowed | faults[1]
        start += numbers.numel()
    if start != flat.numel():
        raise FormatError(f"{planned.name[:200]} ends within its values")
    return result, broken, overflowed


def _rounded(
    exact: torch.Tensor, dtype: torch.dtype, through: torch.dtype | None, stopped: _Stopped
) -> _Made:
    """As :func:`_read`, of a tensor in memory."""
    import torch

    result = torch.empty(exact.shape, dtype=dtype, device=exact.device)
    source, target = exact.reshape(-1), result.reshape(-1)
    broken, overflowed = False, False
    for start in range(0, source.numel(), _NUMBERS):
        _stop_if(stopped)
        end = start + _NUMBERS
        faults = _put(source[start:end], target[start:end], through)
        broken, overflowed = broken | faults[0], overflowed | faults[1]
    return result, broken, overflowed


def _put(
    numbers: torch.Tensor, place: torch.Tensor, through: torch.dtype | None
) -> tuple[bool, bool]:
    """Cast numbers into their place; whether some are none there, and were made so by that."""
    place.copy_(numbers if through is None else numbers.to(through))
    broken = place.is_floating_point() and not _all_finite(place)
    return broken, broken and _all_finite(numbers)


def _stop_if(stopped: _Stopped) -> None:
    if stopped():
        raise Cancelled("cancelled while the model was loaded", hint="")


def _numbers(piece: bytes | memoryview, values: Values) -> torch.Tensor:
    import torch

    kind = _TORCH.get(values.dtype)
    if kind is None:
        return torch.from_numpy(decode(piece, values.dtype).copy())
    # Torch warns of memory that cannot be written to, even where nobody does.
    data: Any = bytearray(piece) if isinstance(piece, bytes) else piece
    return torch.frombuffer(data, dtype=getattr(torch, kind))


def _all_finite(numbers: torch.Tensor) -> bool:
    """Told by their sum: weights are far too small for it to become infinite by itself."""
    import torch

    return bool(torch.isfinite(numbers.sum(dtype=torch.float32)))
