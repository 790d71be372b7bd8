"""Tricks of the opcodes of a pickle, and of what they reach by way of something else."""

from __future__ import annotations

import marshal
from collections.abc import Callable

from tests.pickle_aims import DANGEROUS, SUSPICIOUS, Aim, Trick
from tests.pickle_opcodes import (
    ADDITEMS,
    APPEND,
    BINPERSID,
    BUILD,
    DUP,
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_SET,
    EMPTY_TUPLE,
    MARK,
    MEMOIZE,
    NEWOBJ,
    NEWOBJ_EX,
    NONE,
    OBJ,
    POP,
    REDUCE,
    SETITEM,
    STACK_GLOBAL,
    STOP,
    TORCH_MAGIC,
    TUPLE1,
    TUPLE2,
    binary,
    called,
    calls,
    list_of,
    named,
    number,
    pickled,
    proto,
    short,
    tensor_tree,
    text,
    tuple_of,
)


def _runs(name: str, make: Callable[[Aim], bytes], suffix: str = ".pkl") -> Trick:
    return Trick(name, make, DANGEROUS, suffix, runs=True)


def _system(*opcodes: bytes) -> bytes:
    return text("os") + text("system") + STACK_GLOBAL + b"".join(opcodes)


_ARGUMENT = TUPLE1 + REDUCE

_OPCODES = [
    _runs("text protocol", lambda aim: f"cos\nsystem\n(V{aim.command}\ntR.".encode()),
    _runs("text protocol in a picture", lambda aim: f"cos\nsystem\n(V{aim.command}\ntR.".encode(),
          ".png"),
    _runs("global of protocol 2", lambda aim: pickled(aim.system, protocol=2), ".ckpt"),
    _runs("stack global", lambda aim: pickled(_system(text(aim.command), _ARGUMENT))),
    _runs("stack global by short strings", lambda aim: pickled(
        short("os"), short("system"), STACK_GLOBAL, text(aim.command), _ARGUMENT)),
    _runs("names out of the memo", lambda aim: pickled(
        short("os"), MEMOIZE, POP, short("system"), MEMOIZE, POP,
        b"h\0h\1", STACK_GLOBAL, text(aim.command), _ARGUMENT)),
    _runs("memo by put and by memoize", lambda aim: pickled(
        text("os"), b"q\0", text("system"), b"q\1", text("torch._utils"), MEMOIZE,
        text("_rebuild_tensor_v2"), MEMOIZE, b"h\0h\1", STACK_GLOBAL, text(aim.command),
        _ARGUMENT)),
    _runs("memo overwritten", lambda aim: pickled(
        text("collections"), b"q\0", POP, text("os"), b"q\0", POP, b"h\0", text("system"),
        STACK_GLOBAL, text(aim.command), _ARGUMENT)),
    _runs("memo by long indices", lambda aim: pickled(
        text("os"), b"r\0\1\0\0", POP, b"j\0\1\0\0", text("system"), STACK_GLOBAL,
        text(aim.command), _ARGUMENT)),
    _runs("memo by text indices", lambda aim: pickled(
        text("os"), b"p77\n", POP, b"g77\n", text("system"), STACK_GLOBAL, text(aim.command),
        _ARGUMENT)),
    _runs("names as strings of python 2", lambda aim: pickled(
        b"S'os'\n", b"U\x06system", STACK_GLOBAL, text(aim.command), _ARGUMENT)),
    _runs("names in escapes", lambda aim: pickled(
        b"V\\u006f\\u0073\n", b"V\\u0073ystem\n", STACK_GLOBAL, text(aim.command), _ARGUMENT)),
    _runs("names of 8 byte lengths", lambda aim: pickled(
        b"\x8d\2\0\0\0\0\0\0\0os", b"\x8d\6\0\0\0\0\0\0\0system", STACK_GLOBAL,
        text(aim.command), _ARGUMENT)),
    _runs("inst", lambda aim: pickled(MARK, text(aim.command), b"ios\nsystem\n")),
    _runs("obj", lambda aim: pickled(
        MARK, named("subprocess", "call"), list_of(text("touch"), text(aim.canary)), OBJ)),
    _runs("newobj ex", lambda aim: pickled(
        named("subprocess", "Popen"), EMPTY_TUPLE, EMPTY_DICT, NEWOBJ_EX,
        POP, calls("subprocess", "call", list_of(text("touch"), text(aim.canary))))),
    _runs("newobj", lambda aim: pickled(
        named("subprocess", "Popen"), EMPTY_TUPLE, NEWOBJ, POP, aim.system)),
    _runs("setstate replaced by build", lambda aim: pickled(
        called(named("argparse", "Namespace")), EMPTY_DICT, text("__setstate__"),
        named("os", "system"), SETITEM, BUILD, text(aim.command), BUILD)),
    _runs("result popped", lambda aim: pickled(aim.system, POP, EMPTY_DICT)),
    _runs("result under a mark", lambda aim: pickled(EMPTY_DICT, MARK, aim.system, b"1")),
    _runs("broken behind the call", lambda aim: proto(4) + aim.system + b"\xff\xff"),
    _runs("cut off behind the call", lambda aim: proto(4) + aim.system),
    _runs("string beyond the end behind the call",
          lambda aim: proto(4) + aim.system + b"X\xff\xff\xff\x7f"),
    _runs("invalid utf8 behind the call", lambda aim: pickled(aim.system, b"X\1\0\0\0\xff")),
    _runs("stack underflow behind the call", lambda aim: pickled(aim.system, POP, POP)),
    _runs("protocol mark in the middle", lambda aim: b"N0" + proto(2) + aim.system + STOP),
    _runs("no protocol mark", lambda aim: b"}0" + aim.system + STOP, ".bin"),
    _runs("python 2 builtins", lambda aim: pickled(
        calls("__builtin__", "eval", text(aim.code)), protocol=2)),
    _runs("python 2 commands", lambda aim: pickled(
        calls("commands", "getoutput", text(aim.command)), protocol=2)),
    _runs("python 2 reduce as getattr", lambda aim: pickled(called(
        calls("__builtin__", "reduce", named("__builtin__", "getattr"), list_of(text("system")),
              calls("__builtin__", "__import__", text("os"))), text(aim.command)), protocol=2)),
    _runs("call in a set", lambda aim: pickled(EMPTY_SET, MARK, aim.system, ADDITEMS)),
    _runs("call as a key", lambda aim: pickled(EMPTY_DICT, aim.system, NONE, SETITEM)),
    _runs("call as an argument of an allowed one", lambda aim: pickled(
        calls("collections", "OrderedDict", EMPTY_LIST), aim.system, POP)),
    _runs("persistent id behind the call", lambda aim: pickled(aim.system, BINPERSID)),
    Trick("second of two pickles", lambda aim: pickled(EMPTY_DICT) + pickled(aim.system)),
    Trick("hundredth pickle", lambda aim: pickled(NONE) * 99 + pickled(aim.system)),
    _runs("in place of the magic number", lambda aim: pickled(
        aim.system, POP, b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", protocol=2)
        + pickled(number(1001), protocol=2) + pickled(EMPTY_DICT, protocol=2), ".pt"),
    Trick("in the machine's facts of a legacy file", lambda aim: TORCH_MAGIC
          + pickled(number(1001)) + pickled(aim.system) + tensor_tree() + pickled(EMPTY_LIST),
          suffix=".pt"),
    Trick("in the keys of a legacy file", lambda aim: TORCH_MAGIC + pickled(number(1001))
          + pickled(EMPTY_DICT) + pickled(EMPTY_DICT) + pickled(aim.system), suffix=".pth"),
    _runs("frame of no length", lambda aim: proto(4) + b"\x95" + bytes(8) + aim.system + STOP),
]  # fmt: skip

_INDIRECT = [
    _runs("getattr of a module", lambda aim: pickled(called(
        calls("builtins", "getattr", calls("builtins", "__import__", text("os")), text("system")),
        text(aim.command)))),
    _runs("attrgetter", lambda aim: pickled(called(
        called(calls("operator", "attrgetter", text("system")),
               calls("builtins", "__import__", text("os"))), text(aim.command)))),
    _runs("methodcaller", lambda aim: pickled(called(
        calls("operator", "methodcaller", text("system"), text(aim.command)),
        calls("importlib", "import_module", text("os"))))),
    _runs("partial", lambda aim: pickled(
        calls("functools", "partial", named("os", "system"), text(aim.command)),
        EMPTY_TUPLE, REDUCE)),
    _runs("map in a list", lambda aim: pickled(calls("builtins", "list", calls(
        "builtins", "map", named("os", "system"), list_of(text(aim.command)))))),
    _runs("starmap in a list", lambda aim: pickled(calls("builtins", "list", calls(
        "itertools", "starmap", named("os", "system"), list_of(tuple_of(text(aim.command))))))),
    _runs("resolve name", lambda aim: pickled(called(
        calls("pkgutil", "resolve_name", text("os:system")), text(aim.command)))),
    _runs("locate", lambda aim: pickled(called(
        calls("pydoc", "locate", text("os.system")), text(aim.command)))),
    _runs("function of bytes", lambda aim: pickled(
        calls("types", "FunctionType", calls("marshal", "loads", binary(_compiled(aim))),
              EMPTY_DICT), EMPTY_TUPLE, REDUCE)),
    _runs("pickle in a pickle", lambda aim: pickled(
        calls("pickle", "loads", binary(pickled(aim.system))))),
    _runs("pickle in a pickle by c", lambda aim: pickled(
        calls("_pickle", "loads", binary(pickled(aim.system))))),
    _runs("filled by a call", lambda aim: pickled(
        calls("collections", "defaultdict", named("os", "getcwd")), POP, aim.system)),
    _runs("dotted name", lambda aim: pickled(
        text("shutil"), text("os.system"), STACK_GLOBAL, text(aim.command), _ARGUMENT)),
    _runs("dotted name of a tensor's module", lambda aim: pickled(
        text("collections"), text("_sys.modules"), STACK_GLOBAL, POP, aim.system)),
    _runs("module's builtins by dict get", lambda aim: pickled(called(
        called(text("builtins") + text("dict.get") + STACK_GLOBAL,
               named("argparse", "__builtins__"), text("exec")), text(aim.code)))),
    _runs("subclasses of object", lambda aim: pickled(
        text("builtins"), text("object.__subclasses__"), STACK_GLOBAL, EMPTY_TUPLE, REDUCE, POP,
        aim.system)),
    Trick("globals of a class", lambda aim: pickled(
        text("collections"), text("OrderedDict.__init__.__globals__"), STACK_GLOBAL)),
    Trick("attributes of an allowed class are set", lambda aim: pickled(
        named("argparse", "Namespace"), tuple_of(NONE, EMPTY_DICT + text("__reduce__")
        + named("collections", "OrderedDict") + SETITEM), BUILD)),
    Trick("state of an allowed class as class", lambda aim: pickled(
        called(named("argparse", "Namespace")), EMPTY_DICT, text("__class__"),
        named("collections", "OrderedDict"), SETITEM, BUILD)),
    Trick("item set in a module", lambda aim: pickled(
        named("collections", "OrderedDict"), text("k"), NONE, SETITEM)),
    Trick("appended to a class", lambda aim: pickled(
        named("collections", "OrderedDict"), NONE, APPEND)),
    Trick("attributes of a plain list are set",
          lambda aim: pickled(EMPTY_LIST, EMPTY_DICT, BUILD)),
    Trick("modules replaced", lambda aim: pickled(
        named("sys", "modules"), text("torch._utils"), named("os", "path"), SETITEM)),
    _runs("computed name", lambda aim: pickled(
        calls("builtins", "str", text("os")), text("system"), STACK_GLOBAL, text(aim.command),
        _ARGUMENT)),
    Trick("result is called", lambda aim: pickled(
        called(calls("collections", "OrderedDict"), text(aim.command)))),
    Trick("number of an extension", lambda aim: pickled(b"\x82\x07"), SUSPICIOUS),
    Trick("codec other than latin 1", lambda aim: pickled(
        calls("_codecs", "encode", text("x"), text("bz2_codec"))), SUSPICIOUS),
    Trick("tensor of another function", lambda aim: pickled(
        calls("torch._tensor", "_rebuild_from_type_v2", named("_codecs", "encode"),
              named("torch", "Tensor"), tuple_of(text("x"), text("rot13")), NONE)), SUSPICIOUS),
    Trick("array of another class", lambda aim: pickled(
        calls("numpy.core.multiarray", "_reconstruct", named("collections", "deque"),
              tuple_of(number(0)), binary(b"b"))), SUSPICIOUS),
    Trick("object of an unknown class", lambda aim: pickled(
        calls("copyreg", "_reconstructor", named("some_package", "Thing"),
              named("builtins", "object"), NONE)), SUSPICIOUS),
    Trick("storage within that is a pickle", lambda aim: pickled(
        calls("torch.storage", "_load_from_bytes", binary(pickled(aim.system)))), suffix=".bin"),
    Trick("storage within a storage within", lambda aim: pickled(calls(
        "torch.storage", "_load_from_bytes", binary(pickled(calls(
            "torch.storage", "_load_from_bytes", binary(pickled(aim.system)))))))),
    Trick("storage within as text", lambda aim: pickled(calls(
        "torch.storage", "_load_from_bytes", calls(
            "_codecs", "encode", text(pickled(aim.system, protocol=2).decode("latin-1")),
            text("latin1"))), protocol=2)),
    Trick("storage within is computed", lambda aim: pickled(calls(
        "torch.storage", "_load_from_bytes", calls("builtins", "bytes", EMPTY_LIST)))),
    Trick("unknown package", lambda aim: pickled(
        calls("some_package.helpers", "prepare", text(aim.command))), SUSPICIOUS),
    Trick("class of a script", lambda aim: pickled(calls("__main__", "Model")), SUSPICIOUS),
    Trick("a name like an allowed one", lambda aim: pickled(
        calls("collections", "OrderedDict ")), SUSPICIOUS),
    Trick("letters like an allowed one's", lambda aim: pickled(
        calls("соllections", "OrderedDict")), SUSPICIOUS),
    Trick("called twice by dup", lambda aim: pickled(named("os", "system"), DUP, TUPLE2)),
]  # fmt: skip


def _compiled(aim: Aim) -> bytes:
    return marshal.dumps(compile(aim.code, "m", "exec"))


STREAM_TRICKS = [*_OPCODES, *_INDIRECT]
