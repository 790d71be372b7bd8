from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from modelhub.convert.diffusers import (
    DiffusersFolder,
    from_diffusers,
    to_diffusers,
    vae_in_original_names,
)
from modelhub.convert.planning import Plan, Reason
from modelhub.convert.values import Planned, Values
from modelhub.convert.views import Rows
from modelhub.demo.weights import sd1, sd2, sdxl
from modelhub.demo.weights.tables import Table
from modelhub.errors import ConversionRefused, FormatError
from modelhub.formats.tensors import FileFormat
from tests.convert.made import Made, MadeSource, bytes_of, made
from tests.formats.identify.layouts import (
    EMA_COUNTERS,
    REFINER,
    SCHEDULE,
    SD1,
    SD2,
    SDXL,
    UNET,
    Shapes,
    listed,
)
from tests.formats.identify.real_headers import descriptions, shapes_of

_LOST_OF_SDXL = {"conditioner.embedders.1.model.logit_scale"}
_LOST_OF_SD2 = {
    name
    for name in SD2[2]
    if ".resblocks.23." in name or name.endswith(("text_projection", "logit_scale"))
}


def _plan(tensors: Mapping[str, Values], dtype: str | None = None) -> Plan:
    return Plan(
        tensors=tuple(Planned(name, one, dtype or one.dtype) for name, one in tensors.items())
    )


def _as_source(folder: DiffusersFolder, **settings: str) -> MadeSource:
    tensors = {
        f"{component.folder}/{one.name}": one.values
        for component in folder.components
        for one in component.tensors
    }
    return MadeSource(tensors, format=FileFormat.DIFFUSERS, metadata=settings)


@pytest.mark.parametrize(
    ("parts", "lost"),
    [
        (SD1, set()),
        (SD2, _LOST_OF_SD2),
        (SDXL, _LOST_OF_SDXL),
        (REFINER, {"conditioner.embedders.0.model.logit_scale"}),
        ((listed("UNET-v1-Inpainting", UNET), *SD1[1:]), set()),
        ((listed("UNET-v1-Pix2Pix", UNET), *SD1[1:]), set()),
        ((listed("UNET-v2-Inpainting", UNET), *SD2[1:]), _LOST_OF_SD2),
    ],
    ids=["sd1", "sd2", "sdxl", "refiner", "inpainting", "pix2pix", "sd2 inpainting"],
)
def test_a_published_checkpoint_comes_back_from_its_folder_in_the_same_names_and_shapes(
    parts: tuple[Shapes, ...], lost: set[str]
) -> None:
    tensors = made(*parts)
    back = from_diffusers(_as_source(to_diffusers(_plan(tensors))))
    found = {one.name: (one.dtype, one.values.shape) for one in back.tensors}
    expected = {name: (one.dtype, one.shape) for name, one in tensors.items() if name not in lost}
    assert found == expected


def _made_of(table: Table) -> dict[str, Values]:
    return {one.name: Made(one.name, one.dtype, one.shape) for one in table}


@pytest.mark.parametrize(
    "table",
    [sd1.checkpoint(sd1.TINY), sdxl.checkpoint(sdxl.TINY), sdxl.refiner(sdxl.TINY)],
    ids=["sd1", "sdxl", "refiner"],
)
def test_there_and_back_every_value_is_the_same(table: Table) -> None:
    small = [one for one in table if not one.name.endswith("token_embedding.weight")]
    small += [
        type(one)(one.name, (64, *one.shape[1:]), one.dtype)
        for one in table
        if one.name.endswith("token_embedding.weight")
    ]
    tensors = _made_of(small)
    back = from_diffusers(_as_source(to_diffusers(_plan(tensors))))
    assert len(back.tensors) >= len(tensors) - 1
    for one in back.tensors:
        assert bytes_of(one.values) == bytes_of(tensors[one.name]), one.name


def test_the_precision_that_is_planned_stays_that_of_each_tensor() -> None:
    folder = to_diffusers(_plan(made(*SD2), "F16"))
    assert {one.dtype for part in folder.components for one in part.tensors} == {"F16"}


def test_queries_keys_and_values_are_thirds_of_one_tensor_of_open_clip() -> None:
    tensors = _made_of(sd2.checkpoint(sd2.TINY))
    folder = to_diffusers(_plan(tensors))
    text = next(one for one in folder.components if one.folder == "text_encoder")
    found = {one.name: one.values for one in text.tensors}
    fused = tensors["cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"]
    width = sd2.TINY.text
    for third, name in enumerate(("q_proj", "k_proj", "v_proj")):
        values = found[f"text_model.encoder.layers.0.self_attn.{name}.weight"]
        assert bytes_of(values) == bytes_of(Rows(fused, third * width, (third + 1) * width))


def test_what_a_folder_has_no_place_for_is_told_with_its_reason() -> None:
    tensors = made(*SD1, SCHEDULE, EMA_COUNTERS)
    dropped = {one.name: one.reason for one in to_diffusers(_plan(tensors)).dropped}
    assert dropped == {
        "cond_stage_model.transformer.text_model.embeddings.position_ids": Reason.JUNK,
        **dict.fromkeys(SCHEDULE, Reason.SCHEDULE),
        **dict.fromkeys(EMA_COUNTERS, Reason.EMA),
    }


def test_a_folder_holds_its_settings_and_both_tokenizers_beside_the_weights() -> None:
    folder = to_diffusers(_plan(made(*SDXL)))
    assert {one.folder for one in folder.components} == {
        "unet", "vae", "text_encoder", "text_encoder_2",
    }  # fmt: skip
    assert set(folder.files) == {
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "text_encoder_2/config.json",
        "scheduler/scheduler_config.json",
        *(
            f"{place}/{name}"
            for place in ("tokenizer", "tokenizer_2")
            for name in (
                "merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json",
            )
        ),
    }  # fmt: skip
    assert (
        folder.nbytes
        == sum(one.nbytes for one in _plan(made(*SDXL)).tensors if "position_ids" not in one.name)
        - 4
    )  # the scale of the logits


def test_a_checkpoint_without_a_vae_is_converted_with_a_word_about_it() -> None:
    folder = to_diffusers(_plan(made(SD1[0], SD1[2])))
    assert "the file has no vae: the folder cannot be loaded without one" in folder.notices


def test_an_sd2_of_unknown_kind_is_converted_with_a_word_about_its_prediction() -> None:
    (notice,) = to_diffusers(_plan(made(*SD2))).notices
    assert "prediction_type" in notice


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("VAE-v1-SD", "diffusion_pytorch_model.safetensors"),
        ("UNET-v2-SD", "diffusion_pytorch_model.safetensors"),
        ("CLIP-XL-SD", "model.safetensors"),
    ],
)
def test_a_part_alone_becomes_a_folder_without_an_index(name: str, weights: str) -> None:
    folder = to_diffusers(_plan(made(listed(name))))
    (component,) = folder.components
    assert (component.folder, component.weights_name) == ("", weights)
    assert folder.model_index == {}
    assert "config.json" in folder.files


def test_a_vae_of_early_diffusers_gets_the_names_of_today() -> None:
    old = shapes_of(descriptions()["sd15-vae-diffusers"])
    new = shapes_of(descriptions()["sdxl-vae-diffusers"])
    (component,) = to_diffusers(_plan(made(old))).components
    assert {one.name: one.values.shape for one in component.tensors} == new


def test_a_vae_of_diffusers_is_named_as_a_vae_file_of_a1111() -> None:
    for description in ("sd15-vae-diffusers", "sdxl-vae-diffusers"):
        tensors = made(shapes_of(descriptions()[description]))
        found = vae_in_original_names(tensors)
        assert {name: one.shape for name, one in found.items()} == listed("VAE-v1-SD")


def test_a_part_alone_of_diffusers_becomes_a_file_of_that_part() -> None:
    source = MadeSource(made(shapes_of(descriptions()["sdxl-unet-diffusers"])))
    found = {one.name: one.values.shape for one in from_diffusers(source).tensors}
    assert found == listed("UNET-XL-SD")


def test_a_text_encoder_alone_keeps_its_names() -> None:
    shapes = shapes_of(descriptions()["sd15-clip-l"])
    found = from_diffusers(MadeSource(made(shapes)))
    assert {one.name: one.values.shape for one in found.tensors} == shapes


@pytest.mark.parametrize(
    ("activation", "prefix"),
    [("gelu", "cond_stage_model.model."), ("quick_gelu", "cond_stage_model.transformer.")],
)
def test_the_text_encoder_of_a_folder_is_named_by_its_activation(
    activation: str, prefix: str
) -> None:
    folder = to_diffusers(_plan(_made_of(sd2.checkpoint(sd2.TINY))))
    settings = {"text_encoder/hidden_act": activation}
    back = from_diffusers(_as_source(folder, **settings))
    text = {one.name for one in back.tensors if one.name.startswith("cond_stage_model.")}
    assert text
    assert all(name.startswith(prefix) for name in text)


def test_the_newest_names_of_a_text_encoder_are_understood() -> None:
    folder = to_diffusers(_plan(made(*SD1)))
    source = _as_source(folder)
    flat = {name.replace("/text_model.", "/"): one for name, one in source.tensors.items()}
    back = from_diffusers(MadeSource(flat, format=FileFormat.DIFFUSERS))
    assert {one.name for one in back.tensors} == set(made(*SD1))


def test_parts_that_a_single_file_has_no_place_for_are_left_out_and_named() -> None:
    source = _as_source(to_diffusers(_plan(made(*SD1))))
    checker = {"safety_checker/concept_embeds": Made("concept_embeds", "F32", (17, 768))}
    back = from_diffusers(MadeSource({**source.tensors, **checker}, format=FileFormat.DIFFUSERS))
    assert [one.name for one in back.dropped] == ["safety_checker/concept_embeds"]
    assert back.notices == ("a single file has no place for: safety_checker",)


def test_a_plan_that_has_the_names_of_a_folder_becomes_that_folder_again() -> None:
    first = to_diffusers(_plan(made(*SDXL)))
    second = to_diffusers(_plan(_as_source(first).tensors))
    assert [one.config for one in first.components] == [one.config for one in second.components]
    for one, other in zip(first.components, second.components, strict=True):
        assert {(a.name, a.values.shape) for a in one.tensors} == {
            (b.name, b.values.shape) for b in other.tensors
        }


@pytest.mark.parametrize(
    "shapes",
    [{"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}, {"lora_unet_x.alpha": ()}],
)
def test_what_is_no_stable_diffusion_becomes_no_folder(shapes: Shapes) -> None:
    with pytest.raises(ConversionRefused, match="Stable Diffusion 1, 2 and XL"):
        to_diffusers(_plan(made(shapes)))


@pytest.mark.parametrize("name", ["transformer/x_embedder.weight", "x_embedder.weight"])
def test_a_folder_of_another_architecture_becomes_no_single_file(name: str) -> None:
    with pytest.raises(ConversionRefused):
        from_diffusers(MadeSource(made({name: (64, 64)}), format=FileFormat.DIFFUSERS))


def test_the_upscaler_is_refused_with_what_can_be_done() -> None:
    tensors = made(*SD2) | {
        UNET + "input_blocks.0.0.weight": Made("in", "F32", (320, 7, 3, 3)),
    }
    with pytest.raises(ConversionRefused, match="no pipeline") as refused:
        to_diffusers(_plan(tensors))
    assert "--extract-unet" in refused.value.hint


def test_a_fused_tensor_of_a_wrong_shape_is_named() -> None:
    name = "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"
    tensors = made(*SD2) | {name: Made(name, "F32", (3071, 1024))}
    with pytest.raises(FormatError, match=r"in_proj_weight has the shape \[3071, 1024\]"):
        to_diffusers(_plan(tensors))


def test_a_projection_that_cannot_be_transposed_is_named() -> None:
    name = "conditioner.embedders.1.model.text_projection"
    tensors = made(*SDXL) | {name: Made(name, "F32", (1280, 1280, 1))}
    with pytest.raises(FormatError, match="text_projection has the shape"):
        to_diffusers(_plan(tensors))


@pytest.mark.parametrize(
    ("parts", "lost"),
    [
        (SDXL, "text_encoder_2/text_model.encoder.layers.5.self_attn.k_proj.weight"),
        (SD1, "unet/down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"),
        (SD1, "unet/mid_block.attentions.0.transformer_blocks.0.ff.net.2.weight"),
        (SD1, "unet/up_blocks.1.resnets.0.conv2.weight"),
        (SD1, "vae/decoder.mid_block.attentions.0.to_out.0.weight"),
        (SD1, "vae/encoder.conv_in.weight"),
        (SD1, "text_encoder/text_model.encoder.layers.0.mlp.fc1.weight"),
    ],
)
def test_a_layer_that_lacks_one_of_its_tensors_is_refused_and_named(
    parts: tuple[Shapes, ...], lost: str
) -> None:
    source = _as_source(to_diffusers(_plan(made(*parts))))
    rest = {key: one for key, one in source.tensors.items() if key != lost}
    assert len(rest) < len(source.tensors)
    with pytest.raises(FormatError, match=f"{re.escape(lost)} is missing"):
        from_diffusers(MadeSource(rest, format=FileFormat.DIFFUSERS))


def test_a_folder_without_the_keys_of_any_attention_is_refused() -> None:
    source = _as_source(to_diffusers(_plan(made(*SD1))))
    rest = {key: one for key, one in source.tensors.items() if ".to_k." not in key}
    with pytest.raises(FormatError, match=r"to_k\.weight is missing"):
        from_diffusers(MadeSource(rest, format=FileFormat.DIFFUSERS))


def test_three_parts_of_different_types_are_not_put_together() -> None:
    source = _as_source(to_diffusers(_plan(made(*SDXL))))
    name = "text_encoder_2/text_model.encoder.layers.5.self_attn.k_proj.weight"
    mixed = dict(source.tensors) | {name: Made(name, "F16", (1280, 1280))}
    with pytest.raises(FormatError, match="different types"):
        from_diffusers(MadeSource(mixed, format=FileFormat.DIFFUSERS))


def test_a_vae_of_unknown_kind_is_converted_with_a_word_about_its_scale() -> None:
    (notice,) = to_diffusers(_plan(made(listed("VAE-v1-SD")))).notices
    assert "scaling_factor" in notice


def test_what_a_plan_says_of_its_origin_is_kept_in_each_file_of_weights() -> None:
    plan = Plan(
        tensors=_plan(made(*SD1)).tensors,
        metadata={"modelhub.operation": "fp16", "unet/sample_size": "64", "_class_name": "X"},
    )
    for component in to_diffusers(plan).components:
        assert component.metadata == {"modelhub.operation": "fp16", "format": "pt"}


def test_tensors_that_say_how_a_model_was_trained_become_its_schedulers_settings() -> None:
    marks = {"v_pred": Made("v_pred", "F32", (0,)), "ztsnr": Made("ztsnr", "F32", (0,))}
    folder = to_diffusers(_plan(made(*SDXL) | marks))
    settings = json.loads(folder.files["scheduler/scheduler_config.json"])
    assert settings["prediction_type"] == "v_prediction"
    assert settings["rescale_betas_zero_snr"] is True
    assert not set(marks) & {one.name for one in folder.dropped}


@pytest.mark.parametrize("parts", [SD1, SD2, SDXL, REFINER], ids=["sd1", "sd2", "sdxl", "refiner"])
def test_a_plan_without_what_its_folder_leaves_out_becomes_the_same_folder(
    parts: tuple[Shapes, ...],
) -> None:
    plan = _plan(made(*parts, SCHEDULE))
    first = to_diffusers(plan)
    left = {one.name for one in first.dropped}
    second = to_diffusers(Plan(tensors=tuple(one for one in plan.tensors if one.name not in left)))
    assert second.files == first.files
    assert second.dropped == ()
    assert [[one.name for one in part.tensors] for part in second.components] == [
        [one.name for one in part.tensors] for part in first.components
    ]
