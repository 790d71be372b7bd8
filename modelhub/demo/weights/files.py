"""Writes tensor tables, with values from a seed, as safetensors and as torch zip files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from modelhub.demo.weights.tables import ITEM_SIZES, WHOLE_NUMBERS, Table, Tensor
from modelhub.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ALIGNMENT = 64
"""Of storages within a torch zip file."""
_STORAGES = {
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "I64": "LongStorage",
    "I32": "IntStorage",
}


def _numpy() -> Any:
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra(
            "the demo models cannot be made: numpy is not installed",
            hint="run `pip install 'modelhub[demo]'`",
        ) from error
    return np


def seeded_values(table: Table, seed: int) -> Iterator[bytes]:
    """The values of each tensor in turn, little-endian; the same for a seed in every precision.

    Weights are of the size that keeps activations in range; norms are near one, biases near zero.

    :raises MissingExtra: numpy is not installed.
    """
    np = _numpy()
    generator = np.random.Generator(np.random.PCG64(seed))
    for tensor in table:
        yield _values(np, generator, tensor).tobytes()


def _values(np: Any, generator: np.random.Generator, tensor: Tensor) -> NDArray[Any]:
    if tensor.dtype in WHOLE_NUMBERS:
        values: NDArray[Any] = np.arange(tensor.count, dtype=_numpy_type(tensor))
        return values
    if tensor.name.endswith(".alpha"):
        return np.full(tensor.shape, 1.0, dtype=_numpy_type(tensor))  # type: ignore[no-any-return]
    drawn = generator.standard_normal(tensor.count, dtype=np.float32)
    if tensor.name.endswith("bias"):
        drawn *= 0.01
    elif len(tensor.shape) <= 1:
        drawn = 1 + drawn * 0.01
    else:
        drawn /= max(1.0, float(tensor.count / tensor.shape[0])) ** 0.5
    return drawn.astype(_numpy_type(tensor))


def _numpy_type(tensor: Tensor) -> str:
    return {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}[tensor.dtype]


def write_safetensors(path: Path, table: Table, seed: int, metadata: Mapping[str, str]) -> None:
    """Write `table` with seeded values; the header is padded so that data starts at 8 bytes.

    The format is that of the ``safetensors`` project's README.

    :raises MissingExtra: numpy is not installed.
    """
    # Wider elements first: then each tensor is aligned to its own element size.
    ordered = sorted(table, key=lambda tensor: -ITEM_SIZES[tensor.dtype])
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    position = 0
    for tensor in ordered:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [position, position + tensor.nbytes],
        }
        position += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for data in seeded_values(ordered, seed):
            stream.write(data)


def write_torch_zip(path: Path, table: Table, seed: int, *, before: bytes = b"") -> None:
    """Write `table` as a state dict in the zip form of ``torch.save`` (since torch 1.6).

    :param before: pickle opcodes that run before the state dict is built, and leave the stack as
        it was: what a malicious file has there.
    :raises MissingExtra: numpy is not installed.
    """
    with path.open("wb") as stream, zipfile.ZipFile(stream, "w") as archive:
        _add(archive, stream, "archive/data.pkl", _state_dict_pickle(table, before))
        _add(archive, stream, "archive/byteorder", b"little")
        for index, data in enumerate(seeded_values(table, seed)):
            _add(archive, stream, f"archive/data/{index}", data)
        _add(archive, stream, "archive/version", b"3\n")


def _add(archive: zipfile.ZipFile, stream: BinaryIO, name: str, data: bytes) -> None:
    """Store a member with its data aligned, by a padding field as torch's own writer does it."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    start = stream.tell() + 30 + len(name) + 4
    padding = -start % _ALIGNMENT
    info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(info, data)


def _state_dict_pickle(table: Table, before: bytes) -> bytes:
    out = io.BytesIO()
    out.write(b"\x80\x02" + before + b"ccollections\nOrderedDict\n)R(")
    for index, tensor in enumerate(table):
        out.write(_text(tensor.name))
        out.write(b"ctorch._utils\n_rebuild_tensor_v2\n((")
        out.write(_text("storage") + f"ctorch\n{_STORAGES[tensor.dtype]}\n".encode())
        out.write(_text(str(index)) + _text("cpu") + _int(tensor.count) + b"tQ")
        out.write(_int(0) + _int_tuple(tensor.shape) + _int_tuple(_strides(tensor.shape)))
        out.write(b"\x89ccollections\nOrderedDict\n)RtR")
    out.write(b"u.")
    return out.getvalue()


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _int_tuple(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(_int(value) for value in values) + b"t"


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)


def system_call(command: str) -> bytes:
    """Opcodes that run `command` in a shell when they are loaded: for files that must never be."""
    return b"cposix\nsystem\n(" + _text(command) + b"tR0"
