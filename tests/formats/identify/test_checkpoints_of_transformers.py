"""Files with parts of several kinds, as newer architectures are published: named by all of them.

The keys and shapes are those that the rules' sources name; each file here has only the tensors
that matter, under the prefixes of real ones.
"""

from __future__ import annotations

import pytest

from modelhub.formats.identify import identify
from modelhub.formats.identity import ModelKind
from modelhub.formats.tensors import FileFormat

from .layouts import UNET, Shapes, header, listed

CLIP_L: Shapes = {
    "embeddings.token_embedding.weight": (49408, 768),
    "encoder.layers.0.layer_norm1.weight": (768,),
}
CLIP_G: Shapes = {
    "embeddings.token_embedding.weight": (49408, 1280),
    "encoder.layers.0.layer_norm1.weight": (1280,),
}
T5: Shapes = {
    "encoder.block.0.layer.0.SelfAttention.k.weight": (4096, 4096),
    "encoder.final_layer_norm.weight": (4096,),
}
VAE_16: Shapes = {"decoder.conv_in.weight": (512, 16, 3, 3)}


def _under(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


FLUX: Shapes = {
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "img_in.weight": (3072, 64),
    "guidance_in.in_layer.weight": (3072, 256),
}
SD3_LARGE: Shapes = {
    "joint_blocks.0.context_block.attn.qkv.weight": (7296, 2432),
    "joint_blocks.37.x_block.mlp.fc1.weight": (9728, 2432),
}
LTX: Shapes = {
    "adaln_single.emb.timestep_embedder.linear_1.bias": (2048,),
    "patchify_proj.weight": (2048, 128),
    "patchify_proj.bias": (2048,),
}
LTX_VAE: Shapes = {"decoder.up_blocks.0.res_blocks.0.conv1.conv.weight": (512, 512, 3, 3, 3)}
SVD: Shapes = {
    "input_blocks.0.0.weight": (320, 8, 3, 3),
    "input_blocks.1.1.time_stack.0.attn1.to_q.weight": (320, 320),
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
}
UNCLIP: Shapes = {
    "input_blocks.0.0.weight": (320, 4, 3, 3),
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
    "label_emb.0.0.weight": (1280, 2048),
}
STAGE_C: Shapes = {"clf.1.weight": (64, 2048, 1, 1), "clip_txt_mapper.weight": (2048, 1280)}
OPEN_CLIP_H: Shapes = {
    "token_embedding.weight": (49408, 1024),
    "transformer.resblocks.0.ln_1.weight": (1024,),
}
VISION_H: Shapes = {"visual.conv1.weight": (1280, 3, 14, 14)}
VAE_4: Shapes = {"decoder.conv_in.weight": (512, 4, 3, 3)}

WHOLE: dict[str, tuple[tuple[Shapes, ...], str, str | None, tuple[str, ...], bool]] = {
    "flux all in one": (
        (
            _under(UNET, FLUX),
            _under("vae.", VAE_16),
            _under("text_encoders.clip_l.transformer.text_model.", CLIP_L),
            _under("text_encoders.t5xxl.transformer.", T5),
        ),
        "flux",
        "dev",
        ("CLIP-L", "T5-XXL"),
        True,
    ),
    "sd 3.5 large with encoders": (
        (
            _under(UNET, SD3_LARGE),
            _under("first_stage_model.", VAE_16),
            _under("text_encoders.clip_l.transformer.text_model.", CLIP_L),
            _under("text_encoders.clip_g.transformer.text_model.", CLIP_G),
            _under("text_encoders.t5xxl.transformer.", T5),
        ),
        "sd3",
        "3.5 large",
        ("CLIP-L", "OpenCLIP-bigG", "T5-XXL"),
        True,
    ),
    "ltx video 0.9": ((_under(UNET, LTX), _under("vae.", LTX_VAE)), "ltxv", "2B", (), True),
    "svd": (
        (
            _under(UNET, SVD),
            _under("first_stage_model.", VAE_4),
            _under("conditioner.embedders.0.open_clip.model.", VISION_H),
        ),
        "svd",
        None,
        (),
        True,
    ),
    "sd 2.1 unclip": (
        (
            _under(UNET, UNCLIP),
            _under("first_stage_model.", VAE_4),
            _under("cond_stage_model.model.", OPEN_CLIP_H),
            _under("embedder.model.", VISION_H),
        ),
        "sd2",
        None,
        ("OpenCLIP-H",),
        True,
    ),
    "stable cascade stage c": (
        (_under(UNET, STAGE_C), _under("text_encoder.text_model.", CLIP_G)),
        "cascade",
        "stage c",
        ("OpenCLIP-bigG",),
        False,
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_checkpoint_of_several_parts(name: str) -> None:
    parts, architecture, edition, encoders, vae = WHOLE[name]
    found = identify(header(*parts))
    assert (found.kind, found.architecture, found.edition) == (
        ModelKind.CHECKPOINT,
        architecture,
        edition,
    )
    assert (found.text_encoders, found.vae) == (encoders, vae)
    assert found.variants == (("unclip",) if "unclip" in name else ())


def test_a_checkpoint_in_nf4_is_told_in_spite_of_its_packed_weights() -> None:
    packed: Shapes = {"double_blocks.0.img_attn.qkv.weight": (14_155_776, 1)}
    state = "double_blocks.0.img_attn.qkv.weight.quant_state.bitsandbytes__nf4"
    found = identify(
        header(
            _under(UNET, FLUX | {"img_in.weight": (98_304, 1)}),
            (_under(UNET, packed), "U8"),
            (_under(UNET, {state: (160,)}), "U8"),
            _under("vae.", VAE_16),
        )
    )
    assert (found.kind, found.architecture, found.edition) == (
        ModelKind.CHECKPOINT,
        "flux",
        "dev",
    )
    assert found.precisions == {"unet": "nf4", "vae": "fp16"}


def test_svdquant_of_nunchaku_is_flux_in_four_bits() -> None:
    layer = "single_transformer_blocks.0.mlp_fc1"
    found = identify(
        header(
            ({f"{layer}.qweight": (12288, 1536)}, "I8"),
            {
                f"{layer}.wscales": (48, 12288),
                "x_embedder.weight": (3072, 64),
                "time_text_embed.guidance_embedder.linear_1.weight": (3072, 256),
            },
        )
    )
    assert (found.kind, found.architecture, found.edition) == (
        ModelKind.DIFFUSION_MODEL,
        "flux",
        "dev",
    )
    assert found.precision == "int4"
    assert "wscales" in next(one.because for one in found.evidence if one.field == "precisions")


WAN: Shapes = {
    "head.modulation": (1, 2, 5120),
    "blocks.0.self_attn.q.bias": (5120,),
    "patch_embedding.bias": (5120,),
    "patch_embedding.weight": (5120, 16, 1, 2, 2),
}


@pytest.mark.parametrize(
    ("shapes", "name", "edition", "variants", "guessed"),
    [
        (WAN, "", "t2v 14B", (), False),
        (WAN, "wan2.1_t2v_14B_bf16.safetensors", "2.1 t2v 14B", (), True),
        (WAN, "wan2.2_t2v_high_noise_14B.gguf", "2.2 t2v 14B", ("high-noise",), True),
        (WAN | {"patch_embedding.weight": (5120, 36, 1, 2, 2)}, "", "2.2 i2v 14B", (), False),
        (
            WAN | {"img_emb.proj.0.bias": (1280,), "blocks.39.ffn.0.weight": (13824, 5120)},
            "",
            "2.1 i2v 14B",
            (),
            False,
        ),
        ({key: WAN[key] for key in list(WAN)[:3]}, "", "14B", (), False),
    ],
)
def test_editions_of_wan(
    shapes: Shapes, name: str, edition: str, variants: tuple[str, ...], guessed: bool
) -> None:
    found = identify(header((shapes, "Q8_0"), format=FileFormat.GGUF), name=name)
    assert (found.kind, found.architecture) == (ModelKind.DIFFUSION_MODEL, "wan")
    assert (found.edition, found.variants) == (edition, variants)
    assert ("edition" in found.guessed) is guessed


@pytest.mark.parametrize(
    ("width", "tokens", "architecture"), [(3840, 2560, "zimage"), (2304, 2304, "lumina")]
)
def test_lumina_and_z_image_have_one_layout_and_two_widths(
    width: int, tokens: int, architecture: str
) -> None:
    shapes: Shapes = {
        "cap_embedder.1.bias": (width,),
        "cap_embedder.1.weight": (width, tokens),
        "noise_refiner.0.attention.k_norm.weight": (width // 30,),
    }
    assert identify(header(shapes)).architecture == architecture


def test_a_vision_tower_makes_qwen_a_vision_language_encoder() -> None:
    language: Shapes = {"model.layers.0.self_attn.k_proj.bias": (512,)}
    vision: Shapes = {"visual.patch_embed.proj.weight": (1280, 3, 2, 14, 14)}
    assert identify(header(language)).text_encoders == ("Qwen2.5-7B",)
    assert identify(header(language | vision)).text_encoders == ("Qwen2.5-VL-7B",)


def test_a_unet_beside_a_text_encoder_of_the_same_names_is_still_both() -> None:
    found = identify(header(listed("UNET-v1-SD", UNET), _under("text_encoder.text_model.", CLIP_L)))
    assert (found.kind, found.vae) == (ModelKind.CHECKPOINT, False)
