"""What of a tree stays inert: objects of classes that are neither containers nor tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from modelhub.formats.pickles import Built, Call, Global, Key, Record, SetOf
from modelhub.formats.torchfile.tensors import TYPES

_READ_MODULES = frozenset({"torch._utils", "torch._tensor", "torch.storage", "numpy.dtypes"})
_READ_NUMPY = frozenset({"_reconstruct", "_frombuffer", "scalar", "dtype", "ndarray"})
_READ = frozenset(
    {
        "_codecs.encode", "collections.OrderedDict", "collections.defaultdict", "torch.Size",
        "torch.device",
        "torch.serialization._get_layout", "torch.nn.parameter.Parameter", "torch.nn.Parameter",
        "torch.nn.parameter.Buffer", "builtins.set", "builtins.frozenset", "builtins.bytearray",
        "builtins.bytes", "builtins.complex", "builtins.object", "__builtin__.set",
        "__builtin__.frozenset", "__builtin__.bytearray", "__builtin__.bytes",
        "__builtin__.complex", "__builtin__.object",
    }
)  # fmt: skip
_MOST_VISITED = 2_000_000


def inert_objects(tree: object, globals_: Iterable[Global]) -> dict[str, int]:
    """How many objects of each class were not built, by its path, the most frequent first.

    A class that the tree only names counts as none of its objects.

    :param globals_: all that the pickle names.
    """
    unread = {one for one in globals_ if not _is_read(one)}
    if not unread:
        return {}
    counts: Counter[str] = Counter({one.path: 0 for one in unread})
    for call in _calls(tree):
        if isinstance(call.callable, Global) and call.callable in unread:
            counts[call.callable.path] += 1
    return dict(counts.most_common())


def _is_read(named: Global) -> bool:
    if named.path in _READ or named.module in _READ_MODULES:
        return True
    if named.module.partition(".")[0] == "numpy":
        return named.name in _READ_NUMPY
    return named.module == "torch" and (
        named.name.endswith(("Storage", "Tensor"))
        or named.name in TYPES
        or named.name.startswith("per_")
    )


def _calls(tree: object) -> Iterator[Call]:
    """All calls in the tree, each once, however the tree turns back on itself."""
    seen: set[int] = set()
    waiting = [tree]
    while waiting and len(seen) < _MOST_VISITED:
        one = waiting.pop()
        if isinstance(one, (dict, list, tuple, Record)) and id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, Call):
                yield one
            waiting.extend(_inside(one))


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, Call):
        # OBJ and REDUCE may call what another call gave.
        yield from (value.callable, value.args, value.kwargs, value.items)
        yield from (value.appended, value.states)
    elif isinstance(value, Built):
        yield from (value.obj, value.state)
    elif isinstance(value, SetOf):
        yield value.members
    elif isinstance(value, Key):
        yield value.value
