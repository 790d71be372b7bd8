"""Parts taken out of a checkpoint, and VAEs put into one."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.convert.options import ConvertOptions, Ema, Extract, Precision
from modelhub.convert.plan import make_plan
from modelhub.convert.planning import Reason
from modelhub.errors import ConversionRefused
from modelhub.formats.identify.parts import Role
from modelhub.formats.identity import ModelKind
from tests.convert.made import Made, MadeSource, bytes_of, made
from tests.convert.plan.sources import (
    BARE_VAE,
    SD1_CLIP,
    SD1_UNET,
    SD1_VAE,
    SDXL_CLIP_G,
    SDXL_CLIP_L,
    SDXL_UNET,
    sd1_full,
    sd1_pruned,
    sdxl,
    vae_file,
)
from tests.formats.identify.layouts import REFINER, SD2, Shapes, listed

DECODER = "decoder.conv_in.weight"
ATTENTION = "decoder.mid.attn_1.q.weight"


def extracted(source: MadeSource, part: Extract) -> set[str]:
    return {one.name for one in make_plan(source, ConvertOptions(extract=part)).tensors}


def test_a_vae_alone_has_the_names_of_a_vae_file() -> None:
    plan = make_plan(sd1_full(), ConvertOptions(extract=Extract.VAE))
    assert {one.name for one in plan.tensors} == set(BARE_VAE)
    assert plan.identity.kind is ModelKind.VAE
    assert plan.operation == "vae extracted"
    assert {one.reason for one in plan.dropped} == {
        Reason.TRAINING, Reason.EMA, Reason.JUNK, Reason.OTHER_PART,
    }  # fmt: skip


def test_a_vae_alone_still_tells_which_architecture_it_is_of() -> None:
    # By its tensors alone the VAE of SDXL is that of SD 1.x.
    plan = make_plan(sdxl(), ConvertOptions(extract=Extract.VAE))
    assert plan.identity.architecture == "sdxl"
    assert plan.metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/vae"


def test_a_unet_alone_has_no_prefix() -> None:
    plan = make_plan(sd1_full(), ConvertOptions(extract=Extract.UNET))
    assert {one.name for one in plan.tensors} == set(listed("UNET-v1-SD"))
    assert plan.identity.kind is ModelKind.DIFFUSION_MODEL


def test_an_extracted_unet_can_be_the_averaged_one() -> None:
    source = sd1_full()
    plan = make_plan(source, ConvertOptions(extract=Extract.UNET, ema=Ema.SWAP))
    by_name = {one.name: one.values for one in plan.tensors}
    twin = "model_ema.diffusion_modelinput_blocks00weight"
    assert by_name["input_blocks.0.0.weight"] is source.tensors[twin]


def test_marks_of_how_it_was_trained_go_with_the_unet() -> None:
    source = MadeSource({**sdxl().tensors, "v_pred": Made("v_pred", "F32", (0,))})
    assert "v_pred" in extracted(source, Extract.UNET)
    assert "v_pred" not in extracted(source, Extract.VAE)


def test_the_text_encoder_of_sd1_is_named_as_transformers_names_it() -> None:
    names = extracted(sd1_pruned(), Extract.TEXT_ENCODER)
    assert names == {one.removeprefix("cond_stage_model.transformer.") for one in SD1_CLIP}
    assert "text_model.embeddings.token_embedding.weight" in names
    assert extracted(sd1_pruned(), Extract.CLIP_L) == names


def test_the_text_encoder_of_sd2_is_named_as_open_clip_names_it() -> None:
    names = extracted(MadeSource(made(*SD2)), Extract.TEXT_ENCODER)
    assert names == set(listed("CLIP-v2-SD"))


def test_of_two_text_encoders_the_user_has_to_say_which() -> None:
    with pytest.raises(ConversionRefused, match="there are 2 text encoders: clip-l") as refused:
        make_plan(sdxl(), ConvertOptions(extract=Extract.TEXT_ENCODER))
    assert refused.value.hint == "choose one: --extract-clip-l or --extract-clip-g"


@pytest.mark.parametrize(
    ("part", "shapes", "prefix"),
    [
        (Extract.CLIP_L, SDXL_CLIP_L, "conditioner.embedders.0.transformer."),
        (Extract.CLIP_G, SDXL_CLIP_G, "conditioner.embedders.1.model."),
    ],
)
def test_each_text_encoder_of_sdxl_can_be_taken_out(
    part: Extract, shapes: Shapes, prefix: str
) -> None:
    plan = make_plan(sdxl(), ConvertOptions(extract=part))
    assert {one.name for one in plan.tensors} == {name.removeprefix(prefix) for name in shapes}
    assert plan.identity.kind is ModelKind.TEXT_ENCODER


def test_the_only_encoder_of_the_refiner_is_the_large_one() -> None:
    source = MadeSource(made(*REFINER))
    assert extracted(source, Extract.TEXT_ENCODER) == extracted(source, Extract.CLIP_G)
    with pytest.raises(ConversionRefused, match="no text encoder clip-l"):
        extracted(source, Extract.CLIP_L)


@pytest.mark.parametrize("part", [Extract.UNET, Extract.TEXT_ENCODER, Extract.T5XXL])
def test_a_part_that_is_not_there_is_refused(part: Extract) -> None:
    with pytest.raises(ConversionRefused, match="there is no "):
        extracted(vae_file(), part)


def test_a_component_alone_can_be_extracted_from_itself() -> None:
    assert extracted(vae_file(), Extract.VAE) == set(BARE_VAE)


def test_a_vae_takes_the_place_of_the_old_one() -> None:
    source, vae = sd1_pruned(), vae_file()
    plan = make_plan(source, ConvertOptions(), vae=vae)
    by_name = {one.name: one.values for one in plan.tensors}
    assert set(by_name) == set(source.tensors)
    assert by_name["first_stage_model." + DECODER] is vae.tensors[DECODER]
    assert {(one.name, one.reason) for one in plan.dropped} == {
        (name, Reason.REPLACED) for name in SD1_VAE
    }  # fmt: skip
    assert plan.added == set(SD1_VAE)
    assert plan.operation == "vae of made.ckpt"


def test_a_vae_is_cast_as_the_vae_of_the_result() -> None:
    options = ConvertOptions(dtype=Precision.FP16, part_dtypes={Role.VAE: Precision.BF16})
    plan = make_plan(sd1_pruned(), options, vae=vae_file())
    assert {o.dtype for o in plan.tensors if o.name.startswith("first_stage_model.")} == {"BF16"}


def test_the_vae_of_another_checkpoint_can_be_baked_in() -> None:
    other = sd1_full()
    plan = make_plan(sd1_pruned(), ConvertOptions(), vae=other)
    by_name = {one.name: one.values for one in plan.tensors}
    assert set(by_name) == set(sd1_pruned().tensors)
    name = "first_stage_model." + DECODER
    assert by_name[name] is other.tensors[name]


def test_the_name_of_a_vae_in_the_operation_is_short_and_printable() -> None:
    vae = MadeSource(vae_file().tensors, path=Path("/m/" + "a\nb" * 60 + ".pt"))
    operation = make_plan(sd1_pruned(), ConvertOptions(), vae=vae).operation
    assert operation.isprintable()
    assert len(operation) < 100


def test_a_checkpoint_without_a_vae_gets_one() -> None:
    source = MadeSource(made(SD1_UNET, SD1_CLIP))
    plan = make_plan(source, ConvertOptions(), vae=vae_file())
    assert {one.name for one in plan.tensors} == set(sd1_pruned().tensors)
    assert plan.identity.vae is True


def test_the_averages_and_the_loss_of_a_vae_are_not_baked_in() -> None:
    more = made({"loss.logvar": (), "model_ema.decoderconv_inweight": (512, 4, 3, 3)})
    vae = MadeSource({**vae_file().tensors, **more})
    plan = make_plan(sd1_pruned(), ConvertOptions(), vae=vae)
    assert {one.name for one in plan.tensors} == set(sd1_pruned().tensors)


def test_a_vae_without_quantising_layers_leaves_those_of_the_checkpoint() -> None:
    lacking = {name: one for name, one in vae_file().tensors.items() if "quant_conv" not in name}
    source = sd1_pruned()
    plan = make_plan(source, ConvertOptions(), vae=MadeSource(lacking))
    by_name = {one.name: one.values for one in plan.tensors}
    assert set(by_name) == set(source.tensors)
    name = "first_stage_model.quant_conv.weight"
    assert by_name[name] is source.tensors[name]
    assert "made.ckpt has no quant_conv.weight: that of the checkpoint stays" in plan.notices


def test_attention_saved_as_linear_layers_gets_the_shape_of_convolutions() -> None:
    linear = Made(ATTENTION, "F32", (512, 512))
    vae = MadeSource({**vae_file().tensors, ATTENTION: linear})
    plan = make_plan(sd1_pruned(), ConvertOptions(), vae=vae)
    baked = next(o.values for o in plan.tensors if o.name == "first_stage_model." + ATTENTION)
    assert baked.shape == (512, 512, 1, 1)
    assert bytes_of(baked) == bytes_of(linear)


def test_a_vae_of_another_number_of_latent_channels_is_refused() -> None:
    wide = {**vae_file().tensors, DECODER: Made(DECODER, "F32", (512, 16, 3, 3))}
    with pytest.raises(ConversionRefused, match="16 latent channels"):
        make_plan(sd1_pruned(), ConvertOptions(), vae=MadeSource(wide))


def test_a_vae_of_other_widths_or_layers_is_refused() -> None:
    name = "encoder.conv_in.weight"
    narrow = {**vae_file().tensors, name: Made(name, "F32", (64, 3, 3, 3))}
    with pytest.raises(ConversionRefused, match=r"other widths.*encoder\.conv_in\.weight"):
        make_plan(sd1_pruned(), ConvertOptions(), vae=MadeSource(narrow))
    deep = {**vae_file().tensors, **made({"decoder.extra.weight": (2,)})}
    with pytest.raises(ConversionRefused, match=r"another architecture.*decoder\.extra\.weight"):
        make_plan(sd1_pruned(), ConvertOptions(), vae=MadeSource(deep))


def test_a_vae_goes_into_checkpoints_only() -> None:
    with pytest.raises(ConversionRefused, match="is no checkpoint"):
        make_plan(vae_file(), ConvertOptions(), vae=vae_file())
    with pytest.raises(ConversionRefused, match="there is no VAE in it"):
        make_plan(sd1_pruned(), ConvertOptions(), vae=MadeSource(made(SDXL_UNET)))
    with pytest.raises(ConversionRefused, match="cannot be put into the unet"):
        make_plan(sd1_pruned(), ConvertOptions(extract=Extract.UNET), vae=vae_file())
