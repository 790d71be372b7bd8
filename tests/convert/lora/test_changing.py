from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelhub.convert.lora import Keep, LoraKeys, RankRule, lora_plan
from modelhub.convert.options import Precision
from modelhub.convert.plan import summarize
from modelhub.convert.planning import Reason
from modelhub.convert.readers import open_source
from modelhub.errors import ConversionRefused, UsageError

from . import made
from .conftest import Write

UNET_ALONE = {stem: shape for stem, shape in made.SHAPES.items() if "unet" in stem}
DIFFUSERS_QUERY = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def test_kohya_to_diffusers_and_back_is_the_same_bit_for_bit(opened: Write, tmp_path: Path) -> None:
    before = made.lora(alpha=4.0, dtype="<f2")
    there = made.written(
        lora_plan(opened(before), key_format=LoraKeys.DIFFUSERS), tmp_path / "there.safetensors"
    )
    assert f"{DIFFUSERS_QUERY}.lora_A.weight" in there
    assert "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_B.weight" in there
    assert not any("alpha" in name for name in there)
    back = made.written(
        lora_plan(opened(dict(there)), key_format=LoraKeys.KOHYA), tmp_path / "back.safetensors"
    )
    assert back.keys() == before.keys()
    for name, numbers in before.items():
        assert back[name].dtype == numbers.dtype
        assert back[name].tobytes() == numbers.tobytes(), name


def test_an_alpha_that_is_a_power_of_two_of_the_rank_is_multiplied_in_exactly(
    opened: Write, tmp_path: Path
) -> None:
    before = made.lora(alpha=0.5)
    plan = lora_plan(opened(before), key_format=LoraKeys.DIFFUSERS)
    after = made.written(plan, tmp_path / "after.safetensors")
    product = after[f"{DIFFUSERS_QUERY}.lora_B.weight"].astype("<f8") @ after[
        f"{DIFFUSERS_QUERY}.lora_A.weight"
    ].astype("<f8")
    np.testing.assert_array_equal(product, made.difference(before, f"lora_unet_{made.QUERY}"))
    assert "exactly" in plan.notices[0]
    assert {one.name for one in plan.dropped} == before.keys()
    assert {one.reason for one in plan.dropped} == {Reason.REPLACED}


def test_another_alpha_is_multiplied_in_and_told_to_be_rounded(opened: Write) -> None:
    before = made.lora(alpha=3.0)
    plan = lora_plan(opened(before), key_format=LoraKeys.DIFFUSERS)
    after = made.computed(plan)
    product = after[f"{DIFFUSERS_QUERY}.lora_B.weight"] @ after[f"{DIFFUSERS_QUERY}.lora_A.weight"]
    np.testing.assert_allclose(
        product, made.difference(before, f"lora_unet_{made.QUERY}"), rtol=1e-5, atol=1e-7
    )
    assert "rounded in 6 layers" in plan.notices[0]


@pytest.mark.parametrize("alpha", [2.0, 4.0])
@pytest.mark.parametrize("keys", [LoraKeys.KOHYA, LoraKeys.DIFFUSERS])
@pytest.mark.parametrize("rank", [None, RankRule(2), RankRule(2, conv_rank=8)])
def test_what_is_kept_and_what_is_dropped_is_the_source(
    alpha: float, keys: LoraKeys, rank: RankRule | None, opened: Write
) -> None:
    before = made.lora(alpha=alpha, dtype="<f2")
    plan = lora_plan(opened(before), key_format=keys, rank=rank)
    summary = summarize(plan)
    assert summary.before.tensors == len(before)
    assert summary.before.nbytes == sum(one.nbytes for one in before.values())
    old = {one.new: one.old for one in plan.renamed}
    kept = {old.get(one.name, one.name) for one in plan.tensors if one.name not in plan.added}
    dropped = {one.name for one in plan.dropped}
    assert kept | dropped == before.keys()
    assert not kept & dropped


@pytest.mark.parametrize("keys", [LoraKeys.DIFFUSERS, LoraKeys.PEFT])
def test_the_result_is_identified_as_what_it_is(keys: LoraKeys, opened: Write) -> None:
    plan = lora_plan(opened(made.lora(UNET_ALONE, rank=8, alpha=8)), key_format=keys)
    assert plan.identity.kind == "lora"
    assert plan.identity.adapter == keys.value
    assert plan.identity.architecture == "sd1"
    assert plan.identity.rank == 8


def test_peft_is_of_one_model(opened: Write) -> None:
    with pytest.raises(ConversionRefused, match="of one model"):
        lora_plan(opened(made.lora()), key_format=LoraKeys.PEFT)


def test_peft_gets_an_alpha_for_each_layer_in_kohyas_form(opened: Write) -> None:
    peft = {
        f"base_model.model.{name.removeprefix('unet.')}": numbers
        for name, numbers in made.computed(
            lora_plan(opened(made.lora(UNET_ALONE)), key_format=LoraKeys.DIFFUSERS)
        ).items()
    }
    plan = lora_plan(opened(peft), key_format=LoraKeys.KOHYA)
    after = made.computed(plan)
    assert after[f"lora_unet_{made.QUERY}.alpha"] == 4
    assert {name.split(".")[0] for name in after} == set(UNET_ALONE)


def test_alphas_out_of_the_metadata_count(opened: Write) -> None:
    before = made.lora({f"lora_unet_{made.QUERY}": (32, 32)})
    names = {"lora_down": "lora_A", "lora_up": "lora_B"}
    tensors = {
        f"{DIFFUSERS_QUERY}.{names[name.split('.')[1]]}.weight": numbers
        for name, numbers in before.items()
    }
    settings = {"unet.lora_alpha": 8, "unet.r": 4, "unet.alpha_pattern": {"attn1.to_q": 16}}
    source = opened(tensors, {"lora_adapter_metadata": json.dumps(settings)})
    plan = lora_plan(source, key_format=LoraKeys.KOHYA)
    assert made.computed(plan)[f"lora_unet_{made.QUERY}.alpha"] == 16
    assert "lora_adapter_metadata" not in plan.metadata


def test_alphas_out_of_the_settings_beside_a_file_of_peft_count(tmp_path: Path) -> None:
    name = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    before = made.lora({f"lora_unet_{made.CROSS}": (32, 768)})
    path = made.write(
        tmp_path / "adapter_model.safetensors",
        {
            f"{name}.lora_A.weight": before[f"lora_unet_{made.CROSS}.lora_down.weight"],
            f"{name}.lora_B.weight": before[f"lora_unet_{made.CROSS}.lora_up.weight"],
        },
    )
    settings = {"lora_alpha": 16, "use_rslora": True, "r": 4}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    with open_source(path) as source:
        after = made.computed(lora_plan(source, key_format=LoraKeys.KOHYA))
    assert after[f"lora_unet_{made.CROSS}.alpha"] == 16 / 4**0.5 * 4


def test_sdxl_gets_the_original_names_of_its_unet_in_kohyas_form(opened: Write) -> None:
    block = "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k"
    tensors = {
        f"unet.{block}.lora_A.weight": np.ones((4, 2048), "<f4"),
        f"unet.{block}.lora_B.weight": np.ones((640, 4), "<f4"),
        "unet.up_blocks.1.upsamplers.0.conv.lora_A.weight": np.ones((4, 640, 3, 3), "<f4"),
        "unet.up_blocks.1.upsamplers.0.conv.lora_B.weight": np.ones((640, 4, 1, 1), "<f4"),
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": np.ones(
            (4, 1280), "<f4"
        ),
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_B.weight": np.ones(
            (5120, 4), "<f4"
        ),
    }
    names = {one.name for one in lora_plan(opened(tensors), key_format=LoraKeys.KOHYA).tensors}
    assert "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k.lora_down.weight" in names
    assert "lora_unet_output_blocks_5_2_conv.lora_up.weight" in names
    assert "lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha" in names


def test_the_older_forms_of_diffusers_are_read(opened: Write) -> None:
    attention = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor"
    layer = "text_model.encoder.layers.0.self_attn"
    tensors = {}
    for stem in (
        f"unet.{attention}.to_q_lora",
        f"unet.{attention}.to_out_lora",
        f"text_encoder.{layer}.to_k_lora",
        f"text_encoder.{layer}.v_proj.lora_linear_layer",
    ):
        tensors[f"{stem}.down.weight"] = np.ones((4, 32), "<f4")
        tensors[f"{stem}.up.weight"] = np.ones((32, 4), "<f4")
    cross = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora"
    tensors[f"{cross}.down.weight"] = np.ones((4, 768), "<f4")
    tensors[f"{cross}.up.weight"] = np.ones((32, 4), "<f4")
    plan = lora_plan(opened(tensors), key_format=LoraKeys.KOHYA)
    stems = {one.name.split(".")[0] for one in plan.tensors}
    block = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0"
    assert stems == {
        f"{block}_attn1_to_q",
        f"{block}_attn1_to_out_0",
        f"{block}_attn2_to_k",
        "lora_te_text_model_encoder_layers_0_self_attn_k_proj",
        "lora_te_text_model_encoder_layers_0_self_attn_v_proj",
    }


def test_magnitudes_keep_their_numbers_in_the_other_form(opened: Write) -> None:
    before = made.lora(UNET_ALONE)
    for stem, shape in UNET_ALONE.items():
        ones = (1,) * len(shape[1:])
        before[f"{stem}.dora_scale"] = np.arange(shape[0], dtype="<f4").reshape(-1, *ones)
    there = made.computed(lora_plan(opened(before), key_format=LoraKeys.DIFFUSERS))
    vector = there[f"{DIFFUSERS_QUERY}.lora_magnitude_vector"]
    assert vector.shape == (32,)
    conv = there["unet.down_blocks.1.resnets.0.conv1.lora_magnitude_vector"]
    assert conv.shape == (1, 64, 1, 1)
    back = made.computed(lora_plan(opened(there), key_format=LoraKeys.KOHYA))
    for name, numbers in before.items():
        np.testing.assert_array_equal(back[name], numbers)


def test_a_core_is_multiplied_in_where_the_form_has_none(opened: Write) -> None:
    stem = f"lora_unet_{made.CONV}"
    draw = np.random.default_rng(3)
    before = {
        f"{stem}.lora_down.weight": draw.standard_normal((4, 32, 1, 1)).astype("<f4"),
        f"{stem}.lora_mid.weight": draw.standard_normal((4, 4, 3, 3)).astype("<f4"),
        f"{stem}.lora_up.weight": draw.standard_normal((64, 4, 1, 1)).astype("<f4"),
        **made.lora({f"lora_unet_{made.CROSS}": (32, 768)}),
    }
    after = made.computed(lora_plan(opened(before), key_format=LoraKeys.DIFFUSERS))
    name = "unet.down_blocks.1.resnets.0.conv1"
    up, down = after[f"{name}.lora_B.weight"][..., 0, 0], after[f"{name}.lora_A.weight"]
    expected = np.einsum(
        "mnkl,om,ni->oikl",
        before[f"{stem}.lora_mid.weight"],
        before[f"{stem}.lora_up.weight"][..., 0, 0],
        before[f"{stem}.lora_down.weight"][..., 0, 0],
    )
    np.testing.assert_allclose(np.einsum("or,rikl->oikl", up, down), expected, rtol=1e-4, atol=1e-4)


def test_a_type_alone_changes_nothing_else(opened: Write, tmp_path: Path) -> None:
    before = made.lora(alpha=1.0)
    plan = lora_plan(opened(before, {"ss_network_dim": "4"}), dtype=Precision.FP16)
    after = made.written(plan, tmp_path / "half.safetensors")
    assert after.keys() == before.keys()
    assert plan.metadata == {"ss_network_dim": "4"}
    assert plan.operation == "fp16"
    for name, numbers in before.items():
        assert after[name].tobytes() == numbers.astype("<f2").tobytes()


def test_loha_is_cast_and_nothing_more(opened: Write) -> None:
    stem = f"lora_unet_{made.CROSS}"
    loha = {
        f"{stem}.hada_w1_a": np.ones((32, 4), "<f4"),
        f"{stem}.hada_w1_b": np.ones((4, 768), "<f4"),
        f"{stem}.hada_w2_a": np.ones((32, 4), "<f4"),
        f"{stem}.hada_w2_b": np.ones((4, 768), "<f4"),
        f"{stem}.alpha": np.array(2, "<f4"),
    }
    source = opened(loha)
    plan = lora_plan(source, dtype=Precision.BF16)
    assert {one.name: one.dtype for one in plan.tensors} == dict.fromkeys(loha, "BF16")
    assert plan.identity.adapter == "loha"
    with pytest.raises(ConversionRefused, match="LoHa"):
        lora_plan(source, key_format=LoraKeys.DIFFUSERS)
    with pytest.raises(ConversionRefused, match="cannot be changed"):
        lora_plan(source, rank=RankRule(2))


def test_the_names_of_a_transformer_are_not_guessed(opened: Write) -> None:
    stem = "lora_unet_double_blocks_0_img_attn_qkv"
    flux = {
        f"{stem}.lora_down.weight": np.ones((4, 3072), "<f4"),
        f"{stem}.lora_up.weight": np.ones((9216, 4), "<f4"),
    }
    with pytest.raises(ConversionRefused, match="SD 1"):
        lora_plan(opened(flux), key_format=LoraKeys.DIFFUSERS)


def test_a_file_that_is_no_lora_is_refused(opened: Write) -> None:
    with pytest.raises(ConversionRefused, match="no LoRA"):
        lora_plan(opened({"decoder.conv_in.weight": np.ones((2, 2), "<f4")}))


@pytest.mark.parametrize(
    "rule",
    [
        RankRule(0),
        RankRule(4, conv_rank=0),
        RankRule(4, keep=Keep.ENERGY, amount=1.5),
        RankRule(4, keep=Keep.ENERGY, amount=float("nan")),
        RankRule(4, keep=Keep.RATIO, amount=1.0),
    ],
)
def test_a_rule_without_sense_is_a_mistake_of_the_command(rule: RankRule, opened: Write) -> None:
    with pytest.raises(UsageError):
        lora_plan(opened(made.lora()), rank=rule)
