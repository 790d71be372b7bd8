"""Values that lie in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelhub.convert.readers.opened import OpenFile
from modelhub.convert.values import Place, Values
from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.tensor_data import StoredTensor, read_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.formats.torchfile.quantised import PerTensor


class StoredValues(Values):
    """A tensor of a file as it is stored there."""

    def __init__(self, file: OpenFile, tensor: StoredTensor) -> None:
        self.dtype = tensor.dtype
        self.shape = tensor.shape
        self._file = file
        self._tensor = tensor

    def pieces(self) -> Iterator[bytes | memoryview]:
        """As :meth:`Values.pieces`.

        :raises SourceChanged: it became shorter, or another file, since it was opened.
        """
        path, tensor = self._file.path, self._tensor
        try:
            yield from read_values(self._file.descriptor, tensor)
        except FormatError as error:
            self._file.check_unchanged()
            reason = f"{tensor.name[:200]}: {error.reason}"
            raise FormatError(reason, path=path, offset=error.offset) from error
        except FileUnreadable as error:
            self._file.check_unchanged()
            raise FileUnreadable(f"cannot read {path}: {error.message}") from error
        except OSError as error:
            raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error

    @property
    def place(self) -> Place | None:
        """Where they lie, unless they are scattered or have to be mended."""
        if not self._tensor.is_plain:
            return None
        return Place(self._file.descriptor, self._tensor.position)


class Dequantised(Values):
    """The numbers that the integers of a quantised tensor stand for, in fp32.

    As ``Tensor.dequantize`` gives them: ``scale * (integer - zero point)``.

    :param integers: of any type of integers.
    :param scales: of the one axis that has several, or the scale and zero point of all.
    """

    dtype = "F32"

    def __init__(self, integers: Values, scales: PerTensor | Channels) -> None:
        self.shape = integers.shape
        self._integers = integers
        self._scales = scales

    def pieces(self) -> Iterator[bytes | memoryview]:
        """As :meth:`Values.pieces`."""
        import numpy as np

        code = {"I8": "<i1", "U8": "<u1", "I32": "<i4"}[self._integers.dtype]
        start = 0
        for piece in self._integers.pieces():
            numbers = np.frombuffer(piece, code)
            scale, zero_point = self._at(start, len(numbers))
            yield ((numbers - zero_point).astype("<f4") * scale).astype("<f4").data.cast("B")
            start += len(numbers)

    def _at(self, start: int, count: int) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
        """Scale and zero point of the elements from `start` on, or of all."""
        import numpy as np

        if isinstance(self._scales, Channels):
            return self._scales.at(start, count)
        scale, zero_point = self._scales.scale, self._scales.zero_point
        return np.array(scale, np.float32), np.array(zero_point, np.int64)


class Channels:
    """Scales and zero points by the indices of one axis.

    :param scales: F64, read once.
    :param zero_points: I64, read once.
    :param shape: of the tensor that they are of.
    """

    def __init__(
        self, scales: Values, zero_points: Values, shape: tuple[int, ...], axis: int
    ) -> None:
        import numpy as np

        # Of channels, torch multiplies in fp64 and rounds once (native/quantized/cpu/kernels).
        self._scales = np.frombuffer(_whole(scales), "<f8")
        self._zero_points = np.frombuffer(_whole(zero_points), "<i8")
        self._count = shape[axis]
        self._inner = int(np.prod(shape[axis + 1 :], dtype=np.int64))

    def at(self, start: int, count: int) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
        """Those of the elements from `start` on, in the order of their indices."""
        import numpy as np

        channels = np.arange(start, start + count) // self._inner % self._count
        return self._scales[channels], self._zero_points[channels]


def _whole(values: Values) -> bytes:
    return b"".join(bytes(piece) for piece in values.pieces())
