"""In which precision a part is stored: by numbers, and by what stands beside packed weights."""

from __future__ import annotations

import math
import struct

import pytest

from modelhub.formats.identify import identify
from modelhub.formats.identify.known_vaes import NAMES, VaeMetric, counts_towards, name_of
from modelhub.formats.identify.precision import majority, word
from modelhub.formats.tensors import FileFormat, Header, Tensor

from .layouts import SDXL, Shapes, header


def _flux(dtype: str, beside: dict[str, Tensor]) -> Header:
    tensors = {
        "double_blocks.0.img_attn.norm.key_norm.scale": Tensor("BF16", (128,), (0, 0)),
        "img_in.weight": Tensor("BF16", (3072, 64), (0, 0)),
        "guidance_in.in_layer.weight": Tensor("BF16", (3072, 256), (0, 0)),
        "double_blocks.0.img_attn.qkv.weight": Tensor(dtype, (9216, 3072), (0, 0)),
    }
    return Header(format=FileFormat.SAFETENSORS, tensors=tensors | beside)


_QKV = "double_blocks.0.img_attn.qkv"


@pytest.mark.parametrize(
    ("dtype", "companion", "of", "precision", "per_byte"),
    [
        ("U8", f"{_QKV}.weight.quant_state.bitsandbytes__nf4", "U8", "nf4", 2),
        ("U8", f"{_QKV}.weight.quant_state.bitsandbytes__fp4", "U8", "fp4", 2),
        ("U8", f"{_QKV}.weight_scale_2", "F32", "nvfp4", 2),
        ("I8", f"{_QKV}.SCB", "F32", "int8", 1),
        ("F8_E4M3", f"{_QKV}.scale_weight", "F32", "fp8", 1),
        ("F8_E4M3", f"{_QKV}.weight_scale", "U8", "mxfp8", 1),
        ("F8_E4M3", "scaled_fp8", "F8_E4M3", "fp8", 1),
    ],
)
def test_packed_weights_are_named_by_what_stands_beside_them(
    dtype: str, companion: str, of: str, precision: str, per_byte: int
) -> None:
    found = identify(_flux(dtype, {companion: Tensor(of, (2,), (0, 0))}))
    assert found.architecture == "flux"
    assert found.precision == precision
    weights = 9216 * 3072 * per_byte
    assert found.parameters is not None
    assert weights < found.parameters < weights * 1.05


def test_a_model_of_two_halves_is_mixed_and_says_how_much_of_each() -> None:
    assert majority({"F16": 600, "F32": 400}) == ("mixed", "60 % fp16, 40 % fp32")


def test_a_few_norms_in_fp32_do_not_make_it_mixed() -> None:
    name, because = majority({"F8_E4M3": 9_700, "F32": 300}) or ("", "")
    assert name == "fp8"
    assert because == "97 % fp8, 3 % fp32"


def test_numbers_decide_and_not_how_many_tensors_there_are() -> None:
    large: Shapes = {"model.diffusion_model.huge": (1 << 32,)}
    found = identify(header(*SDXL, (large, "BF16")))
    assert found.precisions["unet"] == "mixed"


def test_counters_are_of_no_precision() -> None:
    assert majority({"I64": 77, "BOOL": 3}) is None
    assert majority({"I64": 77, "F16": 3}) == ("fp16", "all numbers are fp16")


@pytest.mark.parametrize(
    ("dtype", "called"),
    [("F16", "fp16"), ("F8_E5M2", "fp8"), ("Q4_K", "Q4_K"), ("IQ4_XS", "IQ4_XS"), ("I8", "int8")],
)
def test_types_have_the_names_that_people_use(dtype: str, called: str) -> None:
    assert word(dtype) == called


@pytest.mark.parametrize(
    ("file_type", "precision"), [("15", "Q4_K_M"), ("1", "fp16"), ("", "Q4_K"), ("9999", "Q4_K")]
)
def test_a_gguf_file_names_its_own_quantisation(file_type: str, precision: str) -> None:
    tensors = {
        "double_blocks.0.img_attn.norm.key_norm.scale": Tensor("F32", (128,), (0, 0)),
        "img_in.weight": Tensor("F32", (3072, 64), (0, 0)),
        "double_blocks.0.img_attn.qkv.weight": Tensor("Q4_K", (9216, 3072), (0, 0)),
        "double_blocks.0.img_attn.proj.weight": Tensor("Q6_K", (3072, 3072), (0, 0)),
    }
    metadata = {"general.architecture": "flux", "general.file_type": file_type}
    found = identify(Header(format=FileFormat.GGUF, tensors=tensors, metadata=metadata))
    assert (found.architecture, found.precision) == ("flux", precision)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_the_number_of_a_vae_is_the_same_in_every_precision(dtype: str) -> None:
    # Powers of two, which all three types hold exactly.
    weights = [0.5, -0.25, 2.0, 0.0, 1.0]
    packed = {
        "F16": struct.pack("<5e", *weights),
        "F32": struct.pack("<5f", *weights),
        "BF16": b"".join(struct.pack("<f", one)[2:] for one in weights),
    }[dtype]
    metric = VaeMetric()
    metric.add(dtype, packed)
    assert metric.value() == pytest.approx(sum(1 / (1 + math.exp(-one)) - 0.5 for one in weights))


def test_known_vaes_are_named_by_that_number() -> None:
    assert name_of(17870.7051) == "SD 1"
    assert name_of(17870.7051 * 1.08695) == "SD 2"
    assert name_of(17870.7051 * 0.5) is None
    assert len(NAMES) == len(set(NAMES.values()))


def test_only_encoder_and_decoder_of_a_vae_count() -> None:
    assert counts_towards("first_stage_model.decoder.conv_in.weight")
    assert not counts_towards("first_stage_model.quant_conv.weight")


@pytest.mark.parametrize(("dtype", "data"), [("F64", b"12345678"), ("F16", b"odd")])
def test_what_cannot_be_counted_is_refused(dtype: str, data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be counted"):
        VaeMetric().add(dtype, data)


def test_weights_beyond_half_precision_do_not_break_the_number() -> None:
    metric = VaeMetric()
    metric.add("F32", struct.pack("<3f", 1e30, float("nan"), float("-inf")))
    assert metric.value() == pytest.approx(0.5)
