"""Which known VAE a VAE is, by one number over all its weights, as the model toolkit computes it.

The number is the sum of ``sigmoid(w) - 0.5`` over the weights of encoder and decoder, rounded to
half precision first, so that a VAE and its fp16 copy have the same. Compared with that of SD 1's
own VAE, the first four digits of the difference name the VAE. Two VAEs could share them: a name
found in this way is likely, not certain.

Source: arenasys/stable-diffusion-webui-model-toolkit ``toolkit.py`` (``compute_metric``,
``IDENTIFICATION``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import uint16
    from numpy.typing import NDArray

NAMES: dict[int, str] = {
    0: "SD 1",
    869: "SD 2",
    2982: "NovelAI",
    155: "Waifu Diffusion 1",
    41: "Waifu Diffusion 2",
}
"""Known VAEs by the number that the toolkit gives them."""

_OF_SD1 = 17870.7051
_SCALE = 10_000
_LARGEST = 65504.0
"""Of half precision."""


def counts_towards(name: str) -> bool:
    """Whether a tensor of a VAE counts: those of encoder and decoder do, with any prefix."""
    return "encoder." in name or "decoder." in name


class VaeMetric:
    """The number over the weights of a VAE, fed tensor by tensor."""

    def __init__(self) -> None:
        import numpy

        self._halves = numpy.zeros(1 << 16, numpy.int64)

    def add(self, dtype: str, data: bytes | bytearray | memoryview) -> None:
        """Take the data of one tensor, in pieces of whole numbers if it is large.

        :param dtype: ``F16``, ``BF16`` or ``F32``, little-endian.
        :raises ValueError: another type, or not whole numbers.
        """
        import numpy

        size = {"F16": 2, "BF16": 2, "F32": 4}.get(dtype)
        if size is None or len(data) % size:
            raise ValueError(f"{len(data)} bytes of {dtype} cannot be counted")
        self._halves += numpy.bincount(_halves(dtype, data), minlength=1 << 16)

    def value(self) -> float:
        """The number, of all that was added."""
        import numpy

        numbers = numpy.arange(1 << 16, dtype=numpy.uint16).view(numpy.float16)
        finite = numpy.isfinite(numbers)
        terms = numpy.tanh(numbers[finite].astype(numpy.float64) / 2) / 2 * self._halves[finite]
        return math.fsum(terms.tolist())

    def name(self) -> str | None:
        """The known VAE that has this number; None for none."""
        return name_of(self.value())


def name_of(metric: float) -> str | None:
    """The known VAE with that number over its weights; None for none."""
    number = int(abs(metric / _OF_SD1 - 1) * _SCALE)
    while number >= _SCALE:
        number -= _SCALE // 2
    return NAMES.get(number)


def _halves(dtype: str, data: bytes | bytearray | memoryview) -> NDArray[uint16]:
    """The numbers rounded to half precision, each as its sixteen bits."""
    import numpy

    if dtype == "F16":
        return numpy.frombuffer(data, "<u2").astype(numpy.uint16)
    if dtype == "BF16":
        wide = numpy.frombuffer(data, "<u2").astype(numpy.uint32) << 16
        numbers = wide.view(numpy.float32)
    else:
        numbers = numpy.frombuffer(data, "<f4").astype(numpy.float32)
    numbers = numpy.where(numpy.isfinite(numbers), numbers, 0).clip(-_LARGEST, _LARGEST)
    return numbers.astype(numpy.float16).view(numpy.uint16)
