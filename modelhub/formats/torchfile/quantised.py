"""What the integers of quantised tensors stand for.

Format: ``torch/_utils.py`` (``_rebuild_qtensor``), ``torch/_tensor.py`` (``_reduce_ex_internal``):
``(torch.per_tensor_affine, scale, zero point)``, or ``(torch.per_channel_affine, scales, zero
points, axis)`` with tensors of one number for each index of the axis. A number is
``scale * (integer - zero point)``, in fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from modelhub.formats.pickles import Global

if TYPE_CHECKING:
    from modelhub.formats.torchfile.tensors import TorchTensor

INTEGERS = {"QINT8": "I8", "QUINT8": "U8", "QINT32": "I32"}
"""By quantised type, that of the integers as they are stored."""


@dataclass(frozen=True, slots=True)
class PerTensor:
    """One scale and one zero point for all of a tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class PerChannel:
    """A scale and a zero point for each index of one axis."""

    scales: TorchTensor
    zero_points: TorchTensor
    axis: int


Quantizer: TypeAlias = PerTensor | PerChannel


def quantizer(
    value: object, tensor: TorchTensor, made: Callable[[object], TorchTensor | None]
) -> Quantizer | None:
    """What an argument of ``_rebuild_qtensor`` says; None where it cannot be used.

    :param made: the tensor that a record stands for, if it does for one.
    :raises FormatError: a tensor of scales or zero points is described wrongly.
    """
    if not isinstance(value, tuple) or not value or not isinstance(value[0], Global):
        return None
    scheme = value[0].name
    if scheme == "per_tensor_affine" and len(value) == 3:
        scale, zero_point = value[1:]
        if isinstance(scale, float) and type(zero_point) is int and abs(zero_point) < 1 << 31:
            return PerTensor(scale, zero_point)
    elif scheme == "per_channel_affine" and len(value) == 4:
        scales, zero_points, axis = made(value[1]), made(value[2]), value[3]
        if scales is None or zero_points is None or type(axis) is not int:
            return None
        if not 0 <= axis < len(tensor.shape):
            return None
        channels = (tensor.shape[axis],)
        if scales.shape == zero_points.shape == channels and (
            (scales.dtype, zero_points.dtype) == ("F64", "I64")
        ):
            return PerChannel(scales, zero_points, axis)
    return None
