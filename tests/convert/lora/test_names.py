from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from modelhub.convert.lora.names import clip_pieces, diffusers_unet, flux_pieces, original_unet
from modelhub.convert.lora.targets import targets_of
from modelhub.convert.lora.words import dotted, flat

LISTS = Path(__file__).parents[2] / "data" / "tensor-lists"


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    lines = gzip.decompress((LISTS / f"{name}.txt.gz").read_bytes()).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines)
    return {
        tensor: tuple(int(one) for one in shape.strip("[]").split(",") if one)
        for tensor, shape in pairs
    }


@pytest.mark.parametrize(
    ("unet", "attention"),
    [
        ("UNET-v1-SD", {1, 2, 3}),
        ("UNET-v2-SD", {1, 2, 3}),
        ("UNET-XL-SD", {0, 1}),
        ("UNET-XL-Refiner", {1, 2}),
    ],
)
def test_every_module_of_a_unet_has_one_name_in_diffusers_and_comes_back(
    unet: str, attention: set[int]
) -> None:
    modules = {name.rpartition(".")[0] for name in shapes(unet)}
    named = {module: diffusers_unet(module) for module in modules}
    assert len(set(named.values())) == len(modules)
    for module, name in named.items():
        assert name is not None
        assert original_unet(name, attention) == module
        assert dotted(flat(name)) == name
        assert dotted(flat(module)) == module


@pytest.mark.parametrize(
    ("original", "diffusers"),
    [
        ("input_blocks.0.0", "conv_in"),
        ("input_blocks.3.0.op", "down_blocks.0.downsamplers.0.conv"),
        ("input_blocks.4.0.skip_connection", "down_blocks.1.resnets.0.conv_shortcut"),
        ("input_blocks.8.1.proj_in", "down_blocks.2.attentions.1.proj_in"),
        ("middle_block.2.emb_layers.1", "mid_block.resnets.1.time_emb_proj"),
        ("output_blocks.2.1.conv", "up_blocks.0.upsamplers.0.conv"),
        ("output_blocks.5.2.conv", "up_blocks.1.upsamplers.0.conv"),
        ("label_emb.0.2", "add_embedding.linear_2"),
    ],
)
def test_blocks_are_counted_as_diffusers_counts_them(original: str, diffusers: str) -> None:
    assert diffusers_unet(original) == diffusers


@pytest.mark.parametrize(
    "name", ["input_blocks.4.0.strange", "middle_block.0.nothing", "encoder.mid.block_1", ""]
)
def test_what_is_no_module_of_a_unet_has_no_name(name: str) -> None:
    assert diffusers_unet(name) is None
    assert original_unet(name, {0}) is None


def test_words_end_where_the_next_begins() -> None:
    assert dotted("attn_to_query_to_q") == "attn.to.query.to_q"
    assert dotted("mid_block_attentions_0_to_out_0") == "mid_block.attentions.0.to_out.0"
    assert dotted("") == ""


def test_open_clip_has_three_layers_of_the_other_clip_in_one_tensor() -> None:
    pieces = clip_pieces("transformer.resblocks.3.attn.in_proj_weight")
    layer = "text_model.encoder.layers.3.self_attn"
    assert [(one.path, one.start, one.stop, one.of) for one in pieces] == [
        (f"{layer}.q_proj", 0, 1, 3),
        (f"{layer}.k_proj", 1, 2, 3),
        (f"{layer}.v_proj", 2, 3, 3),
    ]


@pytest.mark.parametrize(("clip", "layers"), [("CLIP-v1-SD", 12), ("CLIP-v2-SD", 24)])
def test_both_clips_have_the_same_modules(clip: str, layers: int) -> None:
    paths = {piece.path for name in shapes(clip) for piece in clip_pieces(name)}
    for layer in range(layers - (clip == "CLIP-v2-SD")):
        block = f"text_model.encoder.layers.{layer}"
        for one in ("q_proj", "k_proj", "v_proj", "out_proj"):
            assert f"{block}.self_attn.{one}" in paths
        assert {f"{block}.mlp.fc1", f"{block}.mlp.fc2"} <= paths


def test_a_module_of_sdxl_is_found_under_both_names_and_its_rows_within_the_tensor() -> None:
    model = {
        **{f"model.diffusion_model.{name}": shape for name, shape in shapes("UNET-XL-SD").items()},
        **{f"conditioner.embedders.1.model.{n}": s for n, s in shapes("CLIP-XL-SD").items()},
    }
    targets = targets_of(model).by_name
    by_original = targets["unet", "input_blocks_4_1_transformer_blocks_1_attn2_to_k"]
    assert (
        by_original is targets["unet", "down_blocks_1_attentions_0_transformer_blocks_1_attn2_to_k"]
    )
    assert by_original.shape == (640, 2048)
    key = targets["te2", "text_model_encoder_layers_31_self_attn_k_proj"]
    assert (key.rows, key.shape) == ((1280, 2560), (1280, 1280))
    assert key.bias == "conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_bias"
    assert targets["te2", "text_projection"].transposed


def test_the_first_layer_of_a_single_block_of_flux_is_four_modules() -> None:
    width = 12
    model = {"single_blocks.7.linear1.weight": (7 * width, width)}
    targets = targets_of(model).by_name
    rows = {path: target.rows for (_, path), target in targets.items()}
    assert rows == {
        "single_blocks_7_linear1": (0, 84),
        "single_transformer_blocks_7_attn_to_q": (0, 12),
        "single_transformer_blocks_7_attn_to_k": (12, 24),
        "single_transformer_blocks_7_attn_to_v": (24, 36),
        "single_transformer_blocks_7_proj_mlp": (36, 84),
        # FLUX.2 has it whole.
        "single_transformer_blocks_7_attn_to_qkv_mlp_proj": (0, 84),
    }
    assert flux_pieces("double_blocks.0.img_attn.proj")[0].path == (
        "transformer_blocks.0.attn.to_out.0"
    )
