from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelhub.convert.computed import numbers_of
from modelhub.convert.lora import LoraKeys, lora_plan, merge_plan
from modelhub.convert.options import ConvertOptions, Precision
from modelhub.convert.plan import summarize
from modelhub.convert.planning import Plan
from modelhub.convert.readers import Source
from modelhub.errors import ConversionRefused, FormatError, UsageError

from . import made
from .conftest import Write

AS_IT_IS = ConvertOptions()
CROSS = f"lora_unet_{made.CROSS}"
CONV = f"lora_unet_{made.CONV}"


def weight(source: Source, stem: str) -> NDArray[np.float32]:
    return numbers_of(source.tensors[f"{made.ORIGINAL[stem]}.weight"])


def merged_weight(plan: Plan, stem: str) -> NDArray[np.float32]:
    name = f"{made.ORIGINAL[stem]}.weight"
    return numbers_of(next(one.values for one in plan.tensors if one.name == name))


def changed(plan: Plan, source: Source) -> set[str]:
    return {one.name for one in plan.tensors if one.values is not source.tensors[one.name]}


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) * np.float32(0.1)


def test_each_touched_weight_is_the_base_and_the_scaled_product(
    checkpoint: Source, opened: Write
) -> None:
    tensors = made.lora(alpha=2.0)
    plan = merge_plan(checkpoint, [(opened(tensors), 0.8)], AS_IT_IS)
    for stem, shape in made.SHAPES.items():
        expected = weight(checkpoint, stem) + 0.8 * made.difference(tensors, stem).reshape(shape)
        np.testing.assert_allclose(merged_weight(plan, stem), expected, atol=1e-6)
    touched = {f"{name}.weight" for name in made.ORIGINAL.values()}
    assert changed(plan, checkpoint) == touched == plan.added
    assert {one.name for one in plan.dropped} == touched
    sizes = (one.nbytes for one in checkpoint.tensors.values())
    assert summarize(plan).before.nbytes == sum(sizes)


def test_a_lora_in_the_names_of_diffusers_merges_the_same(
    checkpoint: Source, opened: Write
) -> None:
    kohya = opened(made.lora(alpha=2.0))
    diffusers = opened(made.computed(lora_plan(kohya, key_format=LoraKeys.DIFFUSERS)))
    one = merge_plan(checkpoint, [(kohya, 1.0)], AS_IT_IS)
    other = merge_plan(checkpoint, [(diffusers, 1.0)], AS_IT_IS)
    for stem in made.SHAPES:
        np.testing.assert_allclose(
            merged_weight(one, stem), merged_weight(other, stem), rtol=1e-6, atol=1e-7
        )


def test_several_loras_add_up_and_negative_strengths_take_away(
    checkpoint: Source, opened: Write
) -> None:
    first, second = made.lora(alpha=2.0), made.lora({CROSS: (32, 768)}, rank=8)
    plan = merge_plan(checkpoint, [(opened(first), 0.5), (opened(second), -1.0)], AS_IT_IS)
    expected = (
        weight(checkpoint, CROSS)
        + 0.5 * made.difference(first, CROSS)
        - made.difference(second, CROSS)
    )
    np.testing.assert_allclose(merged_weight(plan, CROSS), expected, atol=1e-6)
    assert plan.metadata["modelspec.merged_from"] == "base, made0, made1"
    assert plan.operation.endswith("merged made0.safetensors 0.5 + made1.safetensors -1")


def test_the_sum_is_rounded_once_to_the_asked_type(
    checkpoint: Source, opened: Write, tmp_path: Path
) -> None:
    tensors = made.lora(alpha=2.0)
    options = ConvertOptions(dtype=Precision.FP16)
    plan = merge_plan(checkpoint, [(opened(tensors), 1.0)], options)
    after = made.written(plan, tmp_path / "merged.safetensors")
    exact = weight(checkpoint, CROSS) + made.difference(tensors, CROSS)
    found = after[f"{made.ORIGINAL[CROSS]}.weight"]
    assert found.dtype == np.float16
    assert np.abs(found.astype("<f8") - exact).max() <= np.abs(exact).max() * 2**-11 * 1.01
    assert plan.identity.architecture == "sd1"
    assert plan.identity.kind == "checkpoint"


def test_a_tucker_core_goes_between_the_factors(checkpoint: Source, opened: Write) -> None:
    down, mid, up = draw(4, 32, 1, 1), draw(3, 4, 3, 3, seed=1), draw(64, 3, 1, 1, seed=2)
    tensors = {
        f"{CONV}.lora_down.weight": down,
        f"{CONV}.lora_mid.weight": mid,
        f"{CONV}.lora_up.weight": up,
        f"{CONV}.alpha": np.array(2, "<f4"),
    }
    plan = merge_plan(checkpoint, [(opened(tensors), 1.0)], AS_IT_IS)
    product = np.einsum("mnkl,om,ni->oikl", mid, up[..., 0, 0], down[..., 0, 0])
    np.testing.assert_allclose(
        merged_weight(plan, CONV), weight(checkpoint, CONV) + product * 2 / 4, atol=1e-6
    )


def test_loha_is_the_product_of_two_products_number_by_number(
    checkpoint: Source, opened: Write
) -> None:
    a1, b1, a2, b2 = (
        draw(*shape, seed=seed) * 5
        for seed, shape in enumerate(((32, 4), (4, 768), (32, 4), (4, 768)))
    )
    tensors = {
        f"{CROSS}.hada_w1_a": a1,
        f"{CROSS}.hada_w1_b": b1,
        f"{CROSS}.hada_w2_a": a2,
        f"{CROSS}.hada_w2_b": b2,
        f"{CROSS}.alpha": np.array(2, "<f4"),
    }
    plan = merge_plan(checkpoint, [(opened(tensors), 0.5)], AS_IT_IS)
    expected = weight(checkpoint, CROSS) + 0.5 * (2 / 4) * (a1 @ b1) * (a2 @ b2)
    np.testing.assert_allclose(merged_weight(plan, CROSS), expected, atol=1e-5)


def test_loha_of_a_convolution_has_a_core_in_each_product(
    checkpoint: Source, opened: Write
) -> None:
    tensors = {
        f"{CONV}.hada_t1": draw(4, 4, 3, 3, seed=1),
        f"{CONV}.hada_w1_a": draw(4, 64, seed=2),
        f"{CONV}.hada_w1_b": draw(4, 32, seed=3),
        f"{CONV}.hada_t2": draw(4, 4, 3, 3, seed=4) * 50,
        f"{CONV}.hada_w2_a": draw(4, 64, seed=5) * 50,
        f"{CONV}.hada_w2_b": draw(4, 32, seed=6) * 50,
    }
    plan = merge_plan(checkpoint, [(opened(tensors), 1.0)], AS_IT_IS)
    products = [
        np.einsum(
            "ijkl,jr,ip->prkl",
            tensors[f"{CONV}.hada_t{one}"],
            tensors[f"{CONV}.hada_w{one}_b"],
            tensors[f"{CONV}.hada_w{one}_a"],
        )
        for one in (1, 2)
    ]
    np.testing.assert_allclose(
        merged_weight(plan, CONV), weight(checkpoint, CONV) + products[0] * products[1], atol=1e-3
    )


@pytest.mark.parametrize("parts", ["whole", "second in two", "both in two"])
def test_lokr_is_a_kronecker_product_scaled_where_a_factor_has_a_rank(
    parts: str, checkpoint: Source, opened: Write
) -> None:
    first, second = draw(4, 8, seed=1), draw(8, 96, seed=2)
    tensors: dict[str, NDArray[Any]] = {f"{CROSS}.alpha": np.array(1, "<f4")}
    scale = 1.0
    if parts == "both in two":
        a, b = draw(4, 3, seed=3), draw(3, 8, seed=4)
        first = a @ b
        tensors |= {f"{CROSS}.lokr_w1_a": a, f"{CROSS}.lokr_w1_b": b}
    else:
        tensors[f"{CROSS}.lokr_w1"] = first
    if parts == "whole":
        tensors[f"{CROSS}.lokr_w2"] = second
    else:
        a, b = draw(8, 2, seed=5), draw(2, 96, seed=6)
        second, scale = a @ b, 0.5
        tensors |= {f"{CROSS}.lokr_w2_a": a, f"{CROSS}.lokr_w2_b": b}
    plan = merge_plan(checkpoint, [(opened(tensors), 1.0)], AS_IT_IS)
    expected = weight(checkpoint, CROSS) + scale * np.kron(first, second)
    np.testing.assert_allclose(merged_weight(plan, CROSS), expected, atol=1e-6)


def test_lokr_of_a_convolution_has_the_kernel_in_its_second_factor(
    checkpoint: Source, opened: Write
) -> None:
    first, second = draw(8, 4, seed=1), draw(8, 8, 3, 3, seed=2)
    tensors = {f"{CONV}.lokr_w1": first, f"{CONV}.lokr_w2": second}
    plan = merge_plan(checkpoint, [(opened(tensors), 1.0)], AS_IT_IS)
    expected = weight(checkpoint, CONV) + np.kron(first[:, :, None, None], second)
    np.testing.assert_allclose(merged_weight(plan, CONV), expected, atol=1e-6)


@pytest.mark.parametrize("by", ["outputs", "inputs"])
def test_dora_brings_the_sum_to_its_magnitudes(by: str, checkpoint: Source, opened: Write) -> None:
    tensors = made.lora({CROSS: (32, 768)}, alpha=2.0)
    axis = 1 if by == "outputs" else 0
    shape = (32, 1) if by == "outputs" else (1, 768)
    magnitudes = np.abs(draw(*shape, seed=9)) + 1
    tensors[f"{CROSS}.dora_scale"] = magnitudes
    plan = merge_plan(checkpoint, [(opened(tensors), 0.5)], AS_IT_IS)
    base = weight(checkpoint, CROSS).astype("<f8")
    whole = base + made.difference(tensors, CROSS)
    full = whole * magnitudes / np.linalg.norm(whole, axis=axis, keepdims=True)
    np.testing.assert_allclose(merged_weight(plan, CROSS), base + 0.5 * (full - base), atol=1e-5)


def test_whole_differences_are_added_to_weights_biases_and_norms(
    checkpoint: Source, opened: Write
) -> None:
    norm = "lora_unet_down_blocks_0_attentions_0_norm"
    tensors = {
        f"{CONV}.diff": draw(64, 32, 3, 3),
        f"{CONV}.diff_b": draw(64, seed=1),
        f"{norm}.w_norm": draw(32, seed=2),
        f"{norm}.b_norm": draw(32, seed=3),
    }
    plan = merge_plan(checkpoint, [(opened(tensors), 0.5)], AS_IT_IS)
    place = "model.diffusion_model.input_blocks"
    expected = {
        f"{place}.4.0.in_layers.2.weight": tensors[f"{CONV}.diff"],
        f"{place}.4.0.in_layers.2.bias": tensors[f"{CONV}.diff_b"],
        f"{place}.1.1.norm.weight": tensors[f"{norm}.w_norm"],
        f"{place}.1.1.norm.bias": tensors[f"{norm}.b_norm"],
    }
    after = {one.name: one.values for one in plan.tensors}
    assert changed(plan, checkpoint) == set(expected)
    for name, added in expected.items():
        base = numbers_of(checkpoint.tensors[name])
        np.testing.assert_allclose(numbers_of(after[name]), base + 0.5 * added, atol=1e-6)


def test_three_layers_of_a_lora_go_into_the_one_tensor_of_open_clip(opened: Write) -> None:
    block = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight"
    sdxl = opened(
        {block: draw(96, 32, seed=1), "conditioner.embedders.1.model.text_projection": draw(32, 32)}
    )
    layer = "lora_te2_text_model_encoder_layers_0_self_attn"
    tensors = made.lora({f"{layer}_k_proj": (32, 32), "lora_te2_text_projection": (32, 32)})
    plan = merge_plan(sdxl, [(opened(tensors), 1.0)], AS_IT_IS)
    after = made.computed(plan)
    before = made.arrays(sdxl)
    found = after[block] - before[block]
    np.testing.assert_allclose(found[32:64], made.difference(tensors, f"{layer}_k_proj"), atol=1e-6)
    assert not found[:32].any()
    assert not found[64:].any()
    name = "conditioner.embedders.1.model.text_projection"
    np.testing.assert_allclose(
        (after[name] - before[name]).T,
        made.difference(tensors, "lora_te2_text_projection"),
        atol=1e-6,
    )


def test_a_lora_of_diffusers_goes_into_the_joined_tensors_of_flux(opened: Write) -> None:
    names = ("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight")
    flux = opened({names[0]: draw(48, 16), names[1]: draw(112, 16, seed=1)})
    stems = ("transformer_blocks.0.attn.to_v", "single_transformer_blocks.0.proj_mlp")
    tensors = {}
    for number, (stem, rows) in enumerate(zip(stems, (16, 64), strict=True)):
        tensors[f"transformer.{stem}.lora_A.weight"] = draw(2, 16, seed=number + 3)
        tensors[f"transformer.{stem}.lora_B.weight"] = draw(rows, 2, seed=number + 5)
    after = made.computed(merge_plan(flux, [(opened(tensors), 1.0)], AS_IT_IS))
    before = made.arrays(flux)
    for name, stem, start in ((names[0], stems[0], 32), (names[1], stems[1], 48)):
        product = (
            tensors[f"transformer.{stem}.lora_B.weight"]
            @ tensors[f"transformer.{stem}.lora_A.weight"]
        )
        found = after[name] - before[name]
        assert not found[:start].any()
        np.testing.assert_allclose(found[start:], product, atol=1e-6)


def test_layers_without_a_module_are_told_of(checkpoint: Source, opened: Write) -> None:
    tensors = made.lora() | made.lora({"lora_unet_down_blocks_9_nothing": (4, 4)})
    plan = merge_plan(checkpoint, [(opened(tensors), 1.0)], AS_IT_IS)
    assert any("1 of 7 layers" in one and "blocks_9_nothing" in one for one in plan.notices)


def test_a_lora_for_another_model_is_refused_with_both_their_names(
    checkpoint: Source, opened: Write
) -> None:
    block = "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k"
    with pytest.raises(ConversionRefused, match=r"made for sdxl, and .* is sd1"):
        merge_plan(checkpoint, [(opened(made.lora({block: (640, 2048)})), 1.0)], AS_IT_IS)
    with pytest.raises(ConversionRefused, match="made for sd2"):
        merge_plan(checkpoint, [(opened(made.lora({CROSS: (32, 1024)})), 1.0)], AS_IT_IS)


def test_families_that_are_not_merged_are_refused(checkpoint: Source, opened: Write) -> None:
    tensors = {f"{CROSS}.oft_blocks": draw(4, 8, 8), f"{CROSS}.alpha": np.array(1, "<f4")}
    with pytest.raises(ConversionRefused, match="oft_blocks"):
        merge_plan(checkpoint, [(opened(tensors), 1.0)], AS_IT_IS)


def test_a_strength_that_is_no_number_is_refused(checkpoint: Source, opened: Write) -> None:
    with pytest.raises(UsageError):
        merge_plan(checkpoint, [(opened(made.lora()), float("nan"))], AS_IT_IS)


def test_values_that_are_no_numbers_stop_the_merge_and_not_the_plan(
    checkpoint: Source, opened: Write
) -> None:
    tensors = made.lora()
    tensors[f"{CROSS}.lora_up.weight"][0, 0] = np.nan
    plan = merge_plan(checkpoint, [(opened(tensors), 1.0)], AS_IT_IS)
    with pytest.raises(FormatError, match="no numbers"):
        merged_weight(plan, CROSS)
