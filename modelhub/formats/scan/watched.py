"""A machine that follows a pickle and notes what it would do, beside what it names."""

from __future__ import annotations

from bisect import bisect_right

from modelhub.formats.pickles import Built, Call, Global, Machine, PersistentId, Skipped, Source
from modelhub.formats.pickles.machine import Opcode
from modelhub.formats.pickles.opcodes import OPCODES
from modelhub.formats.scan.arguments import (
    WORST,
    bytes_within,
    handed_on,
    wrong_call,
    wrong_state,
    wrong_type,
)
from modelhub.formats.scan.report import Finding, Rank
from modelhub.formats.scan.rules import rank_of

_CALLING = b"R\x81\x92io"
_INST = ord("i")
_BINPERSID = ord("Q")
_NAMING = b"cghj2\x93"
_SETTING = b"aesu\x90"
_BUILD = ord("b")
_MOST_WITHIN = 100_000
_MOST_DEEDS = 100
_RESULT = "(result)"


class Watched(Machine):
    """Notes each call, what is set on what, and the pickles that a call would load in turn.

    :attr:`findings` and :attr:`within` hold also what was met before an error.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.calls: dict[Global, int] = {}
        """How often each name is called."""
        self.within: list[bytes | Skipped] = []
        """Torch files, as bytes, that the pickle would load."""
        self._pushed: dict[Global, int] = {}
        self._worse: dict[Global, tuple[Rank, str]] = {}
        self._deeds: list[tuple[str, str, int]] = []
        self._starts: list[int] = []

    def actions(self) -> tuple[Opcode, ...]:
        """As ever, with a note taken of what calls or sets something."""
        return _ACTIONS

    def load(self, position: int | None = None) -> object:
        """As :meth:`Machine.load`; counts the pickles."""
        start = self.position if position is None else position
        self._starts.append(self.source.origin + start)
        return super().load(position)

    @property
    def pickles(self) -> int:
        """How many were begun."""
        return len(self._starts)

    def findings(self, where: str) -> list[Finding]:
        """All that was named and done.

        :param where: the path of the pickles within the file.
        """
        found = []
        for one in self.globals.values():
            rank, why = rank_of(one.module, one.name)
            wrong = handed_on(one) if self._pushed.get(one, 0) > self.calls.get(one, 0) else None
            if wrong is not None:
                self._worsen(one, _rank(wrong), wrong)
            worse = self._worse.get(one)
            if worse is not None and worse[0].severity > rank.severity:
                rank, why = worse
            place, calls = self._place(where, one.offset), self.calls.get(one, 0)
            found.append(Finding(one.module, one.name, rank, why, place, one.offset, calls))
        for name, why, offset in self._deeds:
            place = self._place(where, offset)
            found.append(Finding(_RESULT, name, Rank.DANGEROUS, why, place, offset, 1))
        return found

    def note_call(self, call: Call, at: int) -> None:
        """Take note of a call, by any of the opcodes."""
        function = call.callable
        if not isinstance(function, Global):
            self._do(_named(function), "calls what it has made by a call before", at)
            return
        self.calls[function] = self.calls.get(function, 0) + 1
        wrong = wrong_call(call)
        if wrong is not None:
            self._worsen(function, _rank(wrong), wrong)
        content = bytes_within(call)
        if content is not None:
            if len(self.within) < _MOST_WITHIN:
                self.within.append(content)
            else:
                self._worsen(function, Rank.SUSPICIOUS, "loads too many pickles to look into all")

    def note_state(self, at: int) -> None:
        """Take note of what BUILD has set, which is on the stack."""
        target = self.stack[-1]
        if isinstance(target, Built):
            self._set_on(target, at)
        elif isinstance(target, Call) and target.states:
            function = target.callable
            if not isinstance(function, Global):
                return
            if (wrong := wrong_state(target.states[-1])) is not None:
                self._worsen(function, Rank.DANGEROUS, wrong)
            elif (wrong := wrong_type(target)) is not None:
                self._worsen(function, _rank(wrong), wrong)

    def note_value(self, one: Global) -> None:
        """Take note of a name that is put on the stack, to be called or handed on."""
        self._pushed[one] = self._pushed.get(one, 0) + 1

    def note_items(self, at: int) -> None:
        """Take note of items set or appended to what is no container of the pickle's own."""
        target = self.stack[-1]
        if isinstance(target, Built):
            self._set_on(target, at)

    def _set_on(self, built: Built, at: int) -> None:
        target: object = built.obj
        while isinstance(target, Built):
            target = target.obj
        if isinstance(target, Global):
            self._worsen(target, Rank.DANGEROUS, "what it is in the loading program is changed")
        else:
            self._do(_named(target), "attributes or items of it are set", at)

    def _worsen(self, one: Global, rank: Rank, why: str) -> None:
        known = self._worse.get(one)
        if known is None or known[0].severity < rank.severity:
            self._worse[one] = (rank, why)

    def _do(self, name: str, why: str, at: int) -> None:
        if len(self._deeds) < _MOST_DEEDS:
            self._deeds.append((name, why, self.source.origin + self.base + at - 1))

    def _place(self, where: str, offset: int) -> str:
        number = bisect_right(self._starts, offset)
        if number < 2:
            return where
        return f"{where}, pickle {number}" if where else f"pickle {number}"


def _named(value: object) -> str:
    if isinstance(value, Call):
        function = value.callable
        return f"{function.path}(...)" if isinstance(function, Global) else "call"
    return type(value).__name__


def _rank(wrong: str) -> Rank:
    return Rank.DANGEROUS if wrong in WORST else Rank.SUSPICIOUS


def _after(action: Opcode, note: str) -> Opcode:
    """The action, and then a note: what was called or set is on top of the stack by then."""
    taken = getattr(Watched, note)

    def act(machine: Machine, data: bytes, position: int) -> int:
        behind = action(machine, data, position)
        taken(machine, position)
        return behind

    return act


def _calling(action: Opcode, *, names: bool) -> Opcode:
    def act(machine: Machine, data: bytes, position: int) -> int:
        behind = action(machine, data, position)
        call = machine.stack[-1]
        assert isinstance(machine, Watched)
        assert isinstance(call, Call)
        if names and isinstance(call.callable, Global):
            machine.note_value(call.callable)
        machine.note_call(call, position)
        return behind

    return act


def _naming(action: Opcode) -> Opcode:
    def act(machine: Machine, data: bytes, position: int) -> int:
        behind = action(machine, data, position)
        value = machine.stack[-1]
        if type(value) is Global:
            assert isinstance(machine, Watched)
            machine.note_value(value)
        return behind

    return act


def _referring(action: Opcode) -> Opcode:
    """A class that torch refers to beside its source is that class (``_legacy_load``)."""

    def act(machine: Machine, data: bytes, position: int) -> int:
        behind = action(machine, data, position)
        value = machine.stack[-1]
        pid = value.pid if isinstance(value, PersistentId) else None
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module":
            machine.stack[-1] = pid[1]
        return behind

    return act


def _watching(code: int, action: Opcode) -> Opcode:
    if code in _CALLING:
        return _calling(action, names=code == _INST)
    if code in _NAMING:
        return _naming(action)
    if code == _BINPERSID:
        return _referring(action)
    if code in _SETTING:
        return _after(action, "note_items")
    return _after(action, "note_state") if code == _BUILD else action


_ACTIONS = tuple(_watching(code, action) for code, action in enumerate(OPCODES))
