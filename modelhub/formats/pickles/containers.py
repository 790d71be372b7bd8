"""Opcodes of lists, tuples, dicts and sets, of the stack and of the memo."""

from __future__ import annotations

from struct import Struct

from modelhub.formats.pickles.machine import Machine, Malformed, Opcode
from modelhub.formats.pickles.records import Built, Call, Changeable, Key, Record, SetOf
from modelhub.formats.pickles.scalars import line

_UINT32 = Struct("<I").unpack_from
_ENTRY = 100
"""What an entry of a dict takes, in bytes, its table being rebuilt at the time."""
_MAX_KEY = 1 << 60
"""Below it the hash of a whole number is the number: none can be made to collide."""


def popped_mark(machine: Machine) -> list[object]:
    """The values above the last mark, taken off with it."""
    values = machine.stack
    machine.stack = machine.marks.pop()
    return values


def _mark(machine: Machine, data: bytes, position: int) -> int:
    machine.marks.append(machine.stack)
    machine.stack = []
    return position


def _pop(machine: Machine, data: bytes, position: int) -> int:
    if machine.stack:
        del machine.stack[-1]
    else:
        popped_mark(machine)
    return position


def _pop_mark(machine: Machine, data: bytes, position: int) -> int:
    popped_mark(machine)
    return position


def _dup(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(machine.stack[-1])
    return position


def _empty_list(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append([])
    return position


def _empty_tuple(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(())
    return position


def _empty_dict(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append({})
    return position


def _empty_set(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(SetOf([]))
    return position


def _list(machine: Machine, data: bytes, position: int) -> int:
    values = popped_mark(machine)
    machine.stack.append(values)
    return position


def _tuple(machine: Machine, data: bytes, position: int) -> int:
    values = popped_mark(machine)
    machine.stack.append(tuple(values))
    return position


def _tuple1(machine: Machine, data: bytes, position: int) -> int:
    machine.stack[-1] = (machine.stack[-1],)
    return position


def _tuple2(machine: Machine, data: bytes, position: int) -> int:
    stack = machine.stack
    stack[-2:] = [(stack[-2], stack[-1])]
    return position


def _tuple3(machine: Machine, data: bytes, position: int) -> int:
    stack = machine.stack
    stack[-3:] = [(stack[-3], stack[-2], stack[-1])]
    return position


def _dict(machine: Machine, data: bytes, position: int) -> int:
    values = popped_mark(machine)
    made: dict[object, object] = {}
    _fill(machine, made, values)
    machine.stack.append(made)
    return position


def _frozen_set(machine: Machine, data: bytes, position: int) -> int:
    values = popped_mark(machine)
    machine.stack.append(SetOf(values))
    return position


def _append(machine: Machine, data: bytes, position: int) -> int:
    value = machine.stack.pop()
    _extend(machine, [value])
    return position


def _appends(machine: Machine, data: bytes, position: int) -> int:
    _extend(machine, popped_mark(machine))
    return position


def _extend(machine: Machine, values: list[object]) -> None:
    target = machine.stack[-1]
    if not values:
        return
    machine.memory -= 8 * len(values)
    if isinstance(target, list):
        target.extend(values)
    elif isinstance(target, Call):
        if target.appended is None:
            target.appended = []
        target.appended.extend(values)
    elif isinstance(target, (Record, Changeable)):
        machine.stack[-1] = Built(target, values)
    else:
        raise Malformed("values are appended to what is no list")


def _add_items(machine: Machine, data: bytes, position: int) -> int:
    values = popped_mark(machine)
    target = machine.stack[-1]
    machine.memory -= 8 * len(values)
    if isinstance(target, SetOf):
        target.members.extend(values)
        return position
    _extend(machine, values)
    return position


def _set_item(machine: Machine, data: bytes, position: int) -> int:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set(machine, [key, value])
    return position


def _set_items(machine: Machine, data: bytes, position: int) -> int:
    _set(machine, popped_mark(machine))
    return position


def _set(machine: Machine, values: list[object]) -> None:
    target = machine.stack[-1]
    if not values:
        return
    if isinstance(target, dict):
        _fill(machine, target, values)
    elif isinstance(target, Call):
        if target.items is None:
            target.items = {}
            machine.memory -= 64
        _fill(machine, target.items, values)
    elif isinstance(target, (Record, Changeable)):
        # A module's or a class's own dict can be reached by name: a real loader goes on here.
        machine.stack[-1] = Built(target, values)
    elif isinstance(target, list):
        _replace(target, values)
    else:
        raise Malformed("keys are set in what is no dict")


def _replace(target: list[object], values: list[object]) -> None:
    for index, value in zip(values[::2], values[1::2], strict=True):
        if isinstance(index, int):
            target[index] = value
        elif isinstance(index, Record):
            target.append(value)  # a slice: where the values go does not matter
        else:
            raise Malformed("a list takes numbers and slices only as keys")


def _fill(machine: Machine, target: dict[object, object], values: list[object]) -> None:
    if len(values) % 2:
        raise Malformed("a key without a value")
    machine.memory -= _ENTRY * len(values)
    for index in range(0, len(values), 2):
        key = values[index]
        if type(key) is not str:
            key = _keyed(key)
        target[key] = values[index + 1]


def _keyed(key: object) -> object:
    """The key as it may be hashed: never by following it, and not into a collision."""
    if isinstance(key, int):
        return key if -_MAX_KEY < key < _MAX_KEY else Key(key)
    return key if key is None or isinstance(key, (bytes, float)) else Key(key)


def _memo_index(machine: Machine, data: bytes, position: int) -> tuple[int, int]:
    end, behind = line(machine, data, position)
    index = int(data[position:end])
    if index < 0:
        raise Malformed("a place in the memo below the first")
    return index, behind


def _get(machine: Machine, data: bytes, position: int) -> int:
    index, behind = _memo_index(machine, data, position)
    machine.stack.append(machine.memo[index])
    return behind


def _binget(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(machine.memo[data[position]])
    return position + 1


def _long_binget(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(machine.memo[_UINT32(data, position)[0]])
    return position + 4


def _put(machine: Machine, data: bytes, position: int) -> int:
    index, behind = _memo_index(machine, data, position)
    machine.memo[index] = machine.stack[-1]
    return behind


def _binput(machine: Machine, data: bytes, position: int) -> int:
    machine.memo[data[position]] = machine.stack[-1]
    return position + 1


def _long_binput(machine: Machine, data: bytes, position: int) -> int:
    machine.memo[_UINT32(data, position)[0]] = machine.stack[-1]
    return position + 4


def _memoize(machine: Machine, data: bytes, position: int) -> int:
    machine.memo[len(machine.memo)] = machine.stack[-1]
    return position


CONTAINERS: dict[int, tuple[int, Opcode]] = {
    ord("("): (72, _mark),
    ord("0"): (0, _pop),
    ord("1"): (0, _pop_mark),
    ord("2"): (8, _dup),
    ord("]"): (80, _empty_list),
    ord(")"): (8, _empty_tuple),
    ord("}"): (80, _empty_dict),
    0x8F: (150, _empty_set),
    ord("l"): (16, _list),
    ord("t"): (64, _tuple),
    0x85: (64, _tuple1),
    0x86: (72, _tuple2),
    0x87: (80, _tuple3),
    ord("d"): (80, _dict),
    0x91: (150, _frozen_set),
    ord("a"): (8, _append),
    ord("e"): (0, _appends),
    0x90: (0, _add_items),
    ord("s"): (0, _set_item),
    ord("u"): (0, _set_items),
    ord("g"): (8, _get),
    ord("h"): (8, _binget),
    ord("j"): (8, _long_binget),
    ord("p"): (_ENTRY, _put),
    ord("q"): (8, _binput),
    ord("r"): (_ENTRY, _long_binput),
    0x94: (_ENTRY, _memoize),
}
"""By opcode: the memory that it takes, in bytes, and what does it."""
