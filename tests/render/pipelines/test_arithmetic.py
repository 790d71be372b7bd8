"""In which type each part is computed, on devices that need not be at hand."""

from __future__ import annotations

import pytest

from modelhub.convert.options import Precision
from modelhub.render.devices import Device, DeviceKind
from modelhub.render.pipelines.arithmetic import Arithmetic, arithmetic_of_parts
from modelhub.render.request import Recipe

_BOTH = frozenset({Precision.FP16, Precision.BF16})


def _computed(
    parts: dict[str, str],
    native: frozenset[Precision] = _BOTH,
    kind: DeviceKind = DeviceKind.CUDA,
    precision: Precision | None = None,
) -> dict[str, str]:
    device = Device(kind, 0, "a device", 24 << 30, 24 << 30, native=native, threads=1)
    recipe = Recipe(model="/model", precision=precision)
    dtypes = {name: (dtype,) for name, dtype in parts.items()}
    return {
        name: one.computed.value
        for name, one in arithmetic_of_parts(dtypes, recipe, device).items()
    }


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("BF16", "bf16"), ("F16", "fp16"), ("F8_E4M3", "bf16"), ("F32", "fp32")],
)
def test_text_encoders_are_computed_as_their_transformer_is(stored: str, expected: str) -> None:
    parts = {"transformer": stored, "text_encoder": "F32", "text_encoder_2": "F16", "vae": "F32"}
    found = _computed(parts)
    assert found["transformer"] == expected
    assert found["text_encoder"] == found["text_encoder_2"] == expected
    assert found["vae"] == "fp32"


def test_without_bf16_an_fp8_transformer_is_computed_in_fp16() -> None:
    parts = {"transformer": "F8_E4M3", "text_encoder_2": "BF16", "vae": "BF16"}
    assert set(_computed(parts, frozenset({Precision.FP16})).values()) == {"fp16"}


def test_an_fp8_unet_is_computed_in_fp16_as_ever() -> None:
    assert _computed({"unet": "F8_E4M3", "text_encoder": "BF16", "vae": "F32"}) == {
        "unet": "fp16",
        "text_encoder": "bf16",
        "vae": "fp32",
    }


def test_a_precision_that_is_asked_for_holds_for_all_parts() -> None:
    parts = {"transformer": "BF16", "text_encoder": "F16", "vae": "F32"}
    assert set(_computed(parts, precision=Precision.FP16).values()) == {"fp16"}


def test_a_cpu_computes_everything_in_fp32() -> None:
    parts = {"transformer": "BF16", "text_encoder": "F16", "vae": "F8_E4M3"}
    assert set(_computed(parts, frozenset(), DeviceKind.CPU).values()) == {"fp32"}


@pytest.mark.parametrize(
    ("stored", "label"),
    [
        (("Q4_K", "Q6_K", "F32"), "Q4_K"),
        (("BF16", "F8_E4M3 scaled", "F32"), "fp8"),
        (("BF16 scaled",), "bf16"),
        (("F16", "Q8_0"), "Q8_0"),
        (("F16", "F32"), "mixed"),
    ],
)
def test_quantised_weights_are_called_by_the_type_of_most_and_are_exact_in_fp32_alone(
    stored: tuple[str, ...], label: str
) -> None:
    def found(kind: DeviceKind, precision: Precision | None = None) -> Arithmetic:
        device = Device(kind, 0, "a device", 24 << 30, 24 << 30, native=_BOTH, threads=1)
        recipe = Recipe(model="/model", precision=precision)
        return arithmetic_of_parts({"transformer": stored}, recipe, device)["transformer"]

    on_cpu = found(DeviceKind.CPU)
    assert on_cpu.words == f"{label} weights, fp32 arithmetic"
    assert on_cpu.exact
    assert found(DeviceKind.CPU, Precision.FP32).rounding is None
    assert found(DeviceKind.CPU, Precision.FP16).rounding is Precision.FP16
    on_gpu = found(DeviceKind.CUDA)
    assert on_gpu.computed is Precision.BF16
    assert not on_gpu.exact
