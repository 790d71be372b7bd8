"""One component in a file: each list alone, and each line of the tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modelhub.formats.identify import identify
from modelhub.formats.identify.engine import Rule, View
from modelhub.formats.identify.rules import diffusion, image_encoders, text_encoders, vaes
from modelhub.formats.identity import ModelKind
from modelhub.formats.tensors import FileFormat, Tensor

from .layouts import CLIP_L, EMA, UNET, VAE, Shapes, because, header, listed, names

# List, prefix in a full file, kind, architecture, edition, variants, text encoders.
LISTED: dict[str, tuple[str, ModelKind, str | None, str | None, tuple[str, ...]]] = {
    "CLIP-XL-SD": ("", ModelKind.TEXT_ENCODER, None, None, ()),
    "CLIP-v1-SD": (CLIP_L, ModelKind.TEXT_ENCODER, None, None, ()),
    "CLIP-v2-SD": ("", ModelKind.TEXT_ENCODER, None, None, ()),
    "CLIP-v2-WD": ("", ModelKind.TEXT_ENCODER, None, None, ()),
    "ControlNet-v1-SD": ("control_model.", ModelKind.CONTROLNET, "sd1", None, ()),
    "LoRA-v1-CLIP": ("", ModelKind.LORA, "sd1", None, ()),
    "LoRA-v1-UNET": ("", ModelKind.LORA, "sd1", None, ()),
    "LoRA-v1A-CLIP": ("", ModelKind.LORA, "sd1", None, ()),
    "LoRA-v1A-UNET": ("", ModelKind.LORA, "sd1", None, ()),
    "UNET-XL-Refiner": (UNET, ModelKind.DIFFUSION_MODEL, "sdxl", "refiner", ()),
    "UNET-XL-SD": (UNET, ModelKind.DIFFUSION_MODEL, "sdxl", "base", ()),
    "UNET-v1-EMA": (EMA, ModelKind.DIFFUSION_MODEL, "sd1", None, ()),
    "UNET-v1-Inpainting": (UNET, ModelKind.DIFFUSION_MODEL, "sd1", None, ("inpainting",)),
    "UNET-v1-Pix2Pix-EMA": (EMA, ModelKind.DIFFUSION_MODEL, "sd1", None, ("instruct-pix2pix",)),
    "UNET-v1-Pix2Pix": (UNET, ModelKind.DIFFUSION_MODEL, "sd1", None, ("instruct-pix2pix",)),
    "UNET-v1-SD": (UNET, ModelKind.DIFFUSION_MODEL, "sd1", None, ()),
    "UNET-v2-Depth": (UNET, ModelKind.DIFFUSION_MODEL, "sd2", None, ("depth",)),
    "UNET-v2-Inpainting": (UNET, ModelKind.DIFFUSION_MODEL, "sd2", None, ("inpainting",)),
    "UNET-v2-SD": (UNET, ModelKind.DIFFUSION_MODEL, "sd2", None, ()),
    "VAE-v1-SD": (VAE, ModelKind.VAE, None, "4-channel", ()),
}
TEXT_ENCODERS = {
    "CLIP-XL-SD": "OpenCLIP-bigG",
    "CLIP-v1-SD": "CLIP-L",
    "CLIP-v2-SD": "OpenCLIP-H",
    "CLIP-v2-WD": "OpenCLIP-H",
}


def test_every_list_has_its_line_here() -> None:
    # The depth estimator inside SD 2's depth model is no component of its own kind.
    assert set(names()) == set(LISTED) | {"Depth-v2-SD"}


@pytest.mark.parametrize("prefixed", [False, True])
@pytest.mark.parametrize("name", LISTED)
def test_a_list_alone_is_named_with_and_without_its_prefix(name: str, prefixed: bool) -> None:
    prefix, kind, architecture, edition, variants = LISTED[name]
    found = identify(header(listed(name, prefix if prefixed else "")))
    assert (found.kind, found.architecture, found.edition) == (kind, architecture, edition)
    assert found.variants == variants
    assert all(because(found, field) for field in ("kind", "precision"))
    assert found.ema is (True if "EMA" in name else None)
    if name in TEXT_ENCODERS:
        assert found.text_encoders == (TEXT_ENCODERS[name],)


TABLES: dict[str, tuple[Rule, ...]] = {
    "architectures": diffusion.ARCHITECTURES,
    "text encoders": text_encoders.TEXT_ENCODERS,
    "image encoders": image_encoders.IMAGE_ENCODERS,
    "VAEs": vaes.VAES,
    "architectures of VAEs": vaes.ARCHITECTURES,
    **{f"editions of {name}": rules for name, rules in diffusion.EDITIONS.items()},
}
LINES = [
    pytest.param(table, rule, id=f"{name}: {rule.value}: {rule.key}")
    for name, table in TABLES.items()
    for rule in table
]


def _tensors(rule: Rule) -> dict[str, Tensor]:
    """The least tensors for which a rule holds."""
    shapes: Shapes = dict.fromkeys(rule.also, (1,))
    shapes[rule.key] = tuple(7 if size is None else size for size in rule.shape)
    return {name: Tensor("F16", shape, (0, 0)) for name, shape in shapes.items()}


@pytest.mark.parametrize(("table", "rule"), LINES)
def test_every_line_of_a_table_can_be_reached(table: tuple[Rule, ...], rule: Rule) -> None:
    found = View(_tensors(rule)).first(table)
    assert found is not None
    assert found.value == rule.value


@pytest.mark.parametrize(("table", "rule"), LINES)
def test_every_line_says_why_and_where_that_is_known_from(
    table: tuple[Rule, ...], rule: Rule
) -> None:
    assert rule.because
    assert "/" in rule.source
    assert not set(rule.without) & {rule.key, *rule.also}


def _sources() -> Iterator[Rule]:
    for rules in (*TABLES.values(), *diffusion.VARIANTS.values(), diffusion.MARKS):
        yield from rules


def test_no_line_is_written_twice() -> None:
    for table in TABLES.values():
        lines = [(rule.key, rule.shape, rule.also, rule.without) for rule in table]
        assert len(lines) == len(set(lines))


def test_every_source_is_a_public_project_and_a_file() -> None:
    for rule in _sources():
        project, _, _file = rule.source.partition(" ")
        assert project.count("/") == 1, rule.source


@pytest.mark.parametrize(
    "wrapper", ["", "model.diffusion_model.", "model.", "net.", "transformer."]
)
def test_a_transformer_is_found_under_whatever_its_names_were_wrapped_in(wrapper: str) -> None:
    shapes: Shapes = {
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "img_in.weight": (3072, 64),
        "guidance_in.in_layer.weight": (3072, 256),
    }
    found = identify(header({wrapper + key: shape for key, shape in shapes.items()}))
    assert (found.kind, found.architecture, found.edition) == (
        ModelKind.DIFFUSION_MODEL,
        "flux",
        "dev",
    )


FLUX: Shapes = {
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "time_in.in_layer.weight": (3072, 256),
    "img_in.weight": (3072, 64),
}
GUIDED: Shapes = {"guidance_in.in_layer.weight": (3072, 256)}


@pytest.mark.parametrize(
    ("shapes", "edition", "variants"),
    [
        (FLUX | GUIDED, "dev", ()),
        (FLUX, "schnell", ()),
        (FLUX | GUIDED | {"img_in.weight": (3072, 384)}, "fill", ("inpainting",)),
        (FLUX | GUIDED | {"img_in.weight": (3072, 128)}, "canny or depth", ("control",)),
    ],
)
def test_editions_of_flux_by_tensors(shapes: Shapes, edition: str, variants: tuple[str]) -> None:
    found = identify(header(shapes))
    assert (found.architecture, found.edition, found.variants) == ("flux", edition, variants)
    assert not found.guessed & {"architecture", "edition"}


@pytest.mark.parametrize(
    ("shapes", "name", "edition"),
    [
        (FLUX | GUIDED, "flux1-dev-kontext_fp8_scaled.safetensors", "kontext"),
        (FLUX | GUIDED, "flux1-krea-dev.safetensors", "krea"),
        (FLUX | GUIDED | {"img_in.weight": (3072, 128)}, "flux1-depth-dev.safetensors", "depth"),
    ],
)
def test_editions_with_the_tensors_of_another_are_guesses(
    shapes: Shapes, name: str, edition: str
) -> None:
    found = identify(header(shapes), name=name)
    assert found.edition == edition
    assert "edition" in found.guessed


def test_a_name_never_overrules_tensors() -> None:
    found = identify(header(FLUX), name="flux1-dev-kontext sdxl refiner.safetensors")
    assert (found.architecture, found.edition) == ("flux", "schnell")


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("sdxl_vae.safetensors", "sdxl"),
        ("vae-ft-mse-840000-ema-pruned.safetensors", "sd1"),
        ("something.vae.pt", None),
    ],
)
def test_for_which_architecture_a_vae_is_may_be_guessed_by_its_name(
    name: str, architecture: str | None
) -> None:
    found = identify(header(listed("VAE-v1-SD")), name=name)
    assert (found.kind, found.edition) == (ModelKind.VAE, "4-channel")
    assert found.architecture == architecture
    assert ("architecture" in found.guessed) is (architecture is not None)


def test_the_vae_of_wan_21_is_a_guess_for_qwen_has_the_same() -> None:
    found = identify(header({"decoder.middle.0.residual.0.gamma": (384, 1, 1, 1)}))
    assert (found.kind, found.architecture) == (ModelKind.VAE, "wan")
    assert "architecture" in found.guessed


def test_a_language_model_in_gguf_is_a_text_encoder() -> None:
    shapes: Shapes = {
        "token_embd.weight": (151936, 2560),
        "blk.0.attn_norm.weight": (2560,),
        "blk.0.attn_q_norm.weight": (128,),
    }
    metadata = {"general.architecture": "qwen3", "general.file_type": "15"}
    found = identify(header((shapes, "Q4_K"), metadata=metadata, format=FileFormat.GGUF))
    assert (found.kind, found.text_encoders) == (ModelKind.TEXT_ENCODER, ("Qwen3-4B",))
    assert found.precision == "Q4_K_M"


def test_what_nobody_knows_has_no_kind_and_no_guess() -> None:
    found = identify(header({"encoder.stem.0.weight": (8, 8), "head.bias": (4,)}), name="x.pt")
    assert found.kind is None
    assert found.architecture is None
