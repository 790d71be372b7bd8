"""The pipelines of models of flow matching, whose transformer is mostly published alone.

Sources: ``huggingface/diffusers`` ``src/diffusers/pipelines`` (the parts and their names),
``comfyanonymous/ComfyUI`` ``comfy/supported_models.py`` (which prefixes parts have in one file).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelhub.formats.identity import Identity, ModelKind


@dataclass(frozen=True, slots=True)
class Needed:
    """A part that a pipeline cannot do without.

    :param part: its name in diffusers.
    :param words: for people.
    :param kind: of the file that has it; None where it is a folder (a tokenizer).
    :param fits: the architectures of such a file, its editions, or the text encoders in it, as
        identification names them; any of them.
    :param prefixes: of its tensors in a single file with all parts.
    :param usual: what such a file is usually called.
    """

    part: str
    words: str
    kind: ModelKind | None
    fits: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    usual: str = ""


@dataclass(frozen=True, slots=True)
class OtherPipeline:
    """A pipeline around a transformer.

    :param pipeline_class: of diffusers.
    :param transformer_class: of diffusers.
    :param parts: all that it needs beside the transformer.
    :param optional: what it uses where it is there.
    :param layout: what the tables of names and settings know it by; empty: by its architecture.
    """

    pipeline_class: str
    transformer_class: str
    parts: tuple[Needed, ...]
    optional: tuple[Needed, ...] = ()
    layout: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all parts that a recipe may give."""
        return tuple(one.part for one in (*self.parts, *self.optional))


def _text(part: str, name: str, key: str, usual: str = "") -> Needed:
    words, prefix = f"the text encoder {name}", f"text_encoders.{key}."
    return Needed(part, words, ModelKind.TEXT_ENCODER, (name,), (prefix,), usual)


def _vae(*fits: str, usual: str = "") -> Needed:
    words, prefixes = f"a VAE of {fits[0]}", ("first_stage_model.", "vae.")
    return Needed("vae", words, ModelKind.VAE, fits, prefixes, usual)


def _wan_vae(edition: str, usual: str) -> Needed:
    return replace(_vae("wan", usual=usual), words=f"the VAE of Wan {edition[:3]}", fits=(edition,))


def _tokenizer(part: str, name: str) -> Needed:
    return Needed(part, f"the tokenizer of {name} (it is not bundled)", None, (name,))


_CLIP_L = _text("text_encoder", "CLIP-L", "clip_l", "clip_l.safetensors")
_FLUX_VAE = _vae("flux", "flux1", usual="ae.safetensors")
_T5 = "t5xxl_fp16.safetensors"
_FLUX2_VAE = _vae("flux2", usual="flux2-vae.safetensors")
MISTRAL = "Mistral-Small-24B"

PIPELINES: Mapping[str, OtherPipeline] = {
    "sd3": OtherPipeline(
        "StableDiffusion3Pipeline",
        "SD3Transformer2DModel",
        (
            _vae("sd3"),
            _CLIP_L,
            _text("text_encoder_2", "OpenCLIP-bigG", "clip_g", "clip_g.safetensors"),
        ),
        (
            _text("text_encoder_3", "T5-XXL", "t5xxl", _T5),
            _tokenizer("tokenizer_3", "T5"),
        ),
    ),
    "flux": OtherPipeline(
        "FluxPipeline",
        "FluxTransformer2DModel",
        (
            _FLUX_VAE,
            _CLIP_L,
            _text("text_encoder_2", "T5-XXL", "t5xxl", _T5),
            _tokenizer("tokenizer_2", "T5"),
        ),
    ),
    "flux2": OtherPipeline(
        "Flux2Pipeline",
        "Flux2Transformer2DModel",
        (
            _FLUX2_VAE,
            _text(
                "text_encoder", MISTRAL, "mistral3_24b", "mistral_3_small_flux2_bf16.safetensors"
            ),
            _tokenizer("tokenizer", "Mistral Small"),
        ),
    ),
    "chroma": OtherPipeline(
        "ChromaPipeline",
        "ChromaTransformer2DModel",
        (
            _FLUX_VAE,
            _text("text_encoder", "T5-XXL", "t5xxl", _T5),
            _tokenizer("tokenizer", "T5"),
        ),
    ),
    "zimage": OtherPipeline(
        "ZImagePipeline",
        "ZImageTransformer2DModel",
        (
            _FLUX_VAE,
            _text("text_encoder", "Qwen3-4B", "qwen3_4b", "qwen_3_4b.safetensors"),
            _tokenizer("tokenizer", "Qwen3"),
        ),
    ),
    "lumina": OtherPipeline(
        "Lumina2Pipeline",
        "Lumina2Transformer2DModel",
        (
            _FLUX_VAE,
            _text("text_encoder", "Gemma-2-2B", "gemma2_2b", "gemma_2_2b_fp16.safetensors"),
            _tokenizer("tokenizer", "Gemma 2"),
        ),
    ),
    "auraflow": OtherPipeline(
        "AuraFlowPipeline",
        "AuraFlowTransformer2DModel",
        (
            _vae("sdxl", usual="sdxl_vae.safetensors"),
            _text("text_encoder", "Pile-T5-XL", "pile_t5xl"),
            _tokenizer("tokenizer", "Pile-T5"),
        ),
    ),
    "qwen": OtherPipeline(
        "QwenImagePipeline",
        "QwenImageTransformer2DModel",
        (
            _vae("wan", usual="qwen_image_vae.safetensors"),
            _text("text_encoder", "Qwen2.5-VL-7B", "qwen25_7b", "qwen_2.5_vl_7b.safetensors"),
            _tokenizer("tokenizer", "Qwen2.5"),
        ),
    ),
    "krea2": OtherPipeline(
        "Krea2Pipeline",
        "Krea2Transformer2DModel",
        (
            _vae("wan", usual="qwen_image_vae.safetensors"),
            _text("text_encoder", "Qwen3-VL-4B", "qwen3vl_4b", "qwen3vl_4b_bf16.safetensors"),
            _tokenizer("tokenizer", "Qwen3"),
        ),
    ),
    "hidream": OtherPipeline(
        "HiDreamImagePipeline",
        "HiDreamImageTransformer2DModel",
        (
            _FLUX_VAE,
            _text("text_encoder", "CLIP-L", "clip_l", "clip_l_hidream.safetensors"),
            _text("text_encoder_2", "OpenCLIP-bigG", "clip_g", "clip_g_hidream.safetensors"),
            _text("text_encoder_3", "T5-XXL", "t5xxl", _T5),
            _tokenizer("tokenizer_3", "T5"),
            _text("text_encoder_4", "Llama-3-8B", "llama", "Llama 3.1 8B Instruct in bf16"),
            _tokenizer("tokenizer_4", "Llama 3"),
        ),
    ),
    "sana": OtherPipeline(
        "SanaPipeline",
        "SanaTransformer2DModel",
        (
            replace(
                _vae("sana", usual="dc-ae-f32c32-sana-1.0"),
                words="Sana's VAE (DC-AE)",
                fits=("deep compression",),
            ),
            _text("text_encoder", "Gemma-2-2B", "gemma2_2b", "gemma-2-2b-it"),
            _tokenizer("tokenizer", "Gemma 2"),
        ),
    ),
    "wan": OtherPipeline(
        "WanPipeline",
        "WanTransformer3DModel",
        (
            _wan_vae("2.1, 16-channel", "wan_2.1_vae.safetensors"),
            _text("text_encoder", "UMT5-XXL", "umt5xxl", "umt5_xxl_fp16.safetensors"),
            _tokenizer("tokenizer", "UMT5"),
        ),
        (
            Needed(
                "transformer_2",
                "the low-noise transformer",
                ModelKind.DIFFUSION_MODEL,
                prefixes=("transformer_2/",),
            ),
        ),
    ),
}
"""By the architecture, as ``arch:`` searches it."""


def _klein(encoder: str, key: str) -> OtherPipeline:
    return OtherPipeline(
        "Flux2KleinPipeline",
        "Flux2Transformer2DModel",
        (
            _FLUX2_VAE,
            _text("text_encoder", encoder, key, f"{key.replace('qwen3', 'qwen_3')}.safetensors"),
            _tokenizer("tokenizer", "Qwen3"),
        ),
    )


_OF_EDITION: Mapping[tuple[str, str], OtherPipeline] = {
    ("flux2", "klein 4B"): _klein("Qwen3-4B", "qwen3_4b"),
    ("flux2", "klein 9B"): _klein("Qwen3-8B", "qwen3_8b"),
    ("qwen", "2.1"): OtherPipeline(
        "QwenImage21Pipeline",
        "QwenImage21Transformer2DModel",
        (
            replace(
                _vae("qwen", usual="qwen_image_2.1_vae_bf16.safetensors"),
                words="the VAE of Qwen-Image 2.1",
            ),
            _text("text_encoder", "Qwen3-VL-8B", "qwen3vl_8b", "qwen3vl_8b_bf16.safetensors"),
            _tokenizer("tokenizer", "Qwen3"),
        ),
        layout="qwen21",
    ),
    ("wan", "2.2 ti2v 5B"): replace(
        PIPELINES["wan"],
        parts=(
            _wan_vae("2.2, 48-channel", "wan2.2_vae.safetensors"),
            *PIPELINES["wan"].parts[1:],
        ),
        optional=(),
    ),
}
"""By architecture and edition, where an edition has another pipeline, or other parts."""


def pipeline_for(identity: Identity) -> OtherPipeline | None:
    """The pipeline around a model's transformer; None of what is not rendered that way."""
    architecture = identity.architecture or ""
    own = _OF_EDITION.get((architecture, identity.edition or ""))
    return own or PIPELINES.get(architecture)


def layout_of(identity: Identity) -> str:
    """What the tables of names and settings know a model by; empty: they do not."""
    pipeline = pipeline_for(identity)
    return (pipeline.layout if pipeline is not None else "") or identity.architecture or ""
