"""Sources without files: the names and shapes of real ones, with values drawn from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from modelhub.convert.values import Values
from modelhub.formats.digests import Level, rounded
from modelhub.formats.tensor_data import ITEM_SIZES
from modelhub.formats.tensors import FileFormat, Header, Tensor

_PIECE = 1 << 18
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip


class Made(Values):
    """Values drawn from the name of the tensor when they are read, or those that were given.

    Whole numbers count up from 0, as ``position_ids`` do.
    """

    def __init__(
        self, name: str, dtype: str, shape: tuple[int, ...], numbers: Sequence[float] | None = None
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self._numbers = numbers

    def pieces(self) -> Iterator[bytes | memoryview]:
        data = self._data()
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]

    def _data(self) -> bytes:
        count = prod(self.shape)
        if self._numbers is None and self.dtype in ("I64", "I32", "I16", "I8", "U8"):
            return np.arange(count).astype(_NUMPY[self.dtype]).tobytes()
        if self._numbers is None and self.dtype not in (*_NUMPY, "BF16"):
            return bytes(self.nbytes)
        if self._numbers is None:
            seed = np.random.Generator(np.random.PCG64(zlib.crc32(self.name.encode())))
            numbers = seed.standard_normal(count, dtype=np.float32)
        else:
            numbers = np.array(self._numbers, dtype="f8").astype("<f4")
        if self.dtype == "BF16":
            return rounded(numbers.tobytes(), "F32", Level.BF16)
        return numbers.astype(_NUMPY[self.dtype]).tobytes()


@dataclass(frozen=True, slots=True)
class MadeBeside:
    name: str
    nbytes: int


@dataclass(frozen=True)
class MadeSource:
    """What a plan needs of an opened source."""

    tensors: Mapping[str, Values]
    path: Path = Path("/models/made.ckpt")
    format: FileFormat = FileFormat.TORCH_ZIP
    metadata: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    beside: Sequence[MadeBeside] = ()
    shared: Sequence[Sequence[str]] = ()

    @property
    def header(self) -> Header:
        tensors = {
            name: Tensor(one.dtype, one.shape, (0, one.nbytes))
            for name, one in self.tensors.items()
        }
        return Header(
            format=self.format,
            tensors=tensors,
            metadata=self.metadata,
            size=sum(one.nbytes for one in self.tensors.values()),
            extras=self.extras,
        )


def made(
    *parts: Mapping[str, tuple[int, ...]] | tuple[Mapping[str, tuple[int, ...]], str],
) -> dict[str, Values]:
    """Tensors of these shapes, in fp32 or of the type beside them; positions are whole numbers."""
    tensors: dict[str, Values] = {}
    for part in parts:
        shapes, dtype = part if isinstance(part, tuple) else (part, "F32")
        for name, shape in shapes.items():
            of_this = "I64" if name.endswith("position_ids") else dtype
            tensors[name] = Made(name, of_this, shape)
    return tensors


def ema_of(
    tensors: Mapping[str, Values], unwanted: Callable[[str], bool] = lambda name: False
) -> dict[str, Values]:
    """The averages that training keeps of a UNet under ``model.diffusion_model.``, in fp32."""
    twins: dict[str, Values] = {"model_ema.decay": Made("model_ema.decay", "F32", ())}
    twins["model_ema.num_updates"] = Made("model_ema.num_updates", "I32", ())
    for name, one in tensors.items():
        if name.startswith("model.diffusion_model.") and not unwanted(name):
            twin = f"model_ema.{name.removeprefix('model.').replace('.', '')}"
            twins[twin] = Made(twin, "F32", one.shape)
    return twins


def bytes_of(values: Values) -> bytes:
    """All the bytes, and as many as they are said to be."""
    data = b"".join(bytes(piece) for piece in values.pieces())
    assert len(data) == prod(values.shape) * ITEM_SIZES[values.dtype]
    return data
