"""Tensors, out of the inert records that would rebuild them.

Format: ``torch/_utils.py`` (``_rebuild_*``), ``torch/serialization.py`` (``persistent_load``) and
``torch/storage.py`` (``_dtype_to_storage_type_map``). A tensor is a call of one of the rebuilding
functions with a storage, an offset and strides in elements, and a shape; its storage is a
persistent id ``("storage", torch.FloatStorage, key, device, count of elements)``, in the legacy
form with a view of it: ``(view key, offset, count)``. What makes a tensor of another one (a
parameter, a subclass, a tensor for another device) is looked through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod

from modelhub.errors import FormatError
from modelhub.formats.pickles import Call, Global, PersistentId, Skipped
from modelhub.formats.torchfile.arrays import Array, array, number
from modelhub.formats.torchfile.quantised import Quantizer, quantizer
from modelhub.formats.torchfile.strings import Content, Strings

_MAX_DIMENSIONS = 64
_INT64 = 1 << 63

_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16",
    "BFloat16Storage": "BF16", "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16",
    "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
    "ComplexDoubleStorage": "C128", "ComplexFloatStorage": "C64", "QInt8Storage": "QINT8",
    "QInt32Storage": "QINT32", "QUInt8Storage": "QUINT8", "QUInt4x2Storage": "QUINT4X2",
    "QUInt2x4Storage": "QUINT2X4", "UntypedStorage": "U8", "_UntypedStorage": "U8",
}  # fmt: skip

TYPES = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16",
    "half": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
    "bool": "BOOL", "complex32": "C32", "complex64": "C64", "complex128": "C128",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0", "float4_e2m1fn_x2": "F4",
    "qint8": "QINT8", "qint32": "QINT32", "quint8": "QUINT8",
}  # fmt: skip
"""By torch's name of a type, that of safetensors."""

ITEM_SIZES = {
    "C128": 16, "F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "C32": 4,
    "QINT32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
}  # fmt: skip
"""Bytes of an element by dtype, where it is not one."""

_REBUILD = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"}
_WRAPPERS = {
    "_rebuild_parameter", "_rebuild_parameter_with_state", "Parameter",
    "_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor",
}  # fmt: skip
_METADATA = {"_rebuild_tensor_v2": 6, "_rebuild_tensor_v3": 7}
"""Which argument says whether the tensor is a conjugated or negated view."""
_MAX_WRAPPERS = 8


@dataclass(frozen=True, slots=True)
class Storage:
    """A row of elements in the file.

    :param numel: how many elements.
    :param position: of its first byte in the file, or None where that was not looked up.
    :param content: the string of the pickle that it is within, if it is; `position` counts there.
    """

    key: str
    dtype: str
    numel: int
    position: int | None
    content: Content | None = None

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return self.numel * item_size(self.dtype)


@dataclass(frozen=True, slots=True)
class TorchTensor:
    """A view of a storage: shape, stride and offset in elements, positions in bytes."""

    dtype: str
    """As safetensors names it; torch's own name in capitals where safetensors has none."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    storage_key: str
    """Empty where there is none, but an array of numpy in the pickle itself."""
    position: int | None
    """Of the first element in the file, or in `content`; None where that was not looked up."""
    storage_bytes: int
    """The size of the storage in the file."""
    content: Content | None = None
    """The string of the pickle that holds the values, of numpy's arrays and nested storages."""
    swapped: bool = False
    """A big-endian array of numpy. That of a whole file is :attr:`TorchFile.byteorder`."""
    conjugated: bool = False
    """A view whose imaginary parts are to be negated."""
    negated: bool = False
    quantizer: Quantizer | None = None
    """What the integers of a quantised tensor stand for; None also where that is not known."""

    @property
    def nbytes(self) -> int:
        """The size of its values, each for itself, in bytes."""
        return prod(self.shape) * item_size(self.dtype)


def item_size(dtype: str) -> int:
    """Bytes of an element."""
    return ITEM_SIZES.get(dtype, 1)


class Storages:
    """The storages of a file, by key.

    :param places: position (or None) and size in bytes of what the file has under each key.
    :param offset: where the pickle is that names them, for error messages.
    :param nested: opens a storage that is a torch file within the pickle, as bytes.
    :param strings: those of the pickle.
    """

    def __init__(
        self,
        places: Mapping[str, tuple[int | None, int]],
        offset: int = 0,
        nested: Callable[[object], Storage | None] | None = None,
        strings: Strings | None = None,
    ) -> None:
        self.places = places
        self.offset = offset
        self.strings = strings or Strings()
        self._nested = nested
        self.used: dict[str, Storage] = {}
        """Those that a tensor was made of."""

    def within(self, call: Call) -> Storage | None:
        """The storage that ``torch.storage._load_from_bytes`` would give, where it can be read.

        :raises FormatError: the torch file within is damaged.
        """
        if self._nested is None or not isinstance(call.args, tuple) or len(call.args) != 1:
            return None
        storage = self._nested(call.args[0])
        if storage is not None:
            self.used[storage.key] = storage
        return storage

    def find(self, pid: object) -> tuple[Storage, int]:
        """The storage that a persistent id names, and the offset of the view in elements.

        :raises FormatError: it names none that the file has, or one of another size.
        """
        key, dtype, numel, shift = parse_storage(pid, self.offset)
        known = self.used.get(key)
        if known is not None and known.dtype == dtype and known.numel == numel:
            return known, shift
        place = self.places.get(key)
        if place is None:
            raise FormatError(f"storage {key} is not in the file", offset=self.offset)
        storage = Storage(key, dtype, numel, place[0])
        if storage.nbytes > place[1]:
            raise FormatError(
                f"storage {key} has {place[1]:,} bytes, not {storage.nbytes:,}",
                offset=place[0] or self.offset,
            )
        self.used[key] = storage
        return storage, shift


def parse_storage(pid: object, at: int) -> tuple[str, str, int, int]:
    """Key, dtype, elements, and the view's offset of a storage's persistent id.

    :raises FormatError: it is not of that form.
    """
    if isinstance(pid, tuple) and 5 <= len(pid) <= 6 and pid[0] in ("storage", b"storage"):
        kind, key, numel = pid[1], pid[2], pid[4]
        dtype = _STORAGES.get(kind.name) if isinstance(kind, Global) else None
        shift = 0
        if len(pid) == 6 and isinstance(pid[5], tuple) and len(pid[5]) == 3:
            shift = _count(pid[5][1], at)
        if isinstance(key, (str, int)) and dtype is not None:
            return str(key), dtype, _count(numel, at), shift
    raise FormatError("a storage that is described in no known way", offset=at)


class Rebuilder:
    """Makes :class:`TorchTensor` of records.

    :param by_id: tensors that are persistent ids themselves (the tar form).
    """

    def __init__(self, storages: Storages, by_id: Mapping[str, TorchTensor] | None = None) -> None:
        self._storages = storages
        self._by_id = by_id or {}
        self._unread: dict[int, str] = {}
        self._in_quantizer = False

    def number(self, value: object) -> float | int | None:
        """The value of a numpy scalar, or None where `value` is none."""
        return number(value, self._storages.strings)

    @property
    def unread(self) -> Counter[str]:
        """Kinds of tensors that were met and are not read (sparse ones, ...), with their count."""
        return Counter(self._unread.values())

    def tensor(self, value: object) -> TorchTensor | None:
        """The tensor that `value` stands for, or None where it is none.

        :raises FormatError: shape, stride or offset reach out of the storage.
        """
        for _ in range(_MAX_WRAPPERS):
            if isinstance(value, PersistentId) and self._by_id:
                return self._by_id.get(str(value.pid))
            if not isinstance(value, Call) or not isinstance(value.callable, Global):
                return None
            function, args = value.callable, value.args
            name = function.name
            if name == "_rebuild_from_type_v2" and isinstance(args, tuple) and len(args) == 4:
                value = Call(args[0], args[2])
            elif name in _WRAPPERS and isinstance(args, tuple) and args:
                value = args[0]
            elif name in _REBUILD and isinstance(args, tuple) and len(args) >= 4:
                return self._rebuilt(name, args)
            elif function.module.startswith("numpy"):
                found = array(value, self._storages.strings, self._storages.offset)
                return None if found is None else _of_array(found)
            else:
                if name.startswith("_rebuild_"):
                    self._unread[id(value)] = name
                return None
        return None

    def _rebuilt(self, name: str, args: tuple[object, ...]) -> TorchTensor | None:
        at = self._storages.offset
        if isinstance(args[0], PersistentId):
            storage, shift = self._storages.find(args[0].pid)
        elif isinstance(args[0], Call):
            within = self._storages.within(args[0])
            if within is None:
                self._unread[id(args)] = name
                return None
            storage, shift = within, 0
        else:
            raise FormatError("a tensor without a storage", offset=at)
        dtype = storage.dtype
        if name == "_rebuild_tensor_v3" and len(args) >= 7:
            named = args[6]
            dtype = TYPES.get(named.name, "") if isinstance(named, Global) else ""
            if not dtype:
                raise FormatError("a tensor of an unknown type", offset=at)
        found = view(storage, dtype, (_count(args[1], at) + shift, args[2], args[3]), at)
        if name == "_rebuild_qtensor" and len(args) >= 5:
            return replace(found, quantizer=self._quantizer(args[4], found))
        index = _METADATA.get(name, len(args))
        flips = args[index] if index < len(args) else None
        if isinstance(flips, dict) and flips:
            conjugated, negated = (flips.get(key) is True for key in ("conj", "neg"))
            return replace(found, conjugated=conjugated, negated=negated)
        return found

    def _quantizer(self, value: object, tensor: TorchTensor) -> Quantizer | None:
        if self._in_quantizer:  # scales that are quantised themselves, over and over
            return None
        self._in_quantizer = True
        try:
            return quantizer(value, tensor, self.tensor)
        finally:
            self._in_quantizer = False


def view(storage: Storage, dtype: str, layout: tuple[int, object, object], at: int) -> TorchTensor:
    """A tensor of `storage`.

    :param layout: offset, shape and stride, in elements.
    :param at: where the file says so, for error messages.
    :raises FormatError: it reaches out of its storage, or beyond 64 bits.
    """
    offset, shape, stride = layout[0], _counts(layout[1], at), _counts(layout[2], at)
    if len(shape) != len(stride):
        raise FormatError("a tensor whose shape and stride differ in length", offset=at)
    size = item_size(dtype)
    if 0 not in shape:
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if (last + 1) * size > storage.nbytes:
            raise FormatError(
                f"a tensor of shape {list(shape)} reaches out of storage {storage.key}", offset=at
            )
    elements = 1
    for n in shape:
        elements *= n
    if elements >= _INT64 or offset >= _INT64:
        raise FormatError(f"a tensor of {elements:,} elements", offset=at)
    position = None if storage.position is None else storage.position + offset * size
    return TorchTensor(
        dtype, shape, stride, offset, storage.key, position, storage.nbytes, storage.content
    )


def _of_array(found: Array) -> TorchTensor:
    in_file = isinstance(found.content, Skipped) and not found.content.is_text
    content = None if in_file else found.content
    position = found.content.offset if isinstance(found.content, Skipped) and in_file else 0
    return TorchTensor(
        dtype=found.dtype,
        shape=found.shape,
        stride=found.stride,
        offset=0,
        storage_key="",
        position=position,
        storage_bytes=found.nbytes,
        content=content,
        swapped=found.swapped,
    )


def _counts(value: object, at: int) -> tuple[int, ...]:
    if isinstance(value, Call) and isinstance(value.args, tuple) and len(value.args) == 1:
        value = value.args[0]  # torch.Size((2, 3))
    if isinstance(value, (tuple, list)) and len(value) <= _MAX_DIMENSIONS:
        return tuple(_count(one, at) for one in value)
    raise FormatError("a tensor without a proper shape or stride", offset=at)


def _count(value: object, at: int) -> int:
    if type(value) is int and 0 <= value < _INT64:
        return value
    raise FormatError("a shape, stride, offset or count that is no proper number", offset=at)
