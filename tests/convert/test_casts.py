from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.convert.casts import can_cast, cast, lost_to_fp16
from modelhub.errors import UsageError
from modelhub.formats.tensor_data import ITEM_SIZES

TORCH = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu", "I64": "int64", "I32": "int32",
    "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
HARD = [
    0.0, -0.0, 1.0, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 65504.0, 65519.996,
    65520.0, -65520.0, 2**-24, 2**-25, 2**-25 * 1.0000001, 6.1e-5, 1e-40, 3.4028235e38, 3.39e38,
    float("inf"), float("-inf"), float("nan"),
]  # fmt: skip
"""Ties, the edges of fp16 and bf16, denormals, and what is no finite number."""


def by_torch(data: bytes, source: str, target: str) -> bytes:
    import torch

    numbers = torch.frombuffer(bytearray(data), dtype=getattr(torch, TORCH[source]))
    found: bytes = numbers.to(getattr(torch, TORCH[target])).view(torch.uint8).numpy().tobytes()
    return found


def numbers_of(data: bytes, dtype: str) -> np.ndarray[Any, Any]:
    """Of a type of floating point, as fp64."""
    import torch

    numbers = torch.frombuffer(bytearray(data), dtype=getattr(torch, TORCH[dtype]))
    found: np.ndarray[Any, Any] = numbers.to(torch.float64).numpy()
    return found


def assert_same(data: bytes, source: str, target: str) -> None:
    """The very bits that torch gives, but for those of numbers that are none."""
    ours, theirs = cast(data, source, target).tobytes(), by_torch(data, source, target)
    if ours != theirs:
        size = ITEM_SIZES[target]
        mine, yours = (np.frombuffer(one, f"u{size}") for one in (ours, theirs))
        where = np.flatnonzero(mine != yours)
        assert np.isnan(numbers_of(ours, target)[where]).all()
        assert np.isnan(numbers_of(theirs, target)[where]).all()


@pytest.mark.parametrize("target", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("source", ["F16", "BF16"])
def test_every_half_is_cast_as_torch_does_it(source: str, target: str) -> None:
    assert_same(np.arange(1 << 16, dtype="<u2").tobytes(), source, target)


@pytest.mark.parametrize("target", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("source", [name for name in TORCH if name.startswith("F8")])
def test_every_byte_of_an_8_bit_type_is_cast_as_torch_does_it(source: str, target: str) -> None:
    assert_same(bytes(range(256)), source, target)


@pytest.mark.parametrize("target", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("source", ["F64", "F32"])
def test_ties_edges_and_denormals_are_rounded_as_torch_does_it(source: str, target: str) -> None:
    code = {"F64": "<f8", "F32": "<f4"}[source]
    with np.errstate(over="ignore"):
        assert_same(np.array(HARD, code).tobytes(), source, target)


@pytest.mark.parametrize("target", ["F16", "BF16"])
@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=64))
def test_any_bits_of_fp32_are_cast_as_torch_does_it(target: str, bits: list[int]) -> None:
    assert_same(np.array(bits, "<u4").tobytes(), "F32", target)


@pytest.mark.parametrize("target", ["F16", "BF16"])
@given(st.lists(st.floats(), min_size=1, max_size=64))
def test_any_number_of_fp64_is_cast_as_torch_does_it(target: str, numbers: list[float]) -> None:
    assert_same(np.array(numbers, "<f8").tobytes(), "F64", target)


@pytest.mark.parametrize(("source", "target"), [("F32", "I64"), ("I64", "I32"), ("BOOL", "F16")])
def test_whole_numbers_are_cast_as_torch_does_it(source: str, target: str) -> None:
    code = {"F32": "<f4", "I64": "<i8", "BOOL": "?"}[source]
    assert_same(np.arange(77).astype(code).tobytes(), source, target)


def test_types_without_a_way_between_them_are_refused() -> None:
    assert not can_cast("C64", "F16")
    assert not can_cast("F32", "F8_E4M3")
    assert can_cast("C64", "C64")
    with pytest.raises(UsageError):
        cast(bytes(8), "C64", "F16")
    with pytest.raises(UsageError):
        cast(bytes(4), "F32", "F8_E4M3")


def test_what_fp16_loses_is_told_apart_from_what_was_infinite_before() -> None:
    numbers = np.array([1, 65519, np.inf, -np.inf, np.nan], "<f4")
    assert lost_to_fp16(numbers) == (0.0, 0, 3)
    assert lost_to_fp16(np.array([65519.9, -7e4, 1e9, np.nan], "<f4")) == (1e9, 2, 1)
    assert lost_to_fp16(np.array([], "<f4")) == (0.0, 0, 0)


@given(st.lists(st.floats(width=32), max_size=32))
def test_what_is_lost_is_what_the_cast_makes_infinite(numbers: list[float]) -> None:
    data = np.array(numbers, "<f4")
    infinite = np.isinf(cast(data.tobytes(), "F32", "F16"))
    largest, count, odd = lost_to_fp16(data)
    assert count == int((infinite & np.isfinite(data)).sum())
    assert largest == float(np.abs(data[infinite & np.isfinite(data)]).max(initial=0))
    assert odd == (0 if np.abs(data).max(initial=0) < 65520 else int((~np.isfinite(data)).sum()))
