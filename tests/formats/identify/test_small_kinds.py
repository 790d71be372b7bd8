# ruff: noqa: E501 - a table is read line by line

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.formats.identify.small_kinds import identify_small
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import FileFormat, Header, Tensor
from tests.formats.identify.layouts import Shapes, because, header, listed

K = ModelKind
ATTENTION = "transformer_blocks.0.attn2.to_k"


def told(shapes: Shapes) -> Identity:
    found = identify_small(header(shapes))
    assert found is not None
    assert because(found, "kind")
    return found


@pytest.mark.parametrize(
    ("architecture", "encoders", "shapes"),
    [
        ("sd1", ("CLIP-L",), {"emb_params": (8, 768)}),
        ("sd2", ("OpenCLIP-H",), {"emb_params": (4, 1024)}),
        ("sd1", ("CLIP-L",), {"string_to_param.*": (2, 768)}),
        ("sd1", ("CLIP-L",), {"<cat-toy>": (768,)}),
        ("sdxl", ("CLIP-L", "OpenCLIP-bigG"), {"clip_g": (3, 1280), "clip_l": (3, 768)}),
        ("sdxl", ("CLIP-L", "OpenCLIP-bigG"), {"emb": (768,), "emb2": (1280,)}),
        ("sdxl", ("OpenCLIP-bigG",), {"clip_g": (3, 1280)}),
    ],
)
def test_an_embedding_is_told_by_the_width_of_its_vectors(
    architecture: str, encoders: tuple[str, ...], shapes: Shapes
) -> None:
    found = told(shapes)
    assert found.kind is K.EMBEDDING
    assert found.architecture == architecture
    assert found.text_encoders == encoders
    assert "kind" not in found.guessed


def test_the_number_of_vectors_is_in_the_evidence() -> None:
    assert because(told({"emb_params": (8, 768)}), "kind")[0].because.startswith("8 vectors")


def test_a_lone_tensor_under_any_word_is_an_embedding_as_a_guess() -> None:
    found = told({"my-style": (4, 768)})
    assert found.kind is K.EMBEDDING
    assert "kind" in found.guessed


def test_a_lone_matrix_of_another_width_is_nothing() -> None:
    assert identify_small(header({"my-style": (4, 700)})) is None
    assert identify_small(header({"weight": (1, 1, 768)})) is None


@pytest.mark.parametrize("name", ["", "tensor"])
def test_a_vector_without_a_name_is_an_aesthetic_gradient(name: str) -> None:
    assert told({name: (1, 768)}).kind is K.AESTHETIC_GRADIENT


def test_a_hypernetwork_is_told_by_the_widths_it_is_for() -> None:
    found = told(
        {
            f"{width}.{half}.linear.0.{part}": shape
            for width in (320, 640, 768, 1280)
            for half in (0, 1)
            for part, shape in (("weight", (width * 2, width)), ("bias", (width * 2,)))
        }
    )
    assert found.kind is K.HYPERNETWORK
    assert found.architecture == "sd1"
    assert "320" in because(found, "kind")[0].because


@pytest.mark.parametrize("prefix", ["", "control_model."])
def test_a_real_controlnet_of_sd1_is_named(prefix: str) -> None:
    found = told(listed("ControlNet-v1-SD", prefix))
    assert found.kind is K.CONTROLNET
    assert found.architecture == "sd1"
    assert "768" in because(found, "architecture")[0].because


_EMBED: Shapes = {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}
_DOWN: Shapes = {"controlnet_down_blocks.0.weight": (320, 320, 1, 1)}
_XL: Shapes = {f"down_blocks.1.attentions.0.{ATTENTION}.weight": (640, 2048)}
_BLOCKS: Shapes = {"controlnet_blocks.0.weight": (3072, 3072)}
_X: Shapes = {"controlnet_x_embedder.weight": (3072, 64)}


@pytest.mark.parametrize(
    ("architecture", "variants", "shapes"),
    [
        ("sdxl", (), {**_EMBED, **_DOWN, **_XL}),
        ("sd2", (), {**_EMBED, **_DOWN, f"down_blocks.0.attentions.0.{ATTENTION}.weight": (320, 1024)}),
        ("sdxl", ("union",), {**_EMBED, **_DOWN, **_XL, "task_embedding": (6, 320)}),
        ("sdxl", ("union",), {**_EMBED, **_DOWN, **_XL, "control_add_embedding.linear_1.weight": (1280, 2048)}),
        ("kolors", (), {**_EMBED, **_DOWN, **_XL, "encoder_hid_proj.weight": (2048, 4096)}),
        ("sdxl", ("control-lora",), {"lora_controlnet": (0,), f"input_blocks.4.1.{ATTENTION}.down": (128, 2048)}),
        ("flux", (), {**_BLOCKS, **_X, "transformer_blocks.0.attn.add_k_proj.weight": (3072, 3072)}),
        ("flux", ("union",), {**_BLOCKS, **_X, "controlnet_mode_embedder.weight": (10, 3072)}),
        ("flux", (), {**_BLOCKS, "input_hint_block.0.weight": (16, 3, 3, 3)}),
        ("qwen", (), {**_BLOCKS, **_X, "transformer_blocks.0.img_mod.1.weight": (18432, 3072)}),
        ("qwen", ("blockwise",), {"controlnet_blocks.0.input_proj.weight": (3072, 3072), "img_in.weight": (3072, 64)}),
        ("sd3", (), {**_BLOCKS, "pos_embed_input.proj.weight": (1536, 17, 2, 2)}),
        ("hunyuan", (), {**_BLOCKS, "input_block.weight": (1408, 1408)}),
        ("zimage", (), {"control_layers.0.after_proj.weight": (3840, 3840)}),
        ("cascade", (), {"backbone.0.0.weight": (24, 3, 3, 3), "projections.0.0.weight": (1536, 1536, 1, 1)}),
        ("sdxl", ("lllite",), {"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": (64, 640)}),
        ("sd1", ("sparsectrl",), {**_EMBED, "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}),
    ],
)  # fmt: skip
def test_every_kind_of_controlnet_is_told(
    architecture: str, variants: tuple[str, ...], shapes: Shapes
) -> None:
    found = told(shapes)
    assert found.kind is K.CONTROLNET
    assert (found.architecture, found.variants) == (architecture, variants)


@pytest.mark.parametrize(
    ("architecture", "shapes"),
    [
        ("sd1", {"conv_in.weight": (320, 192, 3, 3), "body.0.block1.weight": (320, 320, 3, 3), "body.0.block2.weight": (320, 320, 1, 1)}),
        ("sdxl", {"adapter.conv_in.weight": (320, 768, 3, 3), "adapter.body.0.resnets.0.block1.weight": (320, 320, 3, 3)}),
        ("sd1", {"body.0.in_conv.weight": (160, 192, 1, 1)}),
        ("sd1", {"style_embedding": (1, 8, 1024), "ln_post.weight": (1024,), "proj": (1024, 768)}),
    ],
)  # fmt: skip
def test_t2i_adapters_are_told_by_their_channels(architecture: str, shapes: Shapes) -> None:
    found = told(shapes)
    assert found.kind is K.T2I_ADAPTER
    assert found.architecture == architecture


_IP = "ip_adapter.1.to_k_ip.weight"


@pytest.mark.parametrize(
    ("architecture", "variants", "shapes"),
    [
        ("sd1", (), {"image_proj.proj.weight": (3072, 1024), _IP: (320, 768)}),
        ("sdxl", (), {"image_proj.proj.weight": (8192, 1280), _IP: (640, 2048)}),
        ("sd1", ("plus",), {"image_proj.latents": (1, 16, 768), _IP: (320, 768)}),
        ("sdxl", ("plus", "instantid", "face"), {"image_proj.latents": (1, 16, 1280), "image_proj.proj_in.weight": (1280, 512), _IP: (640, 2048)}),
        ("sd1", ("face",), {"image_proj.proj.0.weight": (1024, 512), "ip_adapter.0.to_q_lora.down.weight": (128, 320), _IP: (320, 768)}),
        ("flux", (), {"ip_adapter_proj_model.proj.weight": (16384, 768)}),
        ("flux", ("redux",), {"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288)}),
        ("flux", ("pulid", "face"), {"pulid_ca.0.to_q.weight": (2048, 3072)}),
        ("sdxl", ("photomaker", "face"), {"id_encoder.vision_model.embeddings.class_embedding": (1024,)}),
    ],
)  # fmt: skip
def test_image_prompts_are_told_by_their_projections(
    architecture: str, variants: tuple[str, ...], shapes: Shapes
) -> None:
    found = told(shapes)
    assert found.kind is K.IP_ADAPTER
    assert (found.architecture, found.variants) == (architecture, variants)


def _motion(levels: int, frames: int, *, middle: bool = False) -> Shapes:
    blocks = [f"down_blocks.{n}" for n in range(levels)] + ["mid_block"] * middle
    return {
        f"{block}.motion_modules.0.temporal_transformer.{name}": shape
        for block in blocks
        for name, shape in (
            ("norm.weight", (320,)),
            ("transformer_blocks.0.attention_blocks.0.pos_encoder.pe", (1, frames, 320)),
        )
    }


@pytest.mark.parametrize(
    ("architecture", "edition", "shapes"),
    [
        ("sd1", "v1", _motion(4, 24)),
        ("sd1", "v2", _motion(4, 32, middle=True)),
        ("sd1", "v3", _motion(4, 32)),
        ("sdxl", None, _motion(3, 32)),
        ("sdxl", None, {"down_blocks.0.temporal_attentions.0.norm.weight": (320,)}),
    ],
)
def test_motion_modules_are_told_with_their_version(
    architecture: str, edition: str | None, shapes: Shapes
) -> None:
    found = told(shapes)
    assert found.kind is K.MOTION_MODULE
    assert (found.architecture, found.edition) == (architecture, edition)


@pytest.mark.parametrize(
    ("kind", "variants", "shapes"),
    [
        (K.DETECTION, ("segmentation",), {"image_encoder.patch_embed.proj.weight": (768, 3, 16, 16), "mask_decoder.iou_token.weight": (1, 256)}),
        (K.DETECTION, (), {"model.0.conv.weight": (16, 3, 3, 3), "model.22.dfl.conv.weight": (1, 16, 1, 1)}),
        (K.OTHER, ("face restoration",), {"position_emb": (256, 512), "idx_pred_layer.1.weight": (1024, 512), "quantize.embedding.weight": (1024, 256)}),
        (K.OTHER, ("face restoration",), {"toRGB.0.weight": (3, 512, 1, 1), "stylegan_decoder.style_mlp.1.weight": (512, 512)}),
        (K.OTHER, ("gligen",), {"position_net.null_positive_feature": (768,), "position_net.linears.0.weight": (512, 832)}),
        (K.OTHER, ("aesthetic predictor",), {"weight": (1, 768), "bias": (1,)}),
        (K.OTHER, ("pose",), {"model0.conv1_1.weight": (64, 3, 3, 3)}),
        (K.VISION_LANGUAGE, (), {"visual_encoder.patch_embed.proj.weight": (768, 3, 16, 16), "text_decoder.bert.embeddings.word_embeddings.weight": (30524, 768)}),
    ],
)  # fmt: skip
def test_what_else_lies_about_is_named(
    kind: ModelKind, variants: tuple[str, ...], shapes: Shapes
) -> None:
    found = told(shapes)
    assert found.kind is kind
    assert found.variants == variants


def test_the_depth_model_of_sd2_is_named() -> None:
    found = told(listed("Depth-v2-SD"))
    assert found.kind is K.OTHER
    assert found.variants == ("depth",)


@pytest.mark.parametrize(
    "name",
    ["UNET-v1-SD", "UNET-v1-Inpainting", "UNET-XL-SD", "UNET-v2-Depth", "VAE-v1-SD", "CLIP-v1-SD",
     "CLIP-XL-SD"],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_component_of_a_checkpoint_is_no_small_kind(name: str, prefix: str) -> None:
    assert identify_small(header(listed(name, prefix))) is None


_NAMES = st.sampled_from(
    [
        *("emb_params", "<a>", "clip_g", "weight", "bias", "tensor", "model.0.weight"),
        *("conv_first.weight", "body.0.weight", "body.1.weight", "body.2.weight", _IP),
        *("model.1.sub.0.RDB1.conv1.0.weight", "body.0.rdb1.conv1.weight", "768.0.linear"),
        *("params_ema.conv_first.weight", "params_ema.body.0.rdb1.conv1.weight"),
        *("feats.0.weight", "feats.1.channel_mixer.0.weight", "lora_controlnet", "lllite_"),
        *("input_hint_block.0.weight", "zero_convs.0.0.weight", "conv_in.weight"),
        *("upsample.0.weight", "upsample.2.weight", "before_RG.1.weight", "image_proj.latents"),
        *("layers.0.residual_group.td", "unet1.conv1.conv.0.weight", "unet2.conv1_down.weight"),
        *("unet1.conv_bottom.weight", f"input_blocks.1.1.{ATTENTION}.weight"),
    ]
) | st.text(max_size=8)
_SHAPES = st.lists(st.sampled_from([0, 1, 3, 12, 768, 1 << 62]), max_size=5).map(tuple)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_NAMES, _SHAPES, max_size=8))
def test_no_names_and_shapes_make_it_raise(shapes: Shapes) -> None:
    tensors = {name: Tensor("F16", shape, (0, 0)) for name, shape in shapes.items()}
    identify_small(Header(format=FileFormat.TORCH_ZIP, tensors=tensors))


def test_a_large_model_is_refused_in_microseconds() -> None:
    model = header(listed("UNET-XL-SD", "model.diffusion_model."))
    started = time.thread_time()
    for _ in range(20):
        assert identify_small(model) is None
    assert (time.thread_time() - started) / 20 < 500e-6
