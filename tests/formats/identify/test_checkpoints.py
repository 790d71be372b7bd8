"""Full checkpoints, put together from the tensor lists of real files, are named right."""

from __future__ import annotations

import pytest

from modelhub.formats.identify import identify
from modelhub.formats.identity import ModelKind
from modelhub.formats.tensors import FileFormat

from .layouts import (
    CLIP_L,
    EMA,
    EMA_COUNTERS,
    OPEN_CLIP,
    REFINER,
    SCHEDULE,
    SD1,
    SD2,
    SDXL,
    UNET,
    VAE,
    Shapes,
    because,
    header,
    listed,
)

UNET_ONE, VAE_ONE, CLIP_ONE = 859_520_964, 83_653_863, 123_060_480


def test_sd1_is_told_by_its_cross_attention_width() -> None:
    found = identify(header(*SD1))
    assert found.kind is ModelKind.CHECKPOINT
    assert (found.architecture, found.edition, found.variants) == ("sd1", None, ())
    [said] = because(found, "architecture")
    assert said.certain
    assert said.because == (
        "cross-attention width 768 "
        "(model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight)"
    )
    assert found.text_encoders == ("CLIP-L",)
    assert (found.vae, found.ema, found.pruned) == (True, False, True)
    assert found.precision == "fp16"
    assert found.precisions == {"unet": "fp16", "vae": "fp16", "text encoder": "fp16"}


def test_parameters_are_those_of_the_weights_without_schedules_and_positions() -> None:
    found = identify(header(*SD1, SCHEDULE))
    assert found.parameters == UNET_ONE + VAE_ONE + CLIP_ONE


def test_clip_without_the_text_model_prefix_is_found_as_well() -> None:
    clip = listed("CLIP-v1-SD", "cond_stage_model.transformer.")
    found = identify(header(SD1[0], SD1[1], clip))
    assert (found.kind, found.text_encoders) == (ModelKind.CHECKPOINT, ("CLIP-L",))


def test_an_ema_copy_is_seen_and_not_counted() -> None:
    ema = (listed("UNET-v1-EMA", EMA), "F32")
    found = identify(header(*SD1, ema, EMA_COUNTERS, SCHEDULE))
    assert (found.architecture, found.ema, found.pruned) == ("sd1", True, False)
    assert found.parameters == UNET_ONE + VAE_ONE + CLIP_ONE
    assert found.precisions["ema"] == "fp32"
    assert found.precision == "fp16"
    assert because(found, "ema")[0].because == "688 tensors under model_ema."


def test_counters_of_an_ema_that_was_cut_out_are_no_ema() -> None:
    found = identify(header(*SD1, EMA_COUNTERS))
    assert (found.ema, found.pruned) == (False, True)


def test_a_training_checkpoint_is_not_pruned() -> None:
    whole = header(*SD1, extras=("optimizer_states", "epoch"), format=FileFormat.TORCH_ZIP)
    found = identify(whole)
    assert (found.ema, found.pruned) == (False, False)
    assert "optimizer_states" in because(found, "pruned")[0].because


@pytest.mark.parametrize(
    ("unet", "architecture", "variant", "channels"),
    [
        ("UNET-v1-Inpainting", "sd1", "inpainting", 9),
        ("UNET-v1-Pix2Pix", "sd1", "instruct-pix2pix", 8),
        ("UNET-v2-Inpainting", "sd2", "inpainting", 9),
        ("UNET-v2-Depth", "sd2", "depth", 5),
    ],
)
def test_what_a_unet_takes_beside_the_image_tells_its_variant(
    unet: str, architecture: str, variant: str, channels: int
) -> None:
    rest = SD1[1:] if architecture == "sd1" else SD2[1:]
    found = identify(header(listed(unet, UNET), *rest))
    assert (found.kind, found.architecture) == (ModelKind.CHECKPOINT, architecture)
    assert found.variants == (variant,)
    assert because(found, "variants")[0].because.startswith(f"{channels} input channels")


def test_pix2pix_with_its_ema_copy() -> None:
    ema = listed("UNET-v1-Pix2Pix-EMA", EMA)
    found = identify(header(listed("UNET-v1-Pix2Pix", UNET), *SD1[1:], ema))
    assert (found.variants, found.ema) == (("instruct-pix2pix",), True)


def test_sd2_has_open_clip_and_no_edition_by_its_shapes() -> None:
    found = identify(header(*SD2))
    assert (found.architecture, found.edition) == ("sd2", None)
    assert found.text_encoders == ("OpenCLIP-H",)


def test_sd2_of_waifu_diffusion_has_the_same_encoder() -> None:
    found = identify(header(*SD2[:2], listed("CLIP-v2-WD", OPEN_CLIP)))
    assert (found.architecture, found.text_encoders) == ("sd2", ("OpenCLIP-H",))


def test_the_depth_model_inside_sd2_depth_is_a_part_of_it() -> None:
    depth = listed("Depth-v2-SD", "depth_model.model.")
    found = identify(header(listed("UNET-v2-Depth", UNET), *SD2[1:], depth))
    assert (found.kind, found.variants) == (ModelKind.CHECKPOINT, ("depth",))
    assert found.precisions["depth model"] == "fp16"


@pytest.mark.parametrize(
    ("metadata", "name", "edition"),
    [
        ({"modelspec.architecture": "stable-diffusion-v2-768-v"}, "", "768-v"),
        ({"modelspec.architecture": "stable-diffusion-v2-512"}, "", "512-base"),
        ({}, "v2-1_768-ema-pruned.safetensors", "768-v"),
        ({}, "512-base-ema.ckpt", "512-base"),
        ({}, "dream.safetensors", None),
    ],
)
def test_which_sd2_it_is_comes_from_what_is_said_of_it(
    metadata: dict[str, str], name: str, edition: str | None
) -> None:
    found = identify(header(*SD2, metadata=metadata), name=name)
    assert found.edition == edition
    if name and edition:
        assert "edition" in found.guessed


def test_sdxl_base_has_two_text_encoders() -> None:
    found = identify(header(*SDXL))
    assert (found.kind, found.architecture, found.edition) == (
        ModelKind.CHECKPOINT,
        "sdxl",
        "base",
    )
    assert found.text_encoders == ("CLIP-L", "OpenCLIP-bigG")
    assert because(found, "edition")[0].because.startswith("vector condition of 2816")


def test_sdxl_refiner_has_one() -> None:
    found = identify(header(*REFINER))
    assert (found.architecture, found.edition) == ("sdxl", "refiner")
    assert found.text_encoders == ("OpenCLIP-bigG",)


@pytest.mark.parametrize(
    ("parts", "kind", "vae"),
    [
        (SD1, ModelKind.CHECKPOINT, True),
        ((SD1[0], SD1[2]), ModelKind.CHECKPOINT, False),
        (SD1[:2], ModelKind.CHECKPOINT, True),
        (SD1[:1], ModelKind.DIFFUSION_MODEL, None),
        (SD1[1:2], ModelKind.VAE, None),
        (SD1[2:], ModelKind.TEXT_ENCODER, None),
    ],
)
def test_a_checkpoint_is_a_diffusion_model_and_something_else(
    parts: tuple[Shapes, ...], kind: ModelKind, vae: bool | None
) -> None:
    found = identify(header(*parts))
    assert (found.kind, found.vae) == (kind, vae)


def test_parts_of_several_precisions_are_each_named() -> None:
    found = identify(header((SD1[0], "BF16"), (SD1[1], "F32"), (SD1[2], "F16")))
    assert found.precision == "bf16"
    assert found.precisions == {"unet": "bf16", "vae": "fp32", "text encoder": "fp16"}


@pytest.mark.parametrize(
    ("mark", "edition", "variants"),
    [
        ({"v_pred": ()}, "base", ("v-prediction",)),
        ({"v_pred": (), "ztsnr": ()}, "base", ("v-prediction", "zero-terminal-snr")),
        ({"edm_mean": (4,), "edm_std": (4,)}, "playground v2.5", ("edm",)),
        ({"edm_vpred.sigma_max": ()}, "cosxl", ("v-prediction", "edm")),
    ],
)
def test_tensors_that_only_mark_how_it_was_trained(
    mark: Shapes, edition: str, variants: tuple[str, ...]
) -> None:
    found = identify(header(*SDXL, mark))
    assert (found.kind, found.architecture) == (ModelKind.CHECKPOINT, "sdxl")
    assert found.edition == edition
    assert found.variants == variants
    assert found.parameters == identify(header(*SDXL)).parameters
    assert set(found.precisions) == {"unet", "vae", "text encoder"}


def test_the_metadata_say_v_prediction() -> None:
    found = identify(header(*SDXL, metadata={"modelspec.prediction_type": "v"}))
    assert "v-prediction" in found.variants


def test_tensors_win_over_metadata_and_the_contradiction_is_kept() -> None:
    claim = {"modelspec.architecture": "stable-diffusion-xl-v1-base"}
    found = identify(header(*SD1, metadata=claim))
    assert found.architecture == "sd1"
    said = because(found, "architecture")
    assert [(one.value, one.certain) for one in said] == [("sd1", True), ("sdxl", False)]
    assert "which the tensors do not say" in said[1].because


def test_the_names_of_a_diffusers_folder_tell_its_parts() -> None:
    parts: tuple[Shapes, ...] = (
        {
            "unet/conv_in.weight": (320, 4, 3, 3),
            "unet/down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        },
        listed("CLIP-v1-SD", "text_encoder/text_model."),
        {"vae/decoder.conv_in.weight": (512, 4, 3, 3)},
    )
    found = identify(header(*parts, format=FileFormat.DIFFUSERS))
    assert (found.kind, found.architecture) == (ModelKind.CHECKPOINT, "sd1")
    assert (found.vae, found.text_encoders) == (True, ("CLIP-L",))


def test_the_scheduler_of_a_diffusers_folder_tells_which_sd2_it_is() -> None:
    unet: Shapes = {
        "unet/conv_in.weight": (320, 4, 3, 3),
        "unet/down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
    }
    folder = header(
        unet,
        {"vae/decoder.conv_in.weight": (512, 4, 3, 3)},
        metadata={
            "_class_name": "StableDiffusionPipeline",
            "scheduler/prediction_type": "v_prediction",
        },
        format=FileFormat.DIFFUSERS,
    )
    found = identify(folder)
    assert (found.architecture, found.edition) == ("sd2", "768-v")
    assert found.variants == ("v-prediction",)
    assert "edition" not in found.guessed


def test_every_field_that_is_said_has_its_evidence() -> None:
    for whole in (SD1, SD2, SDXL, REFINER):
        claims = {
            "modelspec.title": "Dream",
            "modelspec.author": "someone",
            "modelspec.resolution": "1024x1024",
            "modelspec.hash_sha256": "0x" + "ab" * 32,
            "ss_steps": "100",
        }
        found = identify(header(*whole, metadata=claims), name="a turbo inpainting vae.ckpt")
        assert found.title == "Dream"
        said = {one.field for one in found.evidence}
        for field in found.__struct_fields__:
            value = getattr(found, field)
            if field != "evidence" and value not in (None, (), {}):
                assert field in said, field


def test_a_prefix_of_the_wrong_part_does_not_hide_the_others() -> None:
    found = identify(header({CLIP_L + "nonsense": (1,), VAE + "nonsense": (1,)}, SD1[0]))
    assert found.kind is ModelKind.DIFFUSION_MODEL


def test_weights_where_a_diffusion_model_belongs_are_one_of_unknown_architecture() -> None:
    shapes: Shapes = {f"model.diffusion_model.blocks.{n}.weight": (64, 64) for n in range(4)}
    alone = identify(header((shapes, "F16")))
    assert (alone.kind, alone.architecture) == (ModelKind.DIFFUSION_MODEL, None)
    with_vae = identify(header((shapes, "F16"), SD1[1]))
    assert (with_vae.kind, with_vae.architecture, with_vae.vae) == (
        ModelKind.CHECKPOINT,
        None,
        True,
    )
