"""Opcodes of pickles, put together by hand: what no `pickle.dumps` would write."""

from __future__ import annotations

import struct

MARK, STOP, POP, DUP = b"(", b".", b"0", b"2"
REDUCE, BUILD, OBJ, NEWOBJ, NEWOBJ_EX = b"R", b"b", b"o", b"\x81", b"\x92"
TUPLE, TUPLE1, TUPLE2, TUPLE3, EMPTY_TUPLE = b"t", b"\x85", b"\x86", b"\x87", b")"
LIST, EMPTY_LIST, APPEND, APPENDS = b"l", b"]", b"a", b"e"
EMPTY_DICT, SETITEM, SETITEMS = b"}", b"s", b"u"
EMPTY_SET, ADDITEMS = b"\x8f", b"\x90"
NONE, STACK_GLOBAL, MEMOIZE, BINPERSID = b"N", b"\x93", b"\x94", b"Q"
TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle of a legacy torch file."""


def proto(number: int) -> bytes:
    """The mark of a protocol."""
    return bytes([0x80, number])


def named(module: str, name: str) -> bytes:
    """GLOBAL: a name, by two lines."""
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def short(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def binary(value: bytes) -> bytes:
    """BINBYTES."""
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    """BININT."""
    return b"J" + struct.pack("<i", value)


def tuple_of(*values: bytes) -> bytes:
    """MARK, the values, TUPLE."""
    return MARK + b"".join(values) + TUPLE


def list_of(*values: bytes) -> bytes:
    """MARK, the values, LIST."""
    return MARK + b"".join(values) + LIST


def called(function: bytes, *arguments: bytes) -> bytes:
    """A call by REDUCE."""
    return function + tuple_of(*arguments) + REDUCE


def calls(module: str, name: str, *arguments: bytes) -> bytes:
    """A call of something that is named."""
    return called(named(module, name), *arguments)


def pickled(*opcodes: bytes, protocol: int = 4) -> bytes:
    """A whole pickle."""
    return proto(protocol) + b"".join(opcodes) + STOP


def tensor_tree(*before: bytes) -> bytes:
    """The pickle of `{"w": tensor of 3 x 4}`, with opcodes `before` it."""
    storage = tuple_of(
        text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(12)
    )
    hooks = named("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE
    tensor = calls(
        "torch._utils",
        "_rebuild_tensor_v2",
        storage + BINPERSID,
        number(0),
        tuple_of(number(3), number(4)),
        tuple_of(number(4), number(1)),
        b"\x89",
        hooks,
    )
    return pickled(*before, EMPTY_DICT, text("w"), tensor, SETITEM, protocol=2)
