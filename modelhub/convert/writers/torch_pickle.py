"""The pickle of a state dict as ``torch.save`` writes it, opcode by opcode and without torch.

Protocol 2, of ``pickletools``; what is called is that of ``torch/_tensor.py``
(``_reduce_ex_internal``) and ``torch/serialization.py`` (``persistent_id``): types that older
torch knows have a typed storage and ``_rebuild_tensor_v2``, the others bytes and ``_v3``.
``torch.load(weights_only=True)`` takes it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from math import prod

from modelhub.convert.values import Planned
from modelhub.errors import UsageError

_TYPED = {
    "F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage",
    "BF16": "BFloat16Storage", "I64": "LongStorage", "I32": "IntStorage", "I16": "ShortStorage",
    "I8": "CharStorage", "U8": "ByteStorage", "BOOL": "BoolStorage",
    "C64": "ComplexFloatStorage", "C128": "ComplexDoubleStorage",
}  # fmt: skip
_UNTYPED = {
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu", "C32": "complex32",
}  # fmt: skip


def state_dict_pickle(tensors: Sequence[Planned], beside: Mapping[str, str]) -> bytes:
    """``{"state_dict": {name: tensor, ...}, key: text, ...}``.

    :param tensors: the storage of the first has the key ``0``, that of the next ``1``, and so on.
    :param beside: texts that stand beside the state dict.
    :raises UsageError: a tensor is of a type that torch has not.
    """
    pickle = _Pickle()
    pickle.raw(b"\x80\x02}(")
    pickle.text("state_dict")
    pickle.raw(b"}(")
    for key, one in enumerate(tensors):
        pickle.text(one.name)
        _tensor(pickle, one, str(key))
    pickle.raw(b"u")
    for name, text in beside.items():
        pickle.text(name)
        pickle.text(text)
    pickle.raw(b"u.")
    return pickle.written()


def _tensor(pickle: _Pickle, tensor: Planned, key: str) -> None:
    typed = _TYPED.get(tensor.dtype)
    if typed is None and tensor.dtype not in _UNTYPED:
        raise UsageError(f"{tensor.name} is of type {tensor.dtype}, which torch has not")
    shape = tensor.values.shape
    strides, step = [0] * len(shape), 1
    for place in reversed(range(len(shape))):
        strides[place] = step
        step *= max(shape[place], 1)
    count = tensor.nbytes if typed is None else prod(shape)
    pickle.named("torch._utils", f"_rebuild_tensor_v{3 if typed is None else 2}")
    pickle.raw(b"((")
    pickle.text("storage")
    if typed is None:
        pickle.named("torch.storage", "UntypedStorage")
    else:
        pickle.named("torch", typed)
    pickle.text(key)
    pickle.text("cpu")
    pickle.number(count)
    pickle.raw(b"tQK\0")
    pickle.numbers(shape)
    pickle.numbers(strides)
    pickle.raw(b"\x89")
    pickle.named("collections", "OrderedDict")
    pickle.raw(b")R")
    if typed is None:
        pickle.named("torch", _UNTYPED[tensor.dtype])
    pickle.raw(b"tR")


class _Pickle:
    """Opcodes under way; names that are imported are memoized, as they come again and again."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._memo: dict[tuple[str, str], int] = {}

    def written(self) -> bytes:
        return self._out.getvalue()

    def raw(self, opcodes: bytes) -> None:
        self._out.write(opcodes)

    def text(self, text: str) -> None:
        data = text.encode()
        self.raw(b"X" + struct.pack("<I", len(data)) + data)

    def number(self, number: int) -> None:
        if number < 1 << 31:
            self.raw(b"J" + struct.pack("<i", number))
        else:
            self.raw(b"\x8a\x08" + struct.pack("<q", number))

    def numbers(self, numbers: Sequence[int]) -> None:
        self.raw(b"(")
        for number in numbers:
            self.number(number)
        self.raw(b"t")

    def named(self, module: str, name: str) -> None:
        known = self._memo.get((module, name))
        if known is not None:
            self.raw(b"h" + bytes([known]))
            return
        known = self._memo[module, name] = len(self._memo)
        self.raw(f"c{module}\n{name}\n".encode() + b"q" + bytes([known]))
