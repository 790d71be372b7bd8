"""8-bit weights with a factor beside each: the numbers are their product.

Sources: ``comfyanonymous/ComfyUI`` ``comfy/utils.py`` (``convert_old_quants``: ``scaled_fp8``,
``.scale_weight``, ``.scale_input``), ``comfy/ops.py`` and ``QUANTIZATION.md`` (``.weight_scale``,
``.input_scale``, ``.comfy_quant``). What is said of inputs is for arithmetic in 8 bits, which is
not done here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod

from modelhub.convert.casts import decode
from modelhub.convert.computed import numbers_of
from modelhub.convert.values import Planned, Values
from modelhub.convert.views import Rows
from modelhub.errors import CannotRender
from modelhub.formats.tensor_data import ITEM_SIZES
from modelhub.render.pipelines.arithmetic import SCALED

_FACTORS = (".scale_weight", ".weight_scale")
_OF_INPUTS = (".scale_input", ".input_scale")
_MARK = "scaled_fp8"
_FORMAT = ".comfy_quant"
_FORMATS = ("float8_e4m3fn", "float8_e5m2")
_SECOND = ".weight_scale_2"
_LONGEST_FORMAT = 4096
_FLOATS = frozenset({"F8_E4M3", "F8_E5M2", "F16", "BF16", "F32"})
_FLOATS_OF_FACTORS = frozenset({"F16", "BF16", "F32"})
_NUMBERS = 1 << 18
"""That are made at a time."""


def multiplied(path: str, tensors: Mapping[str, Planned]) -> Mapping[str, Planned]:
    """The tensors with their factors in them, and without what stands beside.

    :param path: of their file, for errors.
    :param tensors: by their names without a prefix.
    :raises CannotRender: they are quantised in another way.
    :raises FormatError, FileUnreadable: what says how they are cannot be read.
    """
    if not any(name.endswith((*_FACTORS, _FORMAT, _SECOND)) for name in tensors):
        return {name: one for name, one in tensors.items() if name != _MARK}
    found: dict[str, Planned] = {}
    factors: dict[str, Values] = {}
    for name, one in tensors.items():
        if name.endswith(_FORMAT):
            _require_plain(path, name, one.values)
        elif name.endswith(_SECOND):
            raise _other(path, f"{name} is a second factor, as nvfp4 has them")
        elif name.endswith(_FACTORS):
            factors[f"{name.rpartition('.')[0]}.weight"] = one.values
        elif not name.endswith(_OF_INPUTS) and name != _MARK:
            found[name] = one
    for name, factor in factors.items():
        if name not in found:
            raise _other(path, f"there is a factor of {name}, and no such tensor")
        product = _product(path, name, found[name].values, factor)
        found[name] = Planned(name, product, product.dtype)
    return found


def _require_plain(path: str, name: str, values: Values) -> None:
    """Check that a layer's format is one whose numbers have one factor, or one for each row."""
    if values.dtype != "U8" or values.nbytes > _LONGEST_FORMAT:
        raise _other(path, f"{name} names no format")
    try:
        told = json.loads(b"".join(bytes(piece) for piece in values.pieces()))
    except ValueError as error:
        raise _other(path, f"{name} names no format") from error
    named = told.get("format") if isinstance(told, dict) else None
    if named not in _FORMATS:
        raise _other(path, f"{name} says {str(named)[:40]!r}")


def _product(path: str, name: str, values: Values, factor: Values) -> Values:
    if values.dtype not in _FLOATS or factor.dtype not in _FLOATS_OF_FACTORS:
        raise _other(path, f"{name} is of type {values.dtype}, its factor of {factor.dtype}")
    rows = values.shape[0] if values.shape else 1
    if prod(factor.shape) != 1 and (
        factor.shape[:1] != (rows,) or prod(factor.shape) != rows or len(values.shape) < 2
    ):
        raise _other(
            path, f"{name} has factors of the shape {list(factor.shape)[:8]}, of blocks perhaps"
        )
    return Product(values, factor)


def _other(path: str, told: str) -> CannotRender:
    return CannotRender(
        f"{path} has weights that are quantised in a way that is not read here: {told[:300]}",
        hint="take the file of the same model in bf16, fp16, fp8, or as a GGUF file",
    )


class Product(Values):
    """Numbers times the one factor of all, or the one of their row, in fp32.

    :param values: floating-point numbers.
    :param factor: as many as there are rows, or one.
    """

    dtype = "F32"

    def __init__(self, values: Values, factor: Values) -> None:
        self.shape = values.shape
        self._values = values
        self._factor = factor

    @property
    def stored(self) -> str:
        """The type of the numbers, and that they have factors."""
        return self._values.stored + SCALED

    def rows(self, start: int, stop: int) -> Values | None:
        """``values[start:stop]``, wherever these lie in one piece."""
        if not self.shape or not 0 <= start <= stop <= self.shape[0]:
            return None
        factor = self._factor
        if prod(factor.shape) > 1:
            factor = Rows(factor, start, stop)
        return Product(Rows(self._values, start, stop), factor)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """As :meth:`Values.pieces`."""
        import numpy as np

        factors = numbers_of(self._factor).reshape(-1)
        each, first = prod(self.shape[1:]), 0
        step = _NUMBERS * ITEM_SIZES[self._values.dtype]
        for large in self._values.pieces():
            data = memoryview(large).cast("B")
            for start in range(0, len(data), step):
                numbers = decode(data[start : start + step], self._values.dtype).astype("<f4")
                if len(factors) == 1:
                    numbers *= factors
                else:
                    numbers *= factors[np.arange(first, first + len(numbers)) // each]
                first += len(numbers)
                yield numbers.data.cast("B")
