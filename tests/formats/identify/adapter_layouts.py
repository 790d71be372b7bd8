"""Adapters of true layout for the tests: the modules of each model, as each trainer writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.formats.identify.layouts import Shapes

Modules = Mapping[str, tuple[int, int]]
"""The output and input width of each changed module, by its dotted path in the model."""


def _attention(path: str, width: int, text: int) -> dict[str, tuple[int, int]]:
    return {
        f"{path}.attn1.to_q": (width, width),
        f"{path}.attn1.to_k": (width, width),
        f"{path}.attn2.to_q": (width, width),
        f"{path}.attn2.to_k": (width, text),
        f"{path}.attn2.to_v": (width, text),
        f"{path}.ff.net.0.proj": (width * 8, width),
    }


def _blocks(count: int, *paths: tuple[str, int, int]) -> dict[str, tuple[int, int]]:
    return {
        path.format(number): (out, width) for number in range(count) for path, out, width in paths
    }


SD1 = {
    **_attention("down_blocks.0.attentions.0.transformer_blocks.0", 320, 768),
    **_attention("down_blocks.1.attentions.0.transformer_blocks.0", 640, 768),
    **_attention("mid_block.attentions.0.transformer_blocks.0", 1280, 768),
}
SD2 = {
    **_attention("down_blocks.0.attentions.0.transformer_blocks.0", 320, 1024),
    **_attention("mid_block.attentions.0.transformer_blocks.0", 1280, 1024),
}
# kohya writes the UNet of SDXL with the names of the original (sd-scripts, sdxl_model_util.py).
SDXL = {
    **_attention("input_blocks.4.1.transformer_blocks.0", 640, 2048),
    **_attention("input_blocks.4.1.transformer_blocks.1", 640, 2048),
    **_attention("middle_block.1.transformer_blocks.9", 1280, 2048),
}
SDXL_DIFFUSERS = {
    **_attention("down_blocks.1.attentions.0.transformer_blocks.0", 640, 2048),
    **_attention("mid_block.attentions.0.transformer_blocks.9", 1280, 2048),
}
REFINER = _attention("input_blocks.4.1.transformer_blocks.0", 768, 1280)
SVD = {
    **_attention("down_blocks.0.attentions.0.transformer_blocks.0", 320, 1024),
    **_attention("down_blocks.0.attentions.0.temporal_transformer_blocks.0", 320, 1024),
}
MOTION = {
    f"down_blocks.{n}.motion_modules.0.temporal_transformer.transformer_blocks.0."
    f"attention_blocks.0.to_{what}": (width, width)
    for n, width in enumerate((320, 640, 1280, 1280))
    for what in "qkv"
}
FLUX = _blocks(
    19,
    ("double_blocks.{}.img_attn.qkv", 9216, 3072),
    ("double_blocks.{}.img_mod.lin", 18432, 3072),
    ("double_blocks.{}.img_mlp.0", 12288, 3072),
) | _blocks(
    38,
    ("single_blocks.{}.linear1", 21504, 3072),
    ("single_blocks.{}.modulation.lin", 9216, 3072),
)
FLUX_DIFFUSERS = _blocks(
    19,
    ("transformer_blocks.{}.attn.to_q", 3072, 3072),
    ("transformer_blocks.{}.attn.add_k_proj", 3072, 3072),
    ("transformer_blocks.{}.ff_context.net.0.proj", 12288, 3072),
) | _blocks(38, ("single_transformer_blocks.{}.proj_out", 3072, 15360))
FLUX2 = _blocks(8, ("double_blocks.{}.img_attn.qkv", 18432, 6144))
FLUX2_KLEIN = _blocks(8, ("double_blocks.{}.img_attn.proj", 4096, 4096))
FLUX2_KLEIN_4B = _blocks(5, ("double_blocks.{}.img_mlp.0", 18432, 3072))
HUNYUAN_VIDEO = _blocks(
    20,
    ("double_blocks.{}.img_attn_qkv", 9216, 3072),
    ("double_blocks.{}.img_mlp.fc1", 12288, 3072),
    ("double_blocks.{}.img_mod.linear", 18432, 3072),
)
HUNYUAN_VIDEO_ATTENTION = _blocks(20, ("double_blocks.{}.img_attn_qkv", 9216, 3072))
HUNYUAN_IMAGE = _blocks(20, ("double_blocks.{}.img_attn_qkv", 10752, 3584))
CHROMA = {**_blocks(5, ("distilled_guidance_layer.layers.{}.in_layer", 5120, 5120)),
          **_blocks(19, ("double_blocks.{}.img_attn.qkv", 9216, 3072))}  # fmt: skip
SD3 = _blocks(24, ("joint_blocks.{}.x_block.attn.qkv", 4608, 1536))
SD35_MEDIUM = SD3 | _blocks(13, ("joint_blocks.{}.x_block.attn2.qkv", 4608, 1536))
SD35_LARGE = _blocks(
    38, ("transformer_blocks.{}.attn.to_q", 2432, 2432),
    ("transformer_blocks.{}.attn.add_k_proj", 2432, 2432),
)  # fmt: skip
QWEN = _blocks(
    60,
    ("transformer_blocks.{}.attn.to_q", 3072, 3072),
    ("transformer_blocks.{}.attn.add_k_proj", 3072, 3072),
    ("transformer_blocks.{}.img_mod.1", 18432, 3072),
)
QWEN_ATTENTION = _blocks(60, ("transformer_blocks.{}.attn.to_q", 3072, 3072))
QWEN_21 = _blocks(
    32,
    ("transformer_blocks.{}.attn.to_q", 4096, 4096),
    ("transformer_blocks.{}.img_mlp.gate_layer", 12288, 4096),
)
KREA2_DIFFUSERS = _blocks(
    28,
    ("transformer_blocks.{}.attn.to_q", 6144, 6144),
    ("transformer_blocks.{}.attn.to_gate", 6144, 6144),
)
WAN_14B = _blocks(
    40,
    ("blocks.{}.self_attn.q", 5120, 5120),
    ("blocks.{}.cross_attn.k", 5120, 5120),
    ("blocks.{}.ffn.0", 13824, 5120),
)
WAN_1B = _blocks(30, ("blocks.{}.self_attn.q", 1536, 1536))
WAN_5B = _blocks(30, ("blocks.{}.self_attn.q", 3072, 3072))
WAN_I2V = WAN_14B | _blocks(40, ("blocks.{}.cross_attn.k_img", 5120, 5120))
WAN_DIFFUSERS = _blocks(40, ("blocks.{}.attn1.to_q", 5120, 5120))
HUNYUAN_DIT = _blocks(40, ("blocks.{}.attn1.Wqkv", 4224, 1408))
PIXART = _blocks(28, ("transformer_blocks.{}.attn1.to_q", 1152, 1152),
                 ("transformer_blocks.{}.attn2.to_q", 1152, 1152))  # fmt: skip
PIXART_ORIGINAL = _blocks(28, ("blocks.{}.cross_attn.kv_linear", 2304, 1152))
LTX = _blocks(28, ("transformer_blocks.{}.attn1.to_q", 2048, 2048),
              ("transformer_blocks.{}.attn2.to_q", 2048, 2048),
              ("transformer_blocks.{}.attn2.to_k", 2048, 2048))  # fmt: skip
COGVIDEO = _blocks(30, ("transformer_blocks.{}.attn1.to_q", 1920, 1920))
MOCHI = _blocks(48, ("transformer_blocks.{}.attn1.to_q", 3072, 3072),
                ("transformer_blocks.{}.attn1.add_k_proj", 3072, 1536))  # fmt: skip
AURA = _blocks(4, ("joint_transformer_blocks.{}.attn.to_q", 3072, 3072)) | _blocks(
    32, ("single_transformer_blocks.{}.attn.to_q", 3072, 3072)
)
HIDREAM = _blocks(16, ("double_stream_blocks.{}.block.attn1.to_q", 2560, 2560))
LUMINA = _blocks(26, ("layers.{}.attention.qkv", 3840, 2304))
ZIMAGE = _blocks(
    30,
    ("layers.{}.attention.to_q", 3840, 3840),
    ("layers.{}.adaLN_modulation.0", 15360, 256),
)
ANIMA = _blocks(28, ("blocks.{}.cross_attn.q_proj", 2048, 2048),
                ("llm_adapter.blocks.{}.cross_attn.q_proj", 1024, 1024))  # fmt: skip
KREA2 = _blocks(28, ("blocks.{}.attn.wq", 6144, 6144)) | {"txtfusion.projector": (6144, 2560)}
CASCADE = _blocks(8, ("down_blocks.0.{}.attention.attn.to_q", 1536, 1536))


def clip(layers: int, width: int) -> dict[str, tuple[int, int]]:
    """The modules of a CLIP that trainers change."""
    return _blocks(
        layers,
        ("text_model.encoder.layers.{}.mlp.fc1", width * 4, width),
        ("text_model.encoder.layers.{}.self_attn.q_proj", width, width),
    )


T5 = _blocks(24, ("encoder.block.{}.layer.0.SelfAttention.q", 4096, 4096))


def kohya(modules: Modules, prefix: str = "lora_unet_", rank: int = 8) -> Shapes:
    """As kohya-ss/sd-scripts ``networks/lora.py`` saves it."""
    return _each(modules, prefix, lambda out, width: {
        "alpha": (), "lora_down.weight": (rank, width), "lora_up.weight": (out, rank),
    })  # fmt: skip


def dora(modules: Modules, prefix: str = "lora_unet_", rank: int = 8) -> Shapes:
    """As LyCORIS saves a LoCon with ``dora_wd``."""
    return _each(modules, prefix, lambda out, width: {
        "alpha": (), "dora_scale": (1, width),
        "lora_down.weight": (rank, width), "lora_up.weight": (out, rank),
    })  # fmt: skip


def loha(modules: Modules, prefix: str = "lora_unet_", rank: int = 4) -> Shapes:
    """As LyCORIS ``modules/loha.py``."""
    return _each(modules, prefix, lambda out, width: {
        "alpha": (), "hada_w1_a": (out, rank), "hada_w1_b": (rank, width),
        "hada_w2_a": (out, rank), "hada_w2_b": (rank, width),
    })  # fmt: skip


def lokr(modules: Modules, prefix: str = "lora_unet_", rank: int = 4) -> Shapes:
    """As LyCORIS ``modules/lokr.py``, with a factor of 8."""
    return _each(modules, prefix, lambda out, width: {
        "alpha": (), "lokr_w1": (8, 8),
        "lokr_w2_a": (out // 8, rank), "lokr_w2_b": (rank, width // 8),
    })  # fmt: skip


def oft(modules: Modules, prefix: str = "lora_unet_") -> Shapes:
    """As LyCORIS ``modules/diag_oft.py``."""
    return _each(modules, prefix, lambda out, width: {"alpha": (), "oft_blocks": (8, 40, 40)})


def boft(modules: Modules, prefix: str = "lora_unet_") -> Shapes:
    """As LyCORIS ``modules/boft.py``."""
    return _each(modules, prefix, lambda out, width: {"alpha": (), "oft_blocks": (3, 8, 40, 40)})


def glora(modules: Modules, prefix: str = "lora_unet_", rank: int = 8) -> Shapes:
    """As LyCORIS ``modules/glora.py``."""
    return _each(modules, prefix, lambda out, width: {
        "alpha": (), "a1.weight": (width, rank), "a2.weight": (rank, width),
        "b1.weight": (out, rank), "b2.weight": (rank, width),
    })  # fmt: skip


def ia3(modules: Modules, prefix: str = "lora_unet_") -> Shapes:
    """As LyCORIS ``modules/ia3.py``."""
    return _each(modules, prefix, lambda out, width: {"on_input": (), "weight": (1, width)})


def full(modules: Modules, prefix: str = "lora_unet_") -> Shapes:
    """As LyCORIS ``modules/full.py``."""
    return _each(modules, prefix, lambda out, width: {"diff": (out, width), "diff_b": (out,)})


def peft(modules: Modules, prefix: str = "diffusion_model.", rank: int = 16) -> Shapes:
    """As huggingface/peft and today's diffusers save it."""
    return {
        f"{prefix}{module}.{name}.weight": shape
        for module, (out, width) in modules.items()
        for name, shape in (("lora_A", (rank, width)), ("lora_B", (out, rank)))
    }


def processors(modules: Modules, rank: int = 4) -> Shapes:
    """As diffusers saved attention processors until 0.18."""
    shapes: Shapes = {}
    for module, (out, width) in modules.items():
        head, _, last = module.rpartition(".")
        if last.startswith("to_"):
            shapes[f"{head}.processor.{last}_lora.down.weight"] = (rank, width)
            shapes[f"{head}.processor.{last}_lora.up.weight"] = (out, rank)
    return shapes


def _each(
    modules: Modules, prefix: str, weights: Callable[[int, int], Mapping[str, tuple[int, ...]]]
) -> Shapes:
    """With underscores for the dots where the prefix has them."""
    shapes: Shapes = {}
    for module, (out, width) in modules.items():
        name = module if prefix.endswith(".") else module.replace(".", "_")
        for ending, shape in weights(out, width).items():
            shapes[f"{prefix}{name}.{ending}"] = shape
    return shapes
