"""The inert records that stand for what a pickle would import, call or build.

A pickle of plain values becomes those values (dicts, lists, tuples, numbers, text, bytes). All that
would need an import becomes one of these. They compare and hash by identity: a pickle may nest
deeper than the C stack is high, and comparing by content would follow it.
"""

from __future__ import annotations

from typing import Final


class Record:
    """The base of all records."""

    __slots__ = ()


class Global(Record):
    """A module's attribute, named and never imported; one record per name and pickle.

    :param module: as the pickle spells it: ``__builtin__`` of Python 2 stays that.
    :param name: may hold dots (protocol 4): ``Bdb.run``.
    :param offset: where it was first named, in bytes.
    """

    __slots__ = ("module", "name", "offset")

    COMPUTED: Final = "(computed)"
    """Stands for a name that the pickle computes by a call: no name can be read off it."""

    EXTENSIONS: Final = "(extension)"
    """The module of a number in :mod:`copyreg`'s registry of extensions; the number is the name."""

    def __init__(self, module: str, name: str, offset: int) -> None:
        self.module = module
        self.name = name
        self.offset = offset

    @property
    def path(self) -> str:
        """Module and name: ``torch._utils._rebuild_tensor_v2``."""
        return f"{self.module}.{self.name}"

    def __repr__(self) -> str:
        return f"Global({self.path})"


class Call(Record):
    """What a call would give: of a function (REDUCE), or of a class (NEWOBJ, INST, OBJ).

    What the pickle then does with the result is kept beside it.
    """

    __slots__ = ("appended", "args", "callable", "items", "kwargs", "states")

    def __init__(self, callable_: object, args: object, kwargs: object = None) -> None:
        self.callable = callable_
        """A :class:`Global` in an honest pickle; anything in another."""
        self.args = args
        """A tuple in an honest pickle; anything in another."""
        self.kwargs = kwargs
        self.items: dict[object, object] | None = None
        """What was set by key (an ``OrderedDict``, say)."""
        self.appended: list[object] | None = None
        self.states: list[object] | None = None
        """What BUILD would give to ``__setstate__``, in turn."""

    def __repr__(self) -> str:
        return f"Call({self.callable!r})" if isinstance(self.callable, Global) else "Call(...)"


class Built(Record):
    """BUILD on something that is no :class:`Call`: an attack on a class or a module, usually."""

    __slots__ = ("obj", "state")

    def __init__(self, obj: object, state: object) -> None:
        self.obj = obj
        self.state = state


class PersistentId(Record):
    """A reference to something outside the pickle: torch's storages."""

    __slots__ = ("pid",)

    def __init__(self, pid: object) -> None:
        self.pid = pid


class SetOf(Record):
    """A set, or a frozen one: its members in order, never hashed."""

    __slots__ = ("members",)

    def __init__(self, members: list[object]) -> None:
        self.members = members


class Key(Record):
    """A dict key that is no plain text, number or bytes: a tuple, a record, a huge number."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class Skipped(Record):
    """A long string of bytes or text that was not read into memory.

    :param offset: where in the pickle's source its bytes are.
    :param size: in bytes.
    """

    __slots__ = ("is_text", "offset", "size")

    def __init__(self, offset: int, size: int, is_text: bool) -> None:
        self.offset = offset
        self.size = size
        self.is_text = is_text


class Changeable(bytes):
    """A ``bytearray``, as it was first."""

    __slots__ = ()


class OutOfBand(Record):
    """A buffer that travels beside the pickle (protocol 5)."""

    __slots__ = ()
