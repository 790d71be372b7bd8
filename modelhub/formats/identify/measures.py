"""Precision and number of parameters of the small kinds of files, counted cheaply.

A LoRA has hundreds of tensors of one dtype: one pass that collects the dtypes is enough for it,
and the number of parameters follows from the length of the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod
from operator import attrgetter
from typing import NamedTuple

from modelhub.formats.identity import Evidence
from modelhub.formats.tensors import FileFormat, Header

_DTYPES: dict[str, tuple[str, int]] = {
    "F64": ("fp64", 8),
    "F32": ("fp32", 4),
    "F16": ("fp16", 2),
    "BF16": ("bf16", 2),
    "F8_E4M3": ("fp8", 1),
    "F8_E5M2": ("fp8", 1),
    "I8": ("int8", 1),
    "U8": ("quantized", 1),
}
_DTYPE_OF = attrgetter("dtype")
_MAJORITY = 0.9
"""What part of the numbers one dtype must have for the file to be called by it."""


class Size(NamedTuple):
    """How much a file holds, and in which precision."""

    parameters: int | None
    precision: str | None
    because: str

    def evidence(self) -> Iterator[Evidence]:
        """Why both are said, as far as they are."""
        if self.precision is not None:
            yield Evidence("precision", self.precision, self.because)
        if self.parameters is not None:
            yield Evidence("parameters", str(self.parameters), "numbers of all tensors")


def measure(header: Header) -> Size:
    """Parameters and precision of all the tensors of `header`."""
    tensors = header.tensors
    dtypes = set(map(_DTYPE_OF, tensors.values()))
    if len(dtypes) == 1:
        dtype = dtypes.pop()
        named = _DTYPES.get(dtype)
        # Only safetensors has data without holes; elsewhere the shapes are asked, and so they are
        # where nobody has said where the data start (a table that Civitai published).
        length = header.size - header.data_start
        whole = header.data_start > 0 and length > 0 and not header.parts
        if named and whole and header.format is FileFormat.SAFETENSORS:
            count = length // named[1]
        else:
            count = sum(prod(tensor.shape) for tensor in tensors.values())
        precision = named[0] if named else dtype
        return Size(count, precision, f"all {len(tensors)} tensors are {dtype}")
    return _of_several(header)


def _of_several(header: Header) -> Size:
    counts: Counter[str] = Counter()
    for tensor in header.tensors.values():
        counts[tensor.dtype] += prod(tensor.shape)
    total = sum(counts.values())
    if not total:
        return Size(0, None, "no tensor holds a number")
    dtype, most = counts.most_common(1)[0]
    share = most / total
    if share < _MAJORITY:
        shares = ", ".join(f"{count / total:.0%} {name}" for name, count in counts.most_common())
        return Size(total, "mixed", shares)
    precision = _DTYPES[dtype][0] if dtype in _DTYPES else dtype
    return Size(total, precision, f"{share:.0%} of the numbers are {dtype}")
