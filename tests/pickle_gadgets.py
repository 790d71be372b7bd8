"""Allowed names that are made to call one another, and bytes that only real loaders understand.

None of these names a single thing that has no place in a model, or they are written so that a
reader stricter than CPython's gives up before what counts.
"""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable

from tests.pickle_aims import DANGEROUS, SUSPICIOUS, Aim, Trick
from tests.pickle_opcodes import (
    ADDITEMS,
    APPEND,
    BINPERSID,
    BUILD,
    EMPTY_DICT,
    EMPTY_TUPLE,
    MARK,
    NEWOBJ,
    NEWOBJ_EX,
    NONE,
    POP,
    REDUCE,
    SETITEM,
    STACK_GLOBAL,
    STOP,
    binary,
    calls,
    list_of,
    named,
    number,
    pickled,
    proto,
    text,
    tuple_of,
)

_LOADS = named("torch.storage", "_load_from_bytes")
_NAMESPACE = calls("argparse", "Namespace")
_FALSE, _TRUE = b"\x89", b"\x88"


def _inner(aim: Aim) -> bytes:
    return binary(pickled(aim.system, protocol=2))


def _dict(*values: bytes) -> bytes:
    pairs = zip(values[::2], values[1::2], strict=True)
    return EMPTY_DICT + b"".join(key + value + SETITEM for key, value in pairs)


def _ordered(*values: bytes) -> bytes:
    pairs = zip(values[::2], values[1::2], strict=True)
    return calls("collections", "OrderedDict", list_of(*(tuple_of(*pair) for pair in pairs)))


_SETSTATE = text("__setstate__")


def _module_that_is_its_own_result() -> bytes:
    """An ``nn.Identity`` that, called with nothing, gives itself; one method is the loader."""
    itself = b"h\x05"
    hooks = _ordered(number(0), named("torch.jit._pickle", "restore_type_tag"))
    made = calls("torch.nn.modules.linear", "Identity") + b"q\x05"
    state = _dict(
        *(text("_forward_pre_hooks"), hooks),
        *(text("detach"), itself, text("requires_grad_"), _LOADS),
    )
    return made + state + BUILD


def _schedule(aim: Aim) -> bytes:
    """A schedule calls its factor with the number of the epoch, which may be anything."""
    group = _dict(text("params"), list_of(calls("torch.nn.parameter", "Parameter")))
    optimizer = calls("torch.optim.sgd", "SGD", list_of(group))
    return calls("torch.optim.lr_scheduler", "LambdaLR", optimizer, _LOADS, _inner(aim))


_HANDED_ON: tuple[tuple[str, Callable[[Aim], tuple[bytes, ...]]], ...] = (
    ("append that is a loader", lambda aim: (
        _NAMESPACE, _dict(text("append"), _LOADS), BUILD, _inner(aim), APPEND)),
    ("add that is a loader", lambda aim: (
        _NAMESPACE, _dict(text("add"), _LOADS), BUILD, MARK, _inner(aim), ADDITEMS)),
    ("setstate in a dict that is computed", lambda aim: (
        _NAMESPACE, calls("builtins", "dict", list_of(tuple_of(_SETSTATE, _LOADS))), BUILD,
        _inner(aim), BUILD)),
    ("setstate in an ordered dict", lambda aim: (
        _NAMESPACE, _ordered(_SETSTATE, _LOADS), BUILD, _inner(aim), BUILD)),
    ("setstate by a name that is computed", lambda aim: (
        _NAMESPACE, _dict(calls("builtins", "str", _SETSTATE), _LOADS), BUILD, _inner(aim), BUILD)),
    ("setstate among the attributes of bytes in memory", lambda aim: (
        calls("io", "BytesIO"), tuple_of(binary(b""), number(0), _dict(_SETSTATE, _LOADS)), BUILD,
        _inner(aim), BUILD)),
    ("setstate as an item that is an attribute", lambda aim: (
        named("pytorch_lightning.utilities.parsing", "AttributeDict") + EMPTY_TUPLE + NEWOBJ,
        _SETSTATE, _LOADS, SETITEM, _inner(aim), BUILD)),
    ("random state of a loader", lambda aim: (
        calls("numpy.random._pickle", "__randomstate_ctor", _inner(aim), _LOADS),)),
    ("random generator of a loader", lambda aim: (
        calls("numpy.random._pickle", "__generator_ctor", _inner(aim), _LOADS),)),
    ("schedule by a loader", lambda aim: (_schedule(aim),)),
    ("parameter of a module that loads", lambda aim: (
        calls("torch._utils", "_rebuild_parameter", _module_that_is_its_own_result(), _inner(aim),
              _ordered()),)),
    ("loader out of the memo", lambda aim: (
        _LOADS, b"q\x09", POP, _NAMESPACE, _dict(text("append"), b"h\x09"), BUILD, _inner(aim),
        APPEND)),
)  # fmt: skip


def _type(code: str, *, names: bytes = NONE, fields: bytes = NONE, flags: int = 0) -> bytes:
    made = calls("numpy", "dtype", text(code), _FALSE, _TRUE)
    size = number(8 if code.startswith("V") else -1)
    state = (number(3), text("|"), NONE, names, fields, size, number(1), number(flags))
    return made + tuple_of(*state) + BUILD


def _array_of(dtype: bytes) -> bytes:
    shape = tuple_of(number(2))
    made = calls(
        *("numpy.core.multiarray", "_reconstruct"),
        *(named("numpy", "ndarray"), tuple_of(number(0)), binary(b"b")),
    )
    return made + tuple_of(number(1), shape, dtype, _FALSE, binary(b"A" * 16)) + BUILD


_ADDRESSES = (
    Trick("storage by an allocator's address", lambda aim: pickled(
        named("torch", "UntypedStorage"), tuple_of(number(64)),
        _dict(text("allocator"), number(0x41414141)), NEWOBJ_EX)),
    Trick("tensor by its address", lambda aim: pickled(
        named("torch", "Tensor"), EMPTY_TUPLE, _dict(text("cdata"), number(0x41414141)),
        NEWOBJ_EX)),
    Trick("array of addresses", lambda aim: pickled(_array_of(_type("O8")))),
    Trick("array of addresses by a class", lambda aim: pickled(_array_of(
        calls("numpy.dtypes", "Float64DType") + tuple_of(
            number(3), text("<"), NONE, NONE, NONE, number(-1), number(-1), number(63)) + BUILD))),
    Trick("number of addresses", lambda aim: pickled(calls(
        "numpy.core.multiarray", "scalar",
        _type("V8", names=tuple_of(text("a")),
              fields=_dict(text("a"), tuple_of(_type("O8", flags=63), number(0)))),
        binary(b"A" * 8)))),
    Trick("storage by a call", lambda aim: pickled(
        calls("torch", "UntypedStorage", number(1))), SUSPICIOUS),
    Trick("plain class by named arguments", lambda aim: pickled(
        named("collections", "deque"), EMPTY_TUPLE, _dict(text("maxlen"), number(1)), NEWOBJ_EX),
        SUSPICIOUS),
    Trick("layer made anew", lambda aim: pickled(
        calls("torch.nn.modules.linear", "Linear", number(1), number(1))), SUSPICIOUS),
    Trick("class of a module beside its source that loads", lambda aim: pickled(
        tuple_of(text("module"), _LOADS, text(""), text("")), BINPERSID,
        tuple_of(calls("builtins", "bytes", _inner(aim))), REDUCE)),
    Trick("array of objects in a structure", lambda aim: pickled(_array_of(_type(
        "V8", names=tuple_of(text("a")), flags=27,
        fields=_dict(text("a"), tuple_of(_type("O8", flags=63), number(0)))))), SUSPICIOUS),
    Trick("codec handed on", lambda aim: pickled(
        _NAMESPACE, _dict(text("append"), named("_codecs", "encode")), BUILD), SUSPICIOUS),
)  # fmt: skip


def _behind(*opcodes: bytes) -> Callable[[Aim], bytes]:
    """These opcodes, which are dropped again, and then a call; no protocol's mark before."""
    return lambda aim: b"".join(opcodes) + b"0" + aim.system + STOP


_LONG = b"a" * (2 << 20)
_EIGHT = struct.Struct("<Q").pack
_LAX: tuple[tuple[str, Callable[[Aim], bytes], bool], ...] = (
    ("whole number in base 16", _behind(b"I0x10\n"), True),
    ("whole number in base 8", _behind(b"I0017\n"), True),
    ("long number in base 16", _behind(b"L0x10L\n"), True),
    ("long number in base 2", _behind(b"L0b10L\n"), True),
    ("number of many digits", _behind(b"L" + b"1" * 2000 + b"L\n"), True),
    ("number of many bytes", _behind(b"\x8b" + struct.pack("<i", 2000) + b"\1" * 2000), True),
    ("bytearray that grows", _behind(b"\x96" + _EIGHT(0) + b"K\1a"), True),
    ("bytearray that changes", _behind(b"\x96" + _EIGHT(1) + b"xK\0K\1s"), True),
    ("slice of a list", _behind(
        b"(K\1l" + calls("builtins", "slice", number(0), number(1)) + b"]s"), True),
    ("memo by many noughts", _behind(b"Np" + b"0" * 40 + b"7\n"), True),
    ("nothing appended to a number", _behind(b"K\1(e"), True),
    ("nothing set in a number", _behind(b"K\1(u"), True),
    ("very long line of text", _behind(b"V" + _LONG + b"\n"), False),
    ("very long string in quotes", _behind(b"S'" + _LONG + b"'\n"), False),
    ("very many marks", _behind(b"N0" + MARK * 1_600_000 + b"N"), False),
)  # fmt: skip


def _swallowed(aim: Aim) -> bytes:
    """A text across the frame's end: C drops its first part, and reads as much more behind."""
    call = aim.system + STOP
    text_of_call = b"X" + struct.pack("<I", len(call)) + call
    dropped = b"z" * 5
    frame = b"X" + struct.pack("<I", 7) + dropped
    return proto(4) + b"\x95" + _EIGHT(len(frame)) + frame + b"zz" + text_of_call + STOP


def _stopped_early(aim: Aim) -> bytes:
    """A reader of several pickles goes on behind the frame, another one behind the STOP."""
    call = aim.system + STOP
    hidden = b"X" + struct.pack("<I", len(call))
    first = b"N."
    frame = b"\x95" + _EIGHT(len(first) + len(hidden)) + first + hidden
    return proto(4) + frame + call + b"."


def _far_dotted(aim: Aim) -> bytes:
    """`os.path.os.path.os...system`, longer than a name may be."""
    function = text("os") + text("path.os." * 600 + "system") + STACK_GLOBAL
    return b"N0" + proto(4) + function + tuple_of(text(aim.command)) + REDUCE + STOP


_PLAIN_TAR = (("sys_info", b"}."), ("pickle", b"}."), ("tensors", b"I0\n."))
_STORAGE = b"(V0\nVcpu\nctorch\nFloatStorage\nt."
_NUMBERS = struct.pack("<q", 1) + bytes(4)


def _tar(*members: tuple[str, bytes], headers: dict[str, str] | None = None) -> bytes:
    """A tar; `headers` change its first member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.pax_headers = headers or {}
            headers = None
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _tar_with(storages: bytes) -> bytes:
    return _tar(("storages", storages), *_PLAIN_TAR)


def _evil_storages(aim: Aim) -> bytes:
    """A call behind the numbers of the first storage, where none but torch would look."""
    return b"I1\n." + _STORAGE + _NUMBERS + pickled(aim.system, protocol=2)


def _resummed(tar: bytes, written: Callable[[bytearray], bytes]) -> bytes:
    block = bytearray(tar[:512])
    block[148:156] = b" " * 8
    block[148:156] = written(block)
    return bytes(block) + tar[512:]


def _signed_sum(block: bytearray) -> bytes:
    block[330] = 0xFF
    return b"%06o\0 " % (256 + sum(struct.unpack_from("148b8x356b", block)))


def _sparse(aim: Aim) -> bytes:
    """Stored, a string swallows the call; with the hole that a reader puts in, it does not."""
    call = b"0" + pickled(aim.system, protocol=2)
    head = b"X" + struct.pack("<I", 512 + len(call))
    size, hole = len(head), 512 + len(call)
    headers = {
        "GNU.sparse.size": str(size + hole + len(call)),
        "GNU.sparse.map": f"0,{size},{size + hole},{len(call)}",
    }
    return _tar(("storages", head + call), *_PLAIN_TAR, headers=headers)


def _linked(aim: Aim) -> bytes:
    link = tarfile.TarInfo("storages")
    link.type, link.linkname = tarfile.SYMTYPE, "/somewhere/else.pkl"
    return link.tobuf(tarfile.USTAR_FORMAT) + _tar(*_PLAIN_TAR)


def _loads_later(aim: Aim) -> bytes:
    loads = pickled(
        calls("torch.storage", "_load_from_bytes", _inner(aim)), POP,
        tuple_of(number(0), text("cpu"), named("torch", "FloatStorage")), protocol=2,
    )  # fmt: skip
    return _tar_with(b"I1\n." + loads + _NUMBERS + b"].")


def _call_as_storages(aim: Aim) -> bytes:
    return _tar_with(pickled(aim.system, protocol=2))


def _array(description: str, content: bytes) -> bytes:
    head = f"{{'descr': {description}, 'fortran_order': False, 'shape': (1,), }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + content


_FILES = (
    Trick("tar, behind the numbers", lambda aim: _tar_with(_evil_storages(aim)), suffix=".pt"),
    Trick("tar, loads behind a count", _loads_later, suffix=".pt"),
    Trick("tar with a signed checksum",
          lambda aim: _resummed(_call_as_storages(aim), _signed_sum), suffix=".pt"),
    Trick("tar with a checksum by prefix", lambda aim: _resummed(
        _call_as_storages(aim), lambda block: b"0o%05o\0" % sum(block)), suffix=".pt"),
    Trick("tar with a checksum in binary", lambda aim: _resummed(
        _call_as_storages(aim), lambda block: b"\x80" + sum(block).to_bytes(7, "big")),
        suffix=".pt"),
    Trick("tar that begins without a name", lambda aim: tarfile.TarInfo("").tobuf(
        tarfile.USTAR_FORMAT) + _call_as_storages(aim), suffix=".pt"),
    Trick("tar, renamed by a header", lambda aim: _tar(
        ("other", _evil_storages(aim)), *_PLAIN_TAR, headers={"path": "storages"}),
        SUSPICIOUS, ".pt"),
    Trick("tar with holes", _sparse, SUSPICIOUS, ".pt"),
    Trick("tar with a link", _linked, SUSPICIOUS, ".pt"),
    Trick("array of objects among numbers", lambda aim: _array(
        "'f4,O'", b"I0x1\n0" + aim.system + STOP), suffix=".npy"),
    Trick("array of objects in escapes", lambda aim: _array(
        "'\\x4f'", b"I0x1\n0" + aim.system + STOP), suffix=".npy"),
)  # fmt: skip


def _gadget(name: str, make: Callable[[Aim], tuple[bytes, ...]]) -> Trick:
    return Trick(name, lambda aim: pickled(*make(aim)))


GADGET_TRICKS = [
    *(_gadget(name, make) for name, make in _HANDED_ON),
    *_ADDRESSES,
    *(
        Trick(name, make, DANGEROUS if told else SUSPICIOUS, ".bin", runs=True)
        for name, make, told in _LAX
    ),
    Trick("very many pickles", lambda aim: b"N." * 10_001 + pickled(aim.system), SUSPICIOUS),
    Trick("text across the end of a frame", _swallowed, SUSPICIOUS),
    Trick("stop before the end of a frame", _stopped_early, SUSPICIOUS),
    Trick("very far name", _far_dotted, SUSPICIOUS, runs=True),
    *_FILES,
]
