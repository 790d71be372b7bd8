from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.convert.options import Precision
from modelhub.errors import UsageError
from modelhub.render.axes import MOST_CELLS, Axis, AxisKind, Value, parse_axis

FP16, FP32, BF16 = Precision.FP16, Precision.FP32, Precision.BF16


@pytest.mark.parametrize(
    ("text", "values", "labels"),
    [
        ("dtype", (FP16, FP32, BF16), ("fp16", "fp32", "bf16")),
        ("dtype=FP32,stored", (FP32, None), ("fp32", "as stored")),
        ("lora-weight=0,0.5,1", (0.0, 0.5, 1.0), ("LoRA 0", "LoRA 0.5", "LoRA 1")),
        ("lora-weight=-1..1..0.5", (-1.0, -0.5, 0.0, 0.5, 1.0), None),
        ("lora-weight:detail=1", (1.0,), ("detail 1",)),
        ("lora=none,/l/ink.safetensors", (None, "/l/ink.safetensors"), ("no LoRA", "ink")),
        ("vae=baked,/v/mse.pt", (None, "/v/mse.pt"), ("baked VAE", "mse")),
        ("ema", (False, True), ("not EMA", "EMA")),
        ("ema=yes", (True,), ("EMA",)),
        ("steps=10..30..10", (10, 20, 30), ("steps 10", "steps 20", "steps 30")),
        ("steps=1..3,8", (1, 2, 3, 8), None),
        ("cfg=4..10..2.5", (4.0, 6.5, 9.0), ("CFG 4", "CFG 6.5", "CFG 9")),
        ("sampler=Euler a, DPM++ 2M", ("Euler a", "DPM++ 2M"), ("Euler a", "DPM++ 2M")),
        ("clip-skip", (1, 2), ("clip skip 1", "clip skip 2")),
        ("seed=18446744073709551614..18446744073709551615", (2**64 - 2, 2**64 - 1), None),
        ('prompt="a cat, red", a dog,', ("a cat, red", "a dog", ""), None),
        (' DTYPE = "fp16" ', (FP16,), None),
        ("steps=5,5,5..6", (5, 6), None),
    ],
)
def test_an_axis_is_read_as_it_is_written(
    text: str, values: tuple[Value, ...], labels: tuple[str, ...] | None
) -> None:
    axis = parse_axis(text)
    assert axis.values == values
    assert [type(one) for one in axis.values] == [type(one) for one in values]
    if labels is not None:
        assert axis.labels() == labels


def test_files_and_the_vae_come_from_the_command_where_no_values_are_given() -> None:
    files = ("/m/a.safetensors", "/m/b.ckpt", "/m/a.safetensors")
    assert parse_axis("file", files=files).labels() == ("a", "b")
    assert parse_axis("vae", vae="/v/mse.pt").values == (None, "/v/mse.pt")


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    axis = parse_axis("file=/new/a.safetensors,/old/a.safetensors,/old/b.ckpt")
    assert axis.labels() == ("/new/a.safetensors", "/old/a.safetensors", "b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour", "no such axis"),
        ("", "no such axis"),
        ("file", "no values"),
        ("vae", "no values"),
        ("sampler", "no values"),
        ("steps=", "no values"),
        ("dtype=fp8", "'fp8' is not fp16, fp32, bf16 or stored"),
        ("steps=0", "'0' is not a number of steps from 1 to 1000"),
        ("steps=2.5", "'2.5' is not"),
        ("steps=" + "9" * 5000, "is not a number of steps"),
        ("cfg=nan", "'nan' is not a CFG scale"),
        ("cfg=inf", "'inf' is not"),
        ("lora-weight=11", "'11' is not a weight"),
        ("lora-weight=1..0", "leads nowhere"),
        ("lora-weight=0..1..0", "leads nowhere"),
        ("seed=0..99999999", f"more than {MOST_CELLS}"),
        ("seed=" + ",".join(map(str, range(500))), f"more than {MOST_CELLS}"),
        ("seed=-1", "'-1' is not a seed"),
        ("ema=maybe", "'maybe' is not yes or no"),
        ("clip-skip=0", "is not a clip skip"),
        ('prompt="never closed', "quotes do not pair up"),
        ("prompt=" + "x" * 100_001, "too many"),
        ("steps:detail=1,2", "only lora-weight"),
    ],
)
def test_what_cannot_be_varied_so_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as refused:
        parse_axis(text)
    assert len(refused.value.message) < 300


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(AxisKind), st.text(max_size=40))
def test_any_text_is_an_axis_or_a_usage_error(kind: AxisKind, values: str) -> None:
    try:
        axis = parse_axis(f"{kind}={values}")
    except UsageError:
        return
    assert isinstance(axis, Axis)
    assert len(axis.labels()) == len(axis.values) >= 1
