from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.demo.weights import sdxl
from modelhub.formats.diffusers_names import (
    Family,
    NamedPart,
    Pair,
    PartKind,
    family_of,
    pairs_of_part,
    parts_of_checkpoint,
    shape_in_diffusers,
    text_pairs,
    unet_pairs,
    vae_pairs,
)
from tests.formats.identify.layouts import (
    CLIP_L,
    OPEN_CLIP,
    REFINER,
    SD1,
    SD2,
    SDXL,
    UNET,
    Shapes,
    listed,
)
from tests.formats.identify.real_headers import descriptions, shapes_of


def _together(parts: tuple[Shapes, ...]) -> Shapes:
    return {name: shape for part in parts for name, shape in part.items()}


def _folder(shapes: Shapes, folder: str) -> Shapes:
    part = next(one for one in parts_of_checkpoint(shapes) if one.folder == folder)
    return _in_diffusers(pairs_of_part(part, shapes), shapes)


def _in_diffusers(pairs: list[Pair], shapes: Mapping[str, tuple[int, ...]]) -> Shapes:
    found = {pair.diffusers: shape_in_diffusers(pair, shapes[pair.original]) for pair in pairs}
    assert len(found) == len(pairs), "no name twice"
    return found


def _described(name: str) -> Shapes:
    return shapes_of(descriptions()[name])


@pytest.mark.parametrize(
    ("checkpoint", "folder", "published"),
    [
        (SD1, "unet", "sd15-unet-diffusers"),
        (SDXL, "unet", "sdxl-unet-diffusers"),
        (SDXL, "vae", "sdxl-vae-diffusers"),
        (SDXL, "text_encoder_2", "sdxl-clip-g"),
        (REFINER, "text_encoder_2", "sdxl-clip-g"),
    ],
)
def test_the_names_and_shapes_are_those_of_the_published_folders(
    checkpoint: tuple[Shapes, ...], folder: str, published: str
) -> None:
    assert _folder(_together(checkpoint), folder) == _described(published)


def test_the_text_encoder_of_sd1_is_the_published_one_without_its_positions() -> None:
    published = _described("sd15-clip-l")
    del published["text_model.embeddings.position_ids"]
    assert _folder(_together(SD1), "text_encoder") == published


def test_the_text_encoder_of_sd2_goes_without_the_layer_that_no_program_reads() -> None:
    found = _folder(_together(SD2), "text_encoder")
    assert {name.split(".")[3] for name in found if ".layers." in name} == {
        str(number) for number in range(23)
    }
    assert not [name for name in found if "projection" in name]


def test_a_text_encoder_of_sd2_that_was_cut_to_23_layers_keeps_them_all() -> None:
    found = _folder(listed("CLIP-v2-WD", OPEN_CLIP), "text_encoder")
    assert "text_model.encoder.layers.22.mlp.fc2.bias" in found


@pytest.mark.parametrize(
    ("checkpoint", "left"),
    [
        (SD1, {CLIP_L + "embeddings.position_ids"}),
        (REFINER, {"conditioner.embedders.0.model.logit_scale"}),
        (
            SDXL,
            {
                "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
                "conditioner.embedders.1.model.logit_scale",
            },
        ),
    ],
)
def test_every_tensor_of_a_checkpoint_has_its_pair_but_positions_and_the_logit_scale(
    checkpoint: tuple[Shapes, ...], left: set[str]
) -> None:
    shapes = _together(checkpoint)
    parts = parts_of_checkpoint(shapes)
    paired = {pair.original for part in parts for pair in pairs_of_part(part, shapes)}
    assert set(shapes) - paired == left


@pytest.mark.parametrize(
    "name",
    [
        "UNET-v1-SD", "UNET-v1-Inpainting", "UNET-v1-Pix2Pix", "UNET-v2-SD", "UNET-v2-Depth",
        "UNET-v2-Inpainting", "UNET-XL-SD", "UNET-XL-Refiner",
    ],
)  # fmt: skip
def test_a_unets_names_come_back_as_they_were(name: str) -> None:
    there = unet_pairs(listed(name))
    assert len(there) == len(listed(name))
    assert unet_pairs([pair.diffusers for pair in there]) == there


def test_a_vaes_names_come_back_as_they_were() -> None:
    there = vae_pairs(listed("VAE-v1-SD"))
    assert len(there) == len(listed("VAE-v1-SD"))
    assert vae_pairs([pair.diffusers for pair in there]) == there


def test_an_open_clip_encoders_names_come_back_as_they_were() -> None:
    there = text_pairs(listed("CLIP-XL-SD"))
    assert text_pairs([pair.diffusers for pair in there]) == there


def test_the_attention_of_an_early_vae_of_diffusers_is_understood() -> None:
    published = _described("sd15-vae-diffusers")
    pairs = vae_pairs(published)
    assert {pair.diffusers for pair in pairs} == set(published)
    assert {pair.original for pair in pairs} == set(listed("VAE-v1-SD"))


def test_distilled_unets_of_fewer_blocks_and_other_depths_come_back_as_they_were() -> None:
    table = sdxl.unet(replace(sdxl.TINY, depths=(0, 2, 4)))
    names = [
        tensor.name
        for tensor in table
        if not tensor.name.startswith(("middle_block.1.", "middle_block.2."))
        and not tensor.name.startswith(("output_blocks.7.", "output_blocks.8."))
    ]
    there = unet_pairs(names)
    assert len(there) == len(names)
    assert unet_pairs([pair.diffusers for pair in there]) == there


@pytest.mark.parametrize(
    ("checkpoint", "family"),
    [(SD1, Family.SD1), (SD2, Family.SD2), (SDXL, Family.SDXL), (REFINER, Family.REFINER)],
)
def test_the_family_is_told_by_the_names_alone(
    checkpoint: tuple[Shapes, ...], family: Family
) -> None:
    names = _together(checkpoint)
    assert family_of(parts_of_checkpoint(names), names) is family


def test_the_family_of_a_unet_alone_is_told_by_its_first_level() -> None:
    names = listed("UNET-XL-SD", UNET)
    assert family_of(parts_of_checkpoint(names), names) is Family.SDXL


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("UNET-v1-SD", PartKind.UNET),
        ("VAE-v1-SD", PartKind.VAE),
        ("CLIP-XL-SD", PartKind.OPEN_CLIP),
    ],
)
def test_a_file_of_one_part_has_that_part_and_no_folder(name: str, kind: PartKind) -> None:
    assert parts_of_checkpoint(listed(name)) == [NamedPart("", "", kind)]


_COMPONENTS = st.sampled_from(
    [
        "input_blocks", "output_blocks", "middle_block", "down_blocks", "mid_block", "up_blocks",
        "encoder", "decoder", "down", "up", "block", "resnets", "attentions", "transformer",
        "resblocks", "text_model", "layers", "self_attn", "q_proj", "in_proj_weight", "attn", "op",
        "in_layers", "conv", "mid", "attn_1", "q", "weight", "bias", "", "0", "1", "2", "63", "999",
        "99999999999999999999", "-1", "٣", "²",
    ]
)  # fmt: skip
_NAMES = st.lists(st.lists(_COMPONENTS, max_size=7).map(".".join), max_size=30, unique=True)


@given(_NAMES)
def test_whatever_the_names_are_no_two_tensors_get_the_same_one(names: list[str]) -> None:
    for pairs_of in (unet_pairs, vae_pairs, text_pairs):
        pairs = pairs_of(names)
        assert len({pair.diffusers for pair in pairs}) == len(pairs)
        assert len({(pair.original, pair.change) for pair in pairs}) == len(pairs)
        for pair in pairs:
            assert pair.original in names or pair.diffusers in names
