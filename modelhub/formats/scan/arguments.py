"""Allowed functions that some arguments turn into something else: what they may be called with.

Each check is given what the pickle would call the function with, and says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelhub.formats.pickles import Call, Global, Key, Record, Skipped
from modelhub.formats.scan.allowed import ALLOWED
from modelhub.formats.scan.report import Rank
from modelhub.formats.scan.rules import rank_of

COMPUTES = "loads a pickle that it computes"
ADDRESSED = "made by named arguments, among which are addresses in memory"
OVERLAID = "a type of numpy's by which bytes are taken for addresses of objects"
WORST = frozenset({COMPUTES, ADDRESSED, OVERLAID})
"""What is wrong with calls that may run anything; the others are only unusual."""

_ENCODINGS = frozenset({"latin1", "latin-1", "iso-8859-1", "ascii", "utf-8", "utf8"})
_CLASSES = frozenset({"object", "dict", "list", "tuple", "int", "float", "str", "set", "bytes"})
_ARRAYS = frozenset({("numpy", "ndarray"), ("numpy", "matrix")})
_MAKERS = frozenset(
    path for path in ALLOWED if path[0] == "torch._utils" and path[1].startswith("_rebuild_")
)
_LOADS_BYTES = ("torch.storage", "_load_from_bytes")
_MAKES_BITS = ("numpy.random._pickle", "__bit_generator_ctor")
_DTYPE = ("numpy", "dtype")
_TYPE_FLAGS = {"O": 63, "U": 8}
"""Of the types that hold objects or text; those of numbers have none."""
_STRUCTURED = 16
_OBJECTS = 27
"""Of a structure of numbers, and what one of objects has at least."""
_MADE_IN_C = frozenset({"torch", "torch.cuda", "torch.storage"})
"""Where classes are made by C, which takes ``cdata`` and ``allocator`` for pointers
(``torch/csrc/utils/tensor_new.cpp``, ``torch/csrc/Storage.cpp``)."""
_RESTORED = (
    "torch.optim.",
    "torch.nn.modules.",
    *(f"{package}.callbacks." for package in ("pytorch_lightning", "lightning.pytorch")),
)
"""Whose objects get their attributes by BUILD, never by a call of their class."""
_FILLED = frozenset({"dict", "list", "tuple", "OrderedDict", "Counter", "defaultdict"})


def wrong_call(call: Call) -> str | None:
    """What is wrong with the arguments of a call of an allowed function, or None."""
    function = call.callable
    if not isinstance(function, Global):
        return None
    if call.kwargs:
        return ADDRESSED if function.module in _MADE_IN_C else "called with named arguments"
    check = _CHECKS.get((function.module, function.name))
    if check is None:
        anew = function.module.startswith(_RESTORED) and call.args != ()
        return "made anew, with arguments, and not restored" if anew else None
    if not isinstance(call.args, tuple):
        return "called in an unusual way"
    return check(call.args)


def wrong_state(state: object) -> str | None:
    """What is wrong with the attributes that BUILD would set, or None.

    A pickled object's own ``__setstate__`` is called by the next BUILD, its ``__class__`` or
    ``__reduce__`` changes what it is.
    """
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, Call) and _is_container(part.callable):
            return "its attributes are computed"
        for key in part if isinstance(part, dict) else ():
            if isinstance(key, Key) and isinstance(key.value, Record):
                return "the name of an attribute is computed"
            text = key.decode("latin-1") if isinstance(key, bytes) else key
            if isinstance(text, str) and text[:2] == "__" == text[-2:] and len(text) > 4:
                return f"its {text[:40]} is replaced"
    return None


def wrong_type(call: Call) -> str | None:
    """What is wrong with the last state of a type of numpy's, or None.

    Its flags say whether elements are numbers or addresses of objects (``numpy/_core/src``
    ``multiarray/descriptor.c``, ``arraydescr_setstate``), and are taken as they are given.
    """
    function = call.callable
    if not isinstance(function, Global) or not call.states:
        return None
    if (function.module, function.name) == _DTYPE:
        code = call.args[0] if isinstance(call.args, tuple) and call.args else None
    elif function.module == "numpy.dtypes":
        code = "f"
    else:
        return None
    state = call.states[-1]
    if not isinstance(code, str) or not isinstance(state, tuple) or not 8 <= len(state) <= 9:
        return OVERLAID
    flags = state[7]
    if state[2] is None and state[3] is None and state[4] is None:
        return None if flags == _TYPE_FLAGS.get(_kind(code), 0) else OVERLAID
    kinds = [_kind_of_field(one) for one in state[4].values()] if isinstance(state[4], dict) else []
    if state[2] is not None or not kinds or "V" in kinds:
        return "a type of numpy's of an unusual structure"
    if "O" in kinds:
        holds = type(flags) is int and flags & _OBJECTS == _OBJECTS
        return "a type of numpy's that holds objects" if holds else OVERLAID
    return None if flags == _STRUCTURED else OVERLAID


def _kind(code: str) -> str:
    return code.lstrip("<>=|")[:1]


def _kind_of_field(field: object) -> str:
    """The letter of a field's type; that of a structure where it cannot be told."""
    made = field[0] if isinstance(field, tuple) and field else None
    if not isinstance(made, Call) or not _is(made.callable, _DTYPE):
        return "V"
    code = made.args[0] if isinstance(made.args, tuple) and made.args else None
    return _kind(code) if isinstance(code, str) else "V"


def handed_on(one: Global) -> str | None:
    """What is wrong with a function that is a value and not called, or None.

    What is given to others may be called by them: an attribute ``append`` by APPEND, a
    ``__setstate__`` by BUILD, a factory of random states. How it is called cannot be checked then.
    """
    path = (one.module, one.name)
    if path == _LOADS_BYTES:
        return COMPUTES
    return "handed on, and not called" if path in _NEVER_HANDED_ON else None


def bytes_within(call: Call) -> bytes | Skipped | None:
    """The torch file, as bytes, that a call of ``torch.storage._load_from_bytes`` would load.

    A skipped text stands for the bytes that it is in latin-1.
    """
    function = call.callable
    if isinstance(function, Global) and (function.module, function.name) == _LOADS_BYTES:
        return literal_bytes(call.args)
    return None


def literal_bytes(args: object) -> bytes | Skipped | None:
    """The bytes that are the one argument, spelt out or by ``_codecs.encode`` (protocol 2)."""
    if not isinstance(args, tuple) or len(args) != 1:
        return None
    value = args[0]
    if isinstance(value, Call) and _is(value.callable, ("_codecs", "encode")):
        if wrong_call(value) is not None or not isinstance(value.args, tuple):
            return None
        text = value.args[0]
        if isinstance(text, Skipped):
            return text
        return text.encode("latin-1", "replace") if isinstance(text, str) else None
    if isinstance(value, Skipped):
        return None if value.is_text else value
    return value if isinstance(value, bytes) else None


def _is(value: object, path: tuple[str, str]) -> bool:
    return isinstance(value, Global) and (value.module, value.name) == path


def _is_container(value: object) -> bool:
    return isinstance(value, Global) and value.name in _FILLED


def _plain_class(value: object) -> bool:
    """Whether it is a class that is allowed whatever it is called with."""
    return (
        isinstance(value, Global)
        and (value.module, value.name) not in _CHECKS
        and rank_of(value.module, value.name)[0] in (Rank.TENSORS, Rank.HARMLESS)
    )


def _encoding(args: tuple[object, ...]) -> str | None:
    if len(args) == 2 and args[1] in ("latin1", "latin-1", "iso-8859-1"):
        return None if isinstance(args[0], (str, Skipped)) else "encodes what is no text"
    return "encodes by another codec than latin-1"


def _text(args: tuple[object, ...]) -> str | None:
    for encoding in args[1:2]:
        if not isinstance(encoding, str) or encoding.lower() not in _ENCODINGS:
            return "decodes or encodes by an unusual codec"
    return None


def _nested(args: tuple[object, ...]) -> str | None:
    return None if literal_bytes(args) is not None else COMPUTES


def _array(args: tuple[object, ...]) -> str | None:
    if args and isinstance(args[0], Global) and (args[0].module, args[0].name) in _ARRAYS:
        return None
    return "makes something else than an array"


def _reconstructed(args: tuple[object, ...]) -> str | None:
    if len(args) != 3 or not _plain_class(args[0]):
        return "makes an object of a class that is not known"
    base = args[1]
    plain = isinstance(base, Global) and base.module in ("builtins", "__builtin__")
    if not plain or not isinstance(base, Global) or base.name not in _CLASSES:
        return "makes an object on an unusual base"
    return None


def _default(args: tuple[object, ...]) -> str | None:
    if not args or args[0] is None or (_plain_class(args[0]) and _named_in(args[0], _CLASSES)):
        return None
    return "fills itself by something unusual"


def _named_in(value: object, names: frozenset[str]) -> bool:
    return isinstance(value, Global) and value.name in {*names, "OrderedDict", "defaultdict"}


def _typed(args: tuple[object, ...]) -> str | None:
    """``_rebuild_from_type_v2(function, type, arguments, state)`` calls the function itself."""
    if len(args) != 4:
        return "called in an unusual way"
    function, kind, arguments, state = args
    if not isinstance(function, Global) or (function.module, function.name) not in _MAKERS:
        return "calls something else than a tensor's maker"
    if not _plain_class(kind):
        return "makes a tensor of an unknown type"
    return wrong_call(Call(function, arguments)) or wrong_state(state)


def _with_state(args: tuple[object, ...]) -> str | None:
    return wrong_state(args[3]) if len(args) > 3 else None


def _random(args: tuple[object, ...]) -> str | None:
    """The second argument makes a generator of the first one: whatever it is, it is called."""
    if len(args) > 2 or (len(args) == 2 and not _is(args[1], _MAKES_BITS)):
        return COMPUTES
    return None


def _bits(args: tuple[object, ...]) -> str | None:
    if len(args) > 1 or not all(isinstance(one, str) or _plain_class(one) for one in args):
        return "makes something else than random numbers"
    return None


def _storage(args: tuple[object, ...]) -> str | None:
    return "a storage that is made by a call, where it should be referred to"


def _wrapper(args: tuple[object, ...]) -> str | None:
    return None if args and _plain_class(args[0]) else "makes a tensor of an unknown type"


def _storages() -> Iterator[tuple[str, str]]:
    return (path for path in ALLOWED if path[1].endswith("Storage"))


_CHECKS: dict[tuple[str, str], Callable[[tuple[object, ...]], str | None]] = {
    ("_codecs", "encode"): _encoding,
    _LOADS_BYTES: _nested,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("copyreg", "_reconstructor"): _reconstructed,
    ("copy_reg", "_reconstructor"): _reconstructed,
    ("collections", "defaultdict"): _default,
    ("numpy.random._pickle", "__randomstate_ctor"): _random,
    ("numpy.random._pickle", "__generator_ctor"): _random,
    _MAKES_BITS: _bits,
    ("torch._tensor", "_rebuild_from_type_v2"): _typed,
    ("torch._utils", "_rebuild_parameter_with_state"): _with_state,
    ("torch._utils", "_rebuild_wrapper_subclass"): _wrapper,
    **dict.fromkeys(_storages(), _storage),
    **{
        (module, name): _text
        for module in ("builtins", "__builtin__")
        for name in ("str", "bytes", "bytearray", "unicode")
    },
}

_NEVER_HANDED_ON = frozenset(
    {
        ("_codecs", "encode"),
        ("copyreg", "_reconstructor"),
        ("copy_reg", "_reconstructor"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.random._pickle", "__randomstate_ctor"),
        ("numpy.random._pickle", "__generator_ctor"),
        ("torch._tensor", "_rebuild_from_type_v2"),
    }
)
CHECKED: frozenset[tuple[str, str]] = frozenset(_CHECKS)
"""The names whose arguments are checked."""
