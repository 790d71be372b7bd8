"""Opcodes that would import, call or build something: here they only note it."""

from __future__ import annotations

import re
from struct import Struct

from modelhub.formats.pickles.containers import popped_mark
from modelhub.formats.pickles.machine import (
    NO_FRAME,
    Beyond,
    Framed,
    Machine,
    Malformed,
    Opcode,
    Stopped,
)
from modelhub.formats.pickles.records import Built, Call, Global, PersistentId
from modelhub.formats.pickles.scalars import line

HIGHEST_PROTOCOL = 5
_MAX_NAME = 4096
_NO_NAME = re.compile(rb"[\0- ]")
_INT32 = Struct("<i").unpack_from
_UINT64 = Struct("<Q").unpack_from


def _named(machine: Machine, module: str, name: str, position: int) -> Global:
    found = machine.globals.get((module, name))
    if found is None:
        machine.memory -= 400 + 4 * (len(module) + len(name))
        offset = machine.source.origin + machine.base + position - 1
        found = machine.globals[module, name] = Global(module, name, offset)
    return found


def _name_line(machine: Machine, data: bytes, position: int) -> tuple[int, int]:
    try:
        return line(machine, data, position, _MAX_NAME)
    except Beyond:
        if _NO_NAME.search(data, position, position + _MAX_NAME):
            raise Malformed("what is no name") from None
        raise


def _two_lines(machine: Machine, data: bytes, position: int) -> tuple[str, str, int]:
    end, start = _name_line(machine, data, position)
    name_end, behind = _name_line(machine, data, start)
    return data[position:end].decode(), data[start:name_end].decode(), behind


def _global(machine: Machine, data: bytes, position: int) -> int:
    module, name, behind = _two_lines(machine, data, position)
    machine.stack.append(_named(machine, module, name, position))
    return behind


def _stack_global(machine: Machine, data: bytes, position: int) -> int:
    stack = machine.stack
    module, name = stack[-2], stack[-1]
    module = module if isinstance(module, str) else Global.COMPUTED
    name = name if isinstance(name, str) else Global.COMPUTED
    if len(module) > _MAX_NAME or len(name) > _MAX_NAME:
        raise Beyond(f"a name of more than {_MAX_NAME:,} letters")
    stack[-2:] = [_named(machine, module, name, position)]
    return position


def _extension(machine: Machine, code: int, position: int) -> None:
    if code <= 0:
        raise Malformed(f"extension {code}")
    machine.stack.append(_named(machine, Global.EXTENSIONS, str(code), position))


def _ext1(machine: Machine, data: bytes, position: int) -> int:
    _extension(machine, data[position], position)
    return position + 1


def _ext2(machine: Machine, data: bytes, position: int) -> int:
    _extension(machine, data[position] | data[position + 1] << 8, position)
    return position + 2


def _ext4(machine: Machine, data: bytes, position: int) -> int:
    _extension(machine, _INT32(data, position)[0], position)
    return position + 4


def _reduce(machine: Machine, data: bytes, position: int) -> int:
    stack = machine.stack
    stack[-2:] = [Call(stack[-2], stack[-1])]
    return position


def _newobj_ex(machine: Machine, data: bytes, position: int) -> int:
    stack = machine.stack
    stack[-3:] = [Call(stack[-3], stack[-2], stack[-1])]
    return position


def _inst(machine: Machine, data: bytes, position: int) -> int:
    module, name, behind = _two_lines(machine, data, position)
    found = _named(machine, module, name, position)
    values = popped_mark(machine)
    machine.stack.append(Call(found, tuple(values)))
    return behind


def _obj(machine: Machine, data: bytes, position: int) -> int:
    values = popped_mark(machine)
    machine.stack.append(Call(values[0], tuple(values[1:])))
    return position


def _build(machine: Machine, data: bytes, position: int) -> int:
    stack = machine.stack
    target, state = stack[-2], stack[-1]
    if isinstance(target, Call):
        if target.states is None:
            target.states = []
        target.states.append(state)
        del stack[-1]
    else:
        stack[-2:] = [Built(target, state)]
    return position


def _persid(machine: Machine, data: bytes, position: int) -> int:
    end, behind = line(machine, data, position)
    pid = data[position:end].decode("ascii")
    machine.memory -= len(pid)
    machine.stack.append(PersistentId(pid))
    machine.persistent.append(pid)
    return behind


def _binpersid(machine: Machine, data: bytes, position: int) -> int:
    pid = machine.stack[-1]
    machine.stack[-1] = PersistentId(pid)
    machine.persistent.append(pid)
    return position


def _proto(machine: Machine, data: bytes, position: int) -> int:
    if data[position] > HIGHEST_PROTOCOL:
        raise Malformed(f"protocol {data[position]}")
    machine.protocol = max(machine.protocol, data[position])
    return position + 1


def _frame(machine: Machine, data: bytes, position: int) -> int:
    # A frame only says how much to read at once: what is in it are opcodes as any.
    behind = position + 8
    end = machine.base + behind + _UINT64(data, position)[0]
    if end > machine.source.size or end <= machine.frame_end < NO_FRAME:
        return behind
    if machine.frame_end < NO_FRAME:
        raise Beyond("a frame that reaches beyond the one it is in")
    machine.frame_end = end
    raise Framed(behind)


def _stop(machine: Machine, data: bytes, position: int) -> int:
    raise Stopped(position)


CALLS: dict[int, tuple[int, Opcode]] = {
    ord("c"): (8, _global),
    0x93: (8, _stack_global),
    0x82: (8, _ext1),
    0x83: (8, _ext2),
    0x84: (8, _ext4),
    ord("R"): (110, _reduce),
    0x81: (110, _reduce),
    0x92: (110, _newobj_ex),
    ord("i"): (170, _inst),
    ord("o"): (170, _obj),
    ord("b"): (90, _build),
    ord("P"): (110, _persid),
    ord("Q"): (70, _binpersid),
    0x80: (0, _proto),
    0x95: (0, _frame),
    ord("."): (0, _stop),
}
"""By opcode: the memory that it takes, in bytes, and what does it."""
