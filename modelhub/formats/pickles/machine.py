"""The machine that follows the opcodes of a pickle and executes nothing.

The opcodes are those of protocols 0 to 5, as CPython's ``Lib/pickletools.py`` describes them and
``Lib/pickle.py`` (``_Unpickler``) carries them out. Bounded in opcodes, in memory, and without
recursion. What an honest model needs is far from the bounds: 1,200 tensors take 75,000 opcodes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from modelhub.errors import FormatError
from modelhub.formats.pickles.records import Global
from modelhub.formats.pickles.source import Source

MAX_OPCODES = 10_000_000
"""Of all pickles of one file together."""

MAX_MEMORY = 96 << 20
"""What the values of all pickles of one file may weigh, in bytes, by a cautious estimate."""

MAX_READ = 512 << 20
"""How many bytes all pickles of one file may be, skipped strings left out."""

MAX_INLINE = 1 << 20
"""Longer strings are skipped (:class:`~modelhub.formats.pickles.records.Skipped`)."""

_FIRST, _WINDOW = 1 << 12, 1 << 18
"""How much of a pickle is read at once, at first and at most: a file may hold many short ones."""

NO_FRAME = 1 << 63
_CROSSED = "opcodes reach beyond their frame: readers differ in where they go on"
"""CPython's ``_Unpickler_ReadImpl`` (``Modules/_pickle.c``) drops what is left of a frame, where
other readers go on with it."""
_CHUNK = 1 << 14
_SLACK = 16
"""No fixed argument is longer; behind the end of the source stand as many bytes of padding."""


class NeedMore(Exception):
    """The window ends within an opcode's argument.

    :param count: how many bytes from the opcode on are needed.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count


class Stopped(Exception):
    """The STOP opcode.

    :param position: behind it, in the window.
    """

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position


class Framed(Exception):
    """The FRAME opcode.

    :param position: behind it, in the window.
    """

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position


class Malformed(Exception):
    """What is wrong with the opcode at hand."""


class Beyond(Malformed):
    """It may well be a pickle, and a real loader goes on where this machine's bounds end."""


Opcode = Callable[["Machine", bytes, int], int]
"""Does one opcode. Takes the machine, the window, and the position behind the opcode in it; gives
the position behind its argument. Reads all of its argument before it changes anything."""


class Machine:
    """Reads pickles of one source, one after the other, into values and inert records.

    :attr:`globals` holds what was met so far also when :meth:`load` raised: what stands before a
    fault has run by then in a real loader.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.globals: dict[tuple[str, str], Global] = {}
        """All names in the order in which they were met."""
        self.persistent: list[object] = []
        """Every persistent id that was asked for, in order."""
        self.protocol = 0
        """The highest that a pickle declared."""
        self.position = 0
        """Behind the last pickle that was read, in bytes from the start of the source."""
        self.opcodes = 0
        """How many were followed, rounded up."""
        self.memory = MAX_MEMORY
        """What values may still weigh."""
        self.unread = MAX_READ
        """How many bytes may still be read."""
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        """The stacks below the marks."""
        self.memo: dict[int, object] = {}
        self.base = 0
        """Where the window begins in the source."""
        self.went_beyond = False
        """Whether a pickle was left for the bounds of this machine, and not for its own faults."""
        self.frame_end = NO_FRAME
        """Where the frame ends that is being followed, in bytes from the start of the source."""
        self.limit = 0
        """How many bytes of the window are of the source."""
        self._step = _FIRST

    def count_on(self, other: Machine) -> None:
        """Share the bounds of `other`, of whose pickle this one is a part: go on counting there."""
        self.opcodes, self.unread = other.opcodes, other.unread

    def load(self, position: int | None = None) -> object:
        """The value of the pickle that begins at `position` (default: behind the last one).

        :raises FormatError: it is no pickle, is damaged, ends early, or is beyond the bounds. The
            offset is the one in the file.
        :raises FileUnreadable: the source cannot be read.
        """
        self._forget()
        self.base = self.position if position is None else position
        self._check_bounds(0)
        self._step, self.frame_end = _FIRST, NO_FRAME
        data, at = self._window(_FIRST), 0
        while True:
            try:
                data, at = self._follow(data, at)
            except Stopped as stop:
                if not self.stack:
                    raise self._fault("a pickle that gives no value", stop.position - 1) from None
                value = self.stack[-1]
                self.position = self.base + stop.position
                if self.frame_end not in (self.position, NO_FRAME):
                    raise self._beyond(_CROSSED, stop.position) from None
                self._forget()
                return value

    def actions(self) -> tuple[Opcode, ...]:
        """What does each opcode; a machine that watches what a pickle does has others."""
        return _tables()[0]

    def _forget(self) -> None:
        self.stack, self.marks, self.memo = [], [], {}

    def _follow(self, data: bytes, position: int) -> tuple[bytes, int]:
        """Some opcodes from `position` on; gives the window and the position to go on with."""
        actions, weights = self.actions(), _tables()[1]
        last = self.base + self.limit >= self.source.size
        frame = self.frame_end - self.base
        safe = min(self.limit if last else self.limit - _SLACK, frame)
        at, weight, done = position, 0, 0
        try:
            for done in range(1, _CHUNK + 1):  # noqa: B007 - counted, also where it ends early
                at = position
                if at >= safe:
                    return self._behind_frame(data, at) if at >= frame else self._refilled(at)
                opcode = data[at]
                weight += weights[opcode]
                position = actions[opcode](self, data, at + 1)
        except NeedMore as need:
            return self._refilled(at, need.count)
        except Framed as begin:
            return data, begin.position
        except IndexError:
            raise self._fault("an opcode takes more values than there are", at) from None
        except KeyError:
            raise self._fault("an opcode asks for a value that was not kept", at) from None
        except (Malformed, ValueError) as error:
            self.went_beyond |= isinstance(error, Beyond)
            raise self._fault(f"not a pickle, or a damaged one: {error}", at) from None
        finally:
            self.opcodes += done
            self.memory -= weight
        self._check_bounds(position)
        return data, position

    def _check_bounds(self, position: int) -> None:
        if self.opcodes > MAX_OPCODES:
            raise self._beyond(f"a pickle of more than {MAX_OPCODES:,} opcodes", position)
        if self.memory < 0:
            raise self._beyond("a pickle of too many values", position)

    def _behind_frame(self, data: bytes, at: int) -> tuple[bytes, int]:
        if self.base + at > self.frame_end:
            raise self._beyond(_CROSSED, at)
        self.frame_end = NO_FRAME
        return data, at

    def _refilled(self, at: int, count: int = _SLACK) -> tuple[bytes, int]:
        """A window that begins where `at` is in the last one."""
        if self.base + at >= self.source.size:
            raise self._fault("the pickle is cut off", at)
        self.base += at
        self._step = min(self._step * 8, _WINDOW)
        return self._window(max(count, self._step)), 0

    def _window(self, count: int) -> bytes:
        data = self.source.read(self.base, count)
        self.limit = len(data)
        self.unread -= len(data)
        if self.unread < 0:
            raise self._beyond("a pickle of too many bytes", 0)
        return data + b"\xff" * _SLACK

    def _beyond(self, reason: str, at: int) -> FormatError:
        self.went_beyond = True
        return self._fault(reason, at)

    def _fault(self, reason: str, at: int) -> FormatError:
        # The window is longer than what was read: an opcode may seem to end behind the file.
        place = min(self.base + at, self.source.size)
        return FormatError(reason, offset=self.source.origin + place)


@functools.cache
def _tables() -> tuple[tuple[Opcode, ...], tuple[int, ...]]:
    """What does each opcode, and what it weighs: in modules that build upon this one."""
    from modelhub.formats.pickles.opcodes import OPCODES, WEIGHTS

    return OPCODES, WEIGHTS
