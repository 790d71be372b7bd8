"""Which tensors are cast, and into what."""

from __future__ import annotations

import pytest

from modelhub.convert.options import ConvertOptions, Precision
from modelhub.convert.plan import make_plan
from modelhub.convert.planning import Plan
from modelhub.formats.identify.parts import Role
from tests.convert.made import Made, MadeSource, made
from tests.convert.plan.sources import (
    CLIP_L,
    SCHEDULE,
    SD1_UNET,
    SD1_VAE,
    sd1_full,
    sd1_pruned,
    sdxl,
    vae_file,
)

FP16 = ConvertOptions(dtype=Precision.FP16)


def dtypes(plan: Plan, start: str = "") -> set[str]:
    return {one.dtype for one in plan.tensors if one.name.startswith(start)}


def test_each_part_gets_the_precision_that_is_asked_for_it() -> None:
    options = ConvertOptions(
        dtype=Precision.FP16,
        part_dtypes={Role.VAE: Precision.FP32, Role.TEXT_ENCODER: Precision.BF16},
    )
    plan = make_plan(sd1_pruned(), options)
    assert dtypes(plan, "model.diffusion_model.") == {"F16"}
    assert dtypes(plan, "first_stage_model.") == {"F32"}
    assert dtypes(plan, "cond_stage_model.") == {"BF16", "I64"}
    assert plan.operation == "fp16, vae fp32, text encoder bf16"


def test_one_part_alone_can_be_cast() -> None:
    plan = make_plan(sd1_pruned(), ConvertOptions(part_dtypes={Role.UNET: Precision.BF16}))
    assert dtypes(plan, "model.diffusion_model.") == {"BF16"}
    assert dtypes(plan, "first_stage_model.") == {"F32"}


def test_a_component_alone_is_the_part_that_it_is() -> None:
    plan = make_plan(vae_file(), ConvertOptions(part_dtypes={Role.VAE: Precision.BF16}))
    assert dtypes(plan) == {"BF16"}


def test_numbers_of_the_schedule_and_counters_keep_their_type() -> None:
    plan = make_plan(sd1_full(), FP16)
    by_name = {one.name: one.dtype for one in plan.tensors}
    assert {by_name[name] for name in SCHEDULE} == {"F32"}
    assert by_name["model_ema.decay"] == "F32"
    assert by_name["model_ema.num_updates"] == "I32"


@pytest.mark.parametrize("dtype", ["I64", "I32", "U8", "BOOL", "C64"])
def test_what_is_no_floating_point_number_is_never_cast(dtype: str) -> None:
    source = MadeSource({"layer.mask": Made("layer.mask", dtype, (4,))})
    assert dtypes(make_plan(source, FP16)) == {dtype}


def test_weights_in_fp8_are_widened_where_that_is_asked_for() -> None:
    source = MadeSource(made((SD1_UNET, "F8_E4M3"), SD1_VAE))
    assert dtypes(make_plan(source, FP16)) == {"F16"}


@pytest.mark.parametrize(
    "scale", ["input_blocks.0.0.scale_weight", "input_blocks.0.0.weight_scale", "scaled_fp8"]
)
def test_a_part_of_scaled_weights_is_not_cast_and_that_is_told(scale: str) -> None:
    name = "model.diffusion_model." + scale
    source = MadeSource(made((SD1_UNET, "F8_E4M3"), {name: (1,)}, SD1_VAE))
    plan = make_plan(source, FP16)
    assert dtypes(plan, "model.diffusion_model.") == {"F8_E4M3", "F32"}
    assert dtypes(plan, "first_stage_model.") == {"F16"}
    assert plan.notices == ("quantised weights are not cast: model.diffusion_model.",)


def test_marks_of_how_a_model_was_trained_keep_their_type() -> None:
    source = MadeSource({**sdxl().tensors, "v_pred": Made("v_pred", "F32", (0,))})
    assert dtypes(make_plan(source, FP16), "v_pred") == {"F32"}


def test_casting_the_vae_of_sdxl_to_fp16_is_warned_of() -> None:
    assert "black images" in make_plan(sdxl(), FP16).notices[0]
    wide = ConvertOptions(dtype=Precision.FP16, part_dtypes={Role.VAE: Precision.FP32})
    assert make_plan(sdxl(), wide).notices == ()
    assert make_plan(sdxl("F16"), FP16).notices == ()
    assert make_plan(sd1_pruned(), FP16).notices == ()


def test_positions_are_told_by_their_type_and_not_by_their_part() -> None:
    plan = make_plan(sd1_pruned(), FP16)
    assert dtypes(plan, CLIP_L + "embeddings.position_ids") == {"I64"}
