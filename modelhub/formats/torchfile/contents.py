"""Which of a file's tree are its tensors, and what stands beside them.

Where tools put them: ``state_dict`` (Lightning, CompVis), ``params_ema`` and ``params`` (BasicSR's
upscalers), ``model`` and ``ema`` (detectors), at the top (everyone else); embeddings as
``string_to_param`` (A1111's ``modules/textual_inversion``), hypernetworks under the widths of their
layers as whole numbers (its ``modules/hypernetworks``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from modelhub.errors import FormatError
from modelhub.formats.pickles import Call, Record
from modelhub.formats.torchfile.tensors import Rebuilder, TorchTensor

_CONTAINERS = (
    "state_dict", "params_ema", "params", "model_state_dict", "model", "ema", "module", "net",
    "network", "generator", "g_ema", "weights",
)  # fmt: skip
_TRAINING = (
    "optimizer", "optim", "lr_scheduler", "callbacks", "loops", "hyper_parameters", "amp_scaler",
    "scaler", "rng", "train", "updates",
)  # fmt: skip
"""How keys of training state begin: what is below them is no weight of the model."""

_EMBEDDING = "string_to_param"
_MAX_DEPTH = 24
_MAX_TENSORS = 200_000
_MAX_VISITS = 200_000
_MAX_NAME = 4096
_MAX_NAMES = 32 << 20
_MAX_EXTRAS = 1000
_MAX_EXTRA = 200
_MAX_VALUE = 1 << 16


@dataclass(slots=True)
class Contents:
    """What a tree holds."""

    tensors: dict[str, TorchTensor] = field(default_factory=dict)
    beside: dict[str, TorchTensor] = field(default_factory=dict)
    """Tensors that are not of the model: an optimizer's state, an EMA copy."""
    metadata: dict[str, str] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


class Finder:
    """Finds the tensors in the tree of one file; bounded in depth, in visits and in memory."""

    def __init__(self, rebuilder: Rebuilder, offset: int = 0) -> None:
        self._rebuilder = rebuilder
        self._offset = offset
        self._found = Contents()
        self._visits = 0
        self._letters = 0
        self._gave_up = False

    def contents(self, tree: object) -> Contents:
        """All that the tree holds.

        :raises FormatError: a tensor is described wrongly, or the tree is beyond the bounds.
        """
        top = _entries(tree)
        alone = self._tensor("tensor", tree)
        if alone is not None:
            self._found.tensors["tensor"] = alone
        elif top is None or _module_parts(tree) is not None:
            self._flatten("", tree)
        else:
            self._from_top(top)
        for name, count in sorted(self._rebuilder.unread.items()):
            self._found.notices.append(f"{count} values made by {name} are not read")
        return self._found

    def _from_top(self, top: dict[object, object]) -> None:
        listed: set[object] = set()
        layers = [key for key, value in top.items() if _is_layer(key, value)]
        container = self._container(top)
        if _EMBEDDING in top:
            listed.add(_EMBEDDING)
            self._flatten(_EMBEDDING, top[_EMBEDDING])
        elif layers:
            listed.update(layers)
            for key in layers:
                self._flatten(str(key), top[key])
        elif container is not None:
            listed.add(container)
            self._from_container(top[container])
        else:
            listed |= self._direct("", top)
            if not self._found.tensors:
                listed |= self._nested(top)
        self._beside({key: value for key, value in top.items() if key not in listed})

    def _container(self, top: dict[object, object]) -> str | None:
        """The key under which the tensors stand, where it is one of the usual."""
        for key in _CONTAINERS:
            value = top.get(key)
            inner = _entries(value)
            parts = inner.values() if inner is not None else ()
            if _module_parts(value) is not None or any(map(self._is_tensor, parts)):
                return key
        return None

    def _from_container(self, value: object) -> None:
        inner = _entries(value)
        if inner is None or _module_parts(value) is not None:
            self._flatten("", value)
            return
        listed = self._direct("", inner)
        for key, beside in inner.items():
            if key not in listed:
                self._note_scalar(_text(key)[:_MAX_EXTRA], beside)
                self._note_left_out(_text(key)[:_MAX_EXTRA], beside)

    def _direct(self, prefix: str, entries: dict[object, object]) -> set[object]:
        """Lists the tensors right in `entries`; gives their keys."""
        listed: set[object] = set()
        for key, value in entries.items():
            name = _joined(prefix, _text(key))
            tensor = self._tensor(name, value)
            if tensor is not None:
                self._add(name, tensor)
                listed.add(key)
        return listed

    def _nested(self, top: dict[object, object]) -> set[object]:
        """Lists tensors at any depth below keys that name no training state."""
        listed: set[object] = set()
        for key, value in top.items():
            if not _text(key).startswith(_TRAINING):
                before = len(self._found.tensors)
                self._flatten(_text(key), value)
                if len(self._found.tensors) > before:
                    listed.add(key)
        return listed

    def _flatten(self, prefix: str, value: object) -> None:
        for name, tensor in self._walk(prefix, value):
            self._add(name, tensor)

    def _walk(self, prefix: str, value: object) -> Iterator[tuple[str, TorchTensor]]:
        waiting: list[tuple[str, object, int]] = [(prefix, value, 0)]
        while waiting:
            name, one, depth = waiting.pop()
            tensor = self._tensor(name, one)
            if tensor is not None:
                yield name or "tensor", tensor
            elif depth < _MAX_DEPTH:
                below = [
                    (self._visited(name, key), part, depth + 1)
                    for key, part in _parts(one)
                    if isinstance(part, (dict, list, tuple, Record))
                ]
                waiting.extend(reversed(below))

    def _visited(self, prefix: str, key: str) -> str:
        """The full name, counted: what is shared or turns back on itself may be met for ever."""
        self._visits += 1
        self._letters += len(prefix) + len(key)
        if self._visits > _MAX_VISITS or self._letters > _MAX_NAMES:
            raise FormatError("a tree of too many branches", offset=self._offset)
        if len(prefix) + len(key) >= _MAX_NAME:
            raise FormatError("a tensor's name without end", offset=self._offset)
        return _joined(prefix, key)

    def _add(self, name: str, tensor: TorchTensor) -> None:
        if len(name) > _MAX_NAME or len(self._found.tensors) >= _MAX_TENSORS:
            raise FormatError("too many tensors, or a name without end", offset=self._offset)
        if name in self._found.tensors:
            self._found.notices.append(f"two tensors are named {name}: the first is listed")
        else:
            self._found.tensors[name] = tensor

    def _tensor(self, name: str, value: object) -> TorchTensor | None:
        if not isinstance(value, Record):
            return None
        try:
            return self._rebuilder.tensor(value)
        except FormatError as error:
            raise FormatError(f"{name[:_MAX_EXTRA]}: {error.reason}", offset=error.offset) from None

    def _is_tensor(self, value: object) -> bool:
        # Cheap, and without judging: what is wrong with it is told when it is listed.
        name = getattr(getattr(value, "callable", None), "name", "")
        if isinstance(value, Call) and name.startswith("_rebuild_"):
            return True
        return self._tensor("", value) is not None

    def _beside(self, others: dict[object, object]) -> None:
        for key, value in islice(others.items(), _MAX_EXTRAS):
            name = _text(key)[:_MAX_EXTRA]
            self._found.extras.append(name)
            self._note_scalar(name, value)
            self._note_left_out(name, value)
        if len(others) > _MAX_EXTRAS:
            self._found.notices.append(f"{len(others) - _MAX_EXTRAS:,} more keys at the top")

    def _note_scalar(self, name: str, value: object) -> None:
        number = self._rebuilder.number(value)
        value = value if number is None else number
        if isinstance(value, (str, int, float)) and len(self._found.metadata) < _MAX_EXTRAS:
            text = value if isinstance(value, str) else repr(value)
            if len(text) <= _MAX_VALUE:
                self._found.metadata[name] = _clean(text)

    def _note_left_out(self, name: str, value: object) -> None:
        if isinstance(value, (dict, list, tuple, Call)) and not self._gave_up:
            count = 0
            try:
                for below, tensor in self._walk(name, value):
                    count += 1
                    if len(self._found.beside) < _MAX_TENSORS:
                        self._found.beside.setdefault(below, tensor)
            except FormatError as error:
                self._gave_up = True
                self._found.notices.append(f"not looked through from {name} on: {error.reason}")
                return
            if count:
                self._found.notices.append(f"{count:,} tensors below {name} are not listed")


def _entries(value: object) -> dict[object, object] | None:
    """The entries of a dict, or of a call that gives one."""
    if isinstance(value, dict):
        return value
    return value.items if isinstance(value, Call) else None


def _module_parts(value: object) -> dict[object, object] | None:
    """The attributes of an object that was pickled whole (a module of torch, or of TorchScript)."""
    if not isinstance(value, Call) or value.items is not None or not value.states:
        return None
    state = value.states[-1]
    if isinstance(state, tuple) and len(state) == 2:
        state = state[0] or state[1]
    return state if isinstance(state, dict) else None


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """What is right below `value`: key and value."""
    module = _module_parts(value)
    if module is not None:
        yield from _attributes(module)
    elif isinstance(value, (list, tuple)):
        for index, one in enumerate(value):
            yield str(index), one
    elif isinstance(value, Call) and value.appended is not None:
        for index, one in enumerate(value.appended):
            yield str(index), one
    else:
        for key, one in (_entries(value) or {}).items():
            yield _text(key), one


def _attributes(module: dict[object, object]) -> Iterator[tuple[str, object]]:
    """Parameters, buffers and submodules by the names that ``state_dict()`` would give them."""
    if "_modules" not in module and "_parameters" not in module:
        for key, one in module.items():
            if isinstance(one, (Record, list, tuple, dict)):
                yield _text(key), one
        return
    left_out = module.get("_non_persistent_buffers_set")
    for kind in ("_parameters", "_buffers", "_modules"):
        for key, one in (_entries(module.get(kind)) or {}).items():
            members = getattr(left_out, "members", ())
            if not (kind == "_buffers" and isinstance(members, list) and key in members):
                yield _text(key), one


def _is_layer(key: object, value: object) -> bool:
    return isinstance(key, int) and isinstance(value, (list, tuple)) and len(value) > 0


def _joined(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _text(key: object) -> str:
    if isinstance(key, bytes):
        return key.decode("latin-1")
    if isinstance(key, str):
        return key if key.isascii() else _clean(key)
    return str(key) if isinstance(key, (int, float)) or key is None else "(a key of many values)"


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
