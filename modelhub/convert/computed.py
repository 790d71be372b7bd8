"""Values that are made by arithmetic when they are written, and the numbers of those that are read.

No result is kept: each is made when it is asked for, and those that come out of one calculation
(both factors of a decomposition) share it through :class:`Recent`, which keeps the last few.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from modelhub.convert.blas import one_thread
from modelhub.convert.casts import can_cast, decode
from modelhub.convert.values import Values
from modelhub.errors import FormatError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[np.float32]

_T = TypeVar("_T")
_KEPT = 4
_PIECE = 4 << 20
"""Bytes that are handed on at a time; a multiple of an element's size."""


class Computed(Values):
    """Values in fp32 that a function makes, each time they are asked for.

    :param shape: of what `compute` returns; an array of as many numbers is put into it.
    :param compute: makes the numbers; may raise what reading their sources raises.
    :param memory: bytes that this takes beside its result.
    """

    __slots__ = ("_beside", "_compute")

    def __init__(
        self, shape: tuple[int, ...], compute: Callable[[], Numbers], *, memory: int = 0
    ) -> None:
        self.dtype = "F32"
        self.shape = shape
        self._compute = compute
        self._beside = memory

    @property
    def is_costly(self) -> bool:
        """They are."""
        return True

    @property
    def memory(self) -> int:
        """That of the numbers, and of what they are made of."""
        return self.nbytes + self._beside

    def array(self) -> Numbers:
        """The numbers, in their shape; the caller may change them.

        :raises FormatError: they are not as many as planned, or a source is damaged.
        :raises FileUnreadable: a source cannot be read.
        """
        return self._made().copy()

    def _made(self) -> Numbers:
        import numpy as np

        with one_thread():
            numbers = self._compute()
        if numbers.size != prod(self.shape):
            raise FormatError(f"{numbers.size:,} numbers were made, not {self.shape}", hint="")
        return np.ascontiguousarray(numbers, "<f4").reshape(self.shape)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of them, little-endian, in the order of their indices."""
        numbers = self._made()
        if not numbers.size:
            return
        data = numbers.reshape(-1).data.cast("B")
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]


def constant(number: float, shape: tuple[int, ...] = ()) -> Computed:
    """The same number everywhere; by default, alone."""

    def numbers() -> Numbers:
        import numpy as np

        return np.full(shape, number, np.float32)

    return Computed(shape, numbers)


class Recent(Generic[_T]):
    """Keeps what was made last, for those who ask for the same next; safe between threads.

    Threads that ask for the same wait for the first of them; others go on meanwhile. As many things
    are kept as threads may be writing at once, so that none has to be made anew for a neighbour
    that comes a little later.
    """

    __slots__ = ("_lock", "_made")

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: dict[Hashable, _Making[_T]] = {}

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` made for `key`, made again where that is long ago."""
        with self._lock:
            one = self._made.get(key)
            if one is None:
                while len(self._made) >= _KEPT:
                    del self._made[next(iter(self._made))]
                one = self._made[key] = _Making()
        with one.lock:
            if not one.made:
                one.made.append(make())
            return one.made[0]


class _Making(Generic[_T]):
    """A place for one thing, empty until it is made."""

    __slots__ = ("lock", "made")

    def __init__(self) -> None:
        self.lock = Lock()
        self.made: list[_T] = []


def numbers_of(values: Values) -> Numbers:
    """All numbers of `values` in fp32, in their shape; the caller may change them.

    Those of fp64 that are too large become infinite.

    :raises FormatError: they are of a type that is no plain number, or the file is damaged.
    :raises FileUnreadable: it cannot be read.
    """
    import numpy as np

    if isinstance(values, Computed):
        return values.array()
    if not can_cast(values.dtype, "F32"):
        raise FormatError(f"values of type {values.dtype} cannot be computed with", hint="")
    numbers = np.empty(prod(values.shape), "<f4")
    done = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for piece in values.pieces():
            some = decode(piece, values.dtype)
            numbers[done : done + some.size] = some
            done += some.size
    if done != numbers.size:
        raise FormatError("the file ends within a tensor")
    return numbers.reshape(values.shape)
