"""Averaged weights: swapped in, dropped, kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.convert.options import ConvertOptions, Ema, Extract, Precision
from modelhub.convert.plan import make_plan
from modelhub.convert.plan.ema_names import full_name
from modelhub.convert.planning import Reason, Renamed
from modelhub.errors import ConversionRefused
from modelhub.formats.identify.parts import Role
from tests.convert.made import Made, MadeBeside, MadeSource, ema_of, made
from tests.convert.plan.sources import SD1_CLIP, SD1_UNET, SD1_VAE, sd1_full, sd1_pruned
from tests.formats.identify.layouts import listed

IN = "model.diffusion_model.input_blocks.0.0.weight"
IN_EMA = "model_ema.diffusion_modelinput_blocks00weight"


def test_swapping_puts_the_averages_under_the_names_of_the_weights() -> None:
    source = sd1_full()
    plan = make_plan(source, ConvertOptions(ema=Ema.SWAP))
    by_name = {one.name: one for one in plan.tensors}
    assert by_name[IN].values is source.tensors[IN_EMA]
    assert Renamed(IN_EMA, IN) in plan.renamed
    assert not any(name.startswith("model_ema.") for name in by_name)
    gone = {one.name: one.reason for one in plan.dropped}
    assert gone[IN] is Reason.NOT_EMA
    assert gone["model_ema.decay"] is gone["model_ema.num_updates"] is Reason.EMA
    assert plan.notices == ()


def test_averages_take_the_places_of_the_weights_in_the_order_too() -> None:
    source = sd1_full()
    plan = make_plan(source, ConvertOptions(ema=Ema.SWAP))
    kept = [name for name in source.tensors if not name.startswith("model_ema.")]
    assert [one.name for one in plan.tensors] == kept


def test_averages_in_fp32_are_cast_like_the_part_that_they_become() -> None:
    weights = made((SD1_UNET, "F16"), (SD1_VAE, "F16"), (SD1_CLIP, "F16"))
    source = MadeSource({**weights, **ema_of(weights)})
    options = ConvertOptions(part_dtypes={Role.UNET: Precision.BF16}, ema=Ema.SWAP)
    by_name = {one.name: one for one in make_plan(source, options).tensors}
    assert (by_name[IN].values.dtype, by_name[IN].dtype) == ("F32", "BF16")


def test_a_kept_twin_is_cast_as_the_unet_is_unless_it_is_named() -> None:
    source = sd1_full()
    as_unet = ConvertOptions(part_dtypes={Role.UNET: Precision.FP16})
    named = ConvertOptions(
        part_dtypes={Role.UNET: Precision.FP16, Role.EMA: Precision.BF16}, ema=Ema.KEEP
    )
    assert {one.name: one.dtype for one in make_plan(source, as_unet).tensors}[IN_EMA] == "F16"
    plan = make_plan(source, named)
    kept = {one.name: one.dtype for one in plan.tensors}
    assert kept[IN_EMA] == "BF16"
    assert kept["model_ema.decay"] == "F32"
    assert plan.operation == "unet fp16, ema bf16, ema kept"


def test_weights_without_a_twin_stay_and_are_told() -> None:
    weights = made(SD1_UNET, SD1_VAE)
    lacking = ("model.diffusion_model.out.2.weight", "model.diffusion_model.out.2.bias")
    source = MadeSource({**weights, **ema_of(weights, lambda name: name in lacking)})
    plan = make_plan(source, ConvertOptions(ema=Ema.SWAP))
    by_name = {one.name: one for one in plan.tensors}
    assert by_name[lacking[0]].values is source.tensors[lacking[0]]
    assert plan.notices == (
        f"2 weights have no EMA twin and stay: {lacking[1]}, {lacking[0]}",
    ) or plan.notices == (f"2 weights have no EMA twin and stay: {lacking[0]}, {lacking[1]}",)


def test_a_twin_of_another_shape_is_refused() -> None:
    source = sd1_full()
    wrong = {**source.tensors, IN_EMA: Made(IN_EMA, "F32", (320, 9, 3, 3))}
    with pytest.raises(ConversionRefused, match=r"has the shape \[320, 9, 3, 3\]"):
        make_plan(MadeSource(wrong), ConvertOptions(ema=Ema.SWAP))


def test_a_twin_of_two_weights_is_refused() -> None:
    two = {"model.diffusion_model.a.bc": (2,), "model.diffusion_model.ab.c": (2,)}
    source = MadeSource(made(two, {"model_ema.diffusion_modelabc": (2,)}))
    with pytest.raises(ConversionRefused, match="as well as of"):
        make_plan(source, ConvertOptions(ema=Ema.SWAP))


def test_what_is_no_average_is_never_passed_off_as_one() -> None:
    with pytest.raises(ConversionRefused, match="there are no EMA weights to swap in") as refused:
        make_plan(sd1_pruned(), ConvertOptions(ema=Ema.SWAP))
    assert "without --ema" in refused.value.hint


def test_averages_that_stand_alone_are_not_pruned_away() -> None:
    source = MadeSource({**ema_of(made(SD1_UNET)), **made(SD1_VAE, SD1_CLIP)})
    plan = make_plan(source, ConvertOptions(prune=True))
    assert IN_EMA in {one.name for one in plan.tensors}
    assert plan.notices == ("the EMA weights are the only ones of their part, and stay",)
    with pytest.raises(ConversionRefused, match="the only ones of their part"):
        make_plan(source, ConvertOptions(ema=Ema.DROP))


def test_averages_that_stand_alone_become_the_weights() -> None:
    source = MadeSource({**ema_of(made(SD1_UNET)), **made(SD1_VAE, SD1_CLIP)})
    plan = make_plan(source, ConvertOptions(ema=Ema.SWAP))
    names = {one.name for one in plan.tensors}
    assert names == {*SD1_UNET, *SD1_VAE, *SD1_CLIP}
    assert Renamed(IN_EMA, IN) in plan.renamed
    assert plan.identity.architecture == "sd1"
    assert len(plan.notices) == 1
    unet = make_plan(source, ConvertOptions(ema=Ema.SWAP, extract=Extract.UNET))
    assert len(unet.tensors) == len(SD1_UNET)


def test_averages_that_stand_alone_stay_nameless_where_one_follows_no_known_module() -> None:
    odd = Made("model_ema.diffusion_modelcontrol_block0weight", "F32", (4,))
    source = MadeSource({**ema_of(made(SD1_UNET)), odd.name: odd, **made(SD1_VAE)})
    with pytest.raises(ConversionRefused, match="the only ones of their part"):
        make_plan(source, ConvertOptions(ema=Ema.SWAP))


@pytest.mark.parametrize(
    "name", ["UNET-v1-SD", "UNET-v1-Inpainting", "UNET-v2-SD", "UNET-XL-SD", "UNET-XL-Refiner"]
)
def test_the_dots_of_every_published_unet_are_told_from_its_names_without(name: str) -> None:
    weights = listed(name, "model.diffusion_model.")
    assert len(weights) > 600
    for weight in weights:
        average = "model_ema." + weight.removeprefix("model.").replace(".", "")
        assert full_name(average) == weight


@given(st.text("0123456789inputblocks_weightmiddle", max_size=40))
def test_a_name_that_is_told_has_the_same_letters(text: str) -> None:
    average = f"model_ema.diffusion_model{text}weight"
    told = full_name(average)
    assert told is None or told.replace(".", "") == "model" + average.partition(".")[2]


def test_a_vae_has_twins_as_well() -> None:
    name, twin = "first_stage_model.decoder.conv_in.weight", (
        "first_stage_model.model_ema.decoderconv_inweight"
    )  # fmt: skip
    source = MadeSource({**sd1_pruned().tensors, twin: Made(twin, "F32", (512, 4, 3, 3))})
    swapped = {o.name: o for o in make_plan(source, ConvertOptions(ema=Ema.SWAP)).tensors}
    assert swapped[name].values is source.tensors[twin]
    alone = make_plan(source, ConvertOptions(extract=Extract.VAE))
    assert len(alone.tensors) == len(SD1_VAE)


def test_averages_beside_the_model_cannot_be_swapped_in() -> None:
    source = MadeSource(sd1_pruned().tensors, beside=[MadeBeside("ema.model.weight", 4)])
    with pytest.raises(ConversionRefused, match=r"beside the other \(ema\.model\.weight\)"):
        make_plan(source, ConvertOptions(ema=Ema.SWAP))
