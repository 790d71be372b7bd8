from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from modelhub.demo.weights import sdxl
from modelhub.demo.weights.tables import Table
from modelhub.errors import FormatError
from modelhub.formats.diffusers_config import configs_of
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.formats.tensors import Header
from tests.formats.identify.layouts import REFINER, SD1, SD2, SDXL, UNET, Shapes, header, listed

Configs = dict[str, dict[str, Any]]


def _configs(*parts: Shapes, **changes: Any) -> Configs:
    head = header(*parts)
    return dict(configs_of(head, msgspec.structs.replace(identify(head), **changes)))


def _among(expected: dict[str, Any], config: dict[str, Any]) -> None:
    assert {key: config.get(key) for key in expected} == expected


# As stable-diffusion-v1-5/stable-diffusion-v1-5, stabilityai/stable-diffusion-2-1,
# stabilityai/stable-diffusion-xl-base-1.0 and -refiner-1.0 publish them.
_PUBLISHED: dict[str, tuple[tuple[Shapes, ...], Configs]] = {
    "sd1": (
        SD1,
        {
            "unet/config.json": {
                "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
                "cross_attention_dim": 768, "in_channels": 4, "layers_per_block": 2,
                "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
                "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
                "use_linear_projection": False, "transformer_layers_per_block": 1,
                "norm_num_groups": 32, "sample_size": 64, "addition_embed_type": None,
            },
            "vae/config.json": {
                "block_out_channels": [128, 256, 512, 512], "latent_channels": 4,
                "scaling_factor": 0.18215, "layers_per_block": 2, "sample_size": 512,
            },
            "text_encoder/config.json": {
                "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
                "num_attention_heads": 12, "hidden_act": "quick_gelu", "vocab_size": 49408,
            },
            "scheduler/scheduler_config.json": {
                "_class_name": "PNDMScheduler", "prediction_type": "epsilon",
            },
            "model_index.json": {
                "_class_name": "StableDiffusionPipeline", "safety_checker": [None, None],
            },
        },
    ),
    "sd2": (
        SD2,
        {
            "unet/config.json": {
                "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024,
                "use_linear_projection": True, "upcast_attention": True, "sample_size": 96,
            },
            "text_encoder/config.json": {
                "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23,
                "num_attention_heads": 16, "hidden_act": "gelu",
                "architectures": ["CLIPTextModel"],
            },
            "tokenizer/special_tokens_map.json": {"pad_token": "!"},
            "scheduler/scheduler_config.json": {
                "_class_name": "DDIMScheduler", "prediction_type": "v_prediction",
            },
        },
    ),
    "sdxl": (
        SDXL,
        {
            "unet/config.json": {
                "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
                "cross_attention_dim": 2048, "transformer_layers_per_block": [1, 2, 10],
                "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": 2816, "sample_size": 128,
                "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 2],
                "up_block_types": [*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"],
            },
            "vae/config.json": {"scaling_factor": 0.13025, "force_upcast": True},
            "text_encoder/config.json": {"hidden_size": 768, "hidden_act": "quick_gelu"},
            "text_encoder_2/config.json": {
                "hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 20,
                "projection_dim": 1280, "hidden_act": "gelu",
                "architectures": ["CLIPTextModelWithProjection"],
            },
            "tokenizer/special_tokens_map.json": {"pad_token": "<|endoftext|>"},
            "tokenizer_2/special_tokens_map.json": {"pad_token": "!"},
            "scheduler/scheduler_config.json": {
                "_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon",
                "timestep_spacing": "leading",
            },
            "model_index.json": {
                "_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True,
            },
        },
    ),
    "refiner": (
        REFINER,
        {
            "unet/config.json": {
                "attention_head_dim": [6, 12, 24, 24], "transformer_layers_per_block": 4,
                "block_out_channels": [384, 768, 1536, 1536], "cross_attention_dim": 1280,
                "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2560,
            },
            "model_index.json": {
                "_class_name": "StableDiffusionXLImg2ImgPipeline", "text_encoder": [None, None],
                "tokenizer": [None, None], "requires_aesthetics_score": True,
                "force_zeros_for_empty_prompt": False,
            },
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", _PUBLISHED)
def test_the_settings_of_a_published_model_are_told_from_its_tensors(name: str) -> None:
    parts, expected = _PUBLISHED[name]
    configs = _configs(*parts)
    for path, settings in expected.items():
        _among(settings, configs[path])


@pytest.mark.parametrize(
    ("unet", "pipeline", "inputs"),
    [
        ("UNET-v1-Inpainting", "StableDiffusionInpaintPipeline", 9),
        ("UNET-v1-Pix2Pix", "StableDiffusionInstructPix2PixPipeline", 8),
    ],
)
def test_further_inputs_of_the_unet_ask_for_another_pipeline(
    unet: str, pipeline: str, inputs: int
) -> None:
    configs = _configs(listed(unet, UNET), *SD1[1:])
    assert configs["model_index.json"]["_class_name"] == pipeline
    assert configs["unet/config.json"]["in_channels"] == inputs


@pytest.mark.parametrize("unet", ["UNET-v2-Inpainting", "UNET-v2-Depth"])
def test_models_of_sd2_with_further_inputs_predict_the_noise(unet: str) -> None:
    configs = _configs(listed(unet, UNET), *SD2[1:])
    assert configs["scheduler/scheduler_config.json"]["prediction_type"] == "epsilon"
    assert configs["unet/config.json"]["sample_size"] == 64


def test_the_base_of_sd2_predicts_the_noise_where_it_is_known_as_such() -> None:
    scheduler = _configs(*SD2, edition="512-base")["scheduler/scheduler_config.json"]
    _among({"_class_name": "PNDMScheduler", "prediction_type": "epsilon"}, scheduler)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"variants": ("v-prediction", "zero-terminal-snr")},
            {
                "_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction",
                "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
            },
        ),
        (
            {"variants": ("v-prediction", "edm"), "edition": "cosxl"},
            {"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"},
        ),
        (
            {"variants": ("edm",), "edition": "playground v2.5"},
            {"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "epsilon"},
        ),
        ({"variants": ("lcm",)}, {"_class_name": "LCMScheduler"}),
        ({"variants": ("turbo",)}, {"_class_name": "EulerAncestralDiscreteScheduler"}),
    ],
)  # fmt: skip
def test_how_an_sdxl_was_trained_sets_its_scheduler(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    _among(expected, _configs(*SDXL, **changes)["scheduler/scheduler_config.json"])


def test_zero_terminal_snr_of_an_sd1_is_scheduled_by_ddim() -> None:
    configs = _configs(*SD1, variants=("v-prediction", "zero-terminal-snr"))
    expected = {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True}
    _among(expected, configs["scheduler/scheduler_config.json"])


def test_playgrounds_latents_have_a_mean_and_a_deviation() -> None:
    vae = _configs(*SDXL, edition="playground v2.5")["vae/config.json"]
    assert vae["scaling_factor"] == 0.5
    assert len(vae["latents_mean"]) == len(vae["latents_std"]) == 4


def test_a_vae_alone_is_scaled_as_the_architecture_that_it_is_known_for() -> None:
    head = header(listed("VAE-v1-SD"))
    scales = {
        name: configs_of(head, Identity(architecture=name))["config.json"]["scaling_factor"]
        for name in (None, "sd1", "sdxl")
    }
    assert scales == {None: 0.18215, "sd1": 0.18215, "sdxl": 0.13025}


def test_a_checkpoint_without_its_vae_names_it_as_nothing() -> None:
    configs = _configs(SD1[0], SD1[2])
    assert "vae/config.json" not in configs
    assert configs["model_index.json"]["vae"] == [None, None]


def test_a_unet_of_sd2_without_a_text_encoder_is_known_by_its_linear_projections() -> None:
    configs = configs_of(header(SD2[0], SD2[1]), Identity())
    assert configs["unet/config.json"]["attention_head_dim"] == [5, 10, 20, 20]


def _of_table(table: Table) -> Header:
    return header({tensor.name: tensor.shape for tensor in table})


def test_blocks_of_unequal_depth_are_told_for_both_ways() -> None:
    table = [
        tensor
        for tensor in sdxl.unet(replace(sdxl.TINY, depths=(0, 2, 4)))
        if not tensor.name.startswith("output_blocks.1.1.transformer_blocks.3.")
    ]
    config = configs_of(_of_table(table), Identity())["config.json"]
    assert config["transformer_layers_per_block"] == [1, [2, 2], [4, 4]]
    assert config["reverse_transformer_layers_per_block"] == [[4, 3, 4], [2, 2, 2], 1]


def test_widths_of_any_size_give_norms_and_heads_that_fit_them() -> None:
    widths = replace(sdxl.TINY, unet=48, vae=16)
    configs = configs_of(_of_table(sdxl.checkpoint(widths)), Identity())
    assert configs["unet/config.json"]["norm_num_groups"] == 16
    assert configs["unet/config.json"]["attention_head_dim"] == [1, 1, 3]
    assert configs["unet/config.json"]["addition_time_embed_dim"] == widths.size
    assert configs["vae/config.json"]["norm_num_groups"] == 16


def test_a_unet_with_a_tensor_missing_is_refused_by_its_name() -> None:
    shapes = dict(SD1[0])
    del shapes[UNET + "out.2.weight"]
    with pytest.raises(FormatError, match=r"conv_out\.weight is missing"):
        configs_of(header(shapes), Identity())


def test_a_tensor_of_too_few_dimensions_is_refused_by_its_name() -> None:
    shapes = dict(SD1[0]) | {UNET + "input_blocks.0.0.weight": (320,)}
    with pytest.raises(FormatError, match=r"conv_in\.weight has the shape \[320\]"):
        configs_of(header(shapes), Identity())


def test_what_is_no_stable_diffusion_has_no_configuration() -> None:
    with pytest.raises(FormatError, match="no part of Stable Diffusion"):
        configs_of(header({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}), Identity())


def test_a_name_of_a_million_components_takes_no_time() -> None:
    name = f"{UNET}input_blocks.1.1.{'a.' * 1_000_000}weight"
    configs = configs_of(header(dict(SD1[0]) | {name: (1,)}), Identity())
    assert configs["unet/config.json"]["cross_attention_dim"] == 768
