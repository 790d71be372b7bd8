"""What a file lacks to be rendered, told from its header alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.demo.weights import sd1, sdxl
from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.tables import Table, under
from modelhub.demo.weights.tables import Tensor as Entry
from modelhub.errors import PartsMissing
from modelhub.formats.identify import identify
from modelhub.formats.identity import ModelKind
from modelhub.formats.tensors import FileFormat, Header, Tensor
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.missing import Missing, missing_parts
from modelhub.render.request import Recipe

_WHOLE = {
    "sd1": sd1.checkpoint(sd1.TRUE),
    "sdxl": sdxl.checkpoint(sdxl.TRUE),
    "refiner": sdxl.refiner(sdxl.TRUE),
}


def _missing(table: Table, recipe: Recipe | None = None) -> dict[str, Missing]:
    header = Header(
        format=FileFormat.SAFETENSORS,
        tensors={one.name: Tensor(one.dtype, one.shape, (0, one.nbytes)) for one in table},
    )
    found = missing_parts(header, identify(header), recipe)
    return {one.part: one for one in found}


@pytest.mark.parametrize("model", _WHOLE)
def test_a_whole_checkpoint_lacks_nothing(model: str) -> None:
    assert _missing(_WHOLE[model]) == {}


@pytest.mark.parametrize(
    ("prefix", "part", "kind", "fits"),
    [
        ("first_stage_model.", "vae", ModelKind.VAE, "sdxl"),
        ("conditioner.embedders.0.", "text_encoder", ModelKind.TEXT_ENCODER, "CLIP-L"),
        ("conditioner.embedders.1.", "text_encoder_2", ModelKind.TEXT_ENCODER, "OpenCLIP-bigG"),
    ],
)
def test_a_part_that_is_not_there_is_named_with_what_would_supply_it(
    prefix: str, part: str, kind: ModelKind, fits: str
) -> None:
    table = [one for one in _WHOLE["sdxl"] if not one.name.startswith(prefix)]
    found = _missing(table)
    assert list(found) == [part]
    assert found[part].kind is kind
    assert fits in found[part].fits
    assert ("--vae FILE" if part == "vae" else f"--part {part}=FILE") in found[part].wanted


def test_a_diffusion_model_alone_lacks_all_the_rest() -> None:
    assert set(_missing(sdxl.unet(sdxl.TRUE))) == {"vae", "text_encoder", "text_encoder_2"}
    assert set(_missing(sd1.unet(sd1.TRUE))) == {"vae", "text_encoder"}


def test_what_is_given_is_not_missing() -> None:
    recipe = Recipe(model="unet", vae="vae", parts={"text_encoder": "clip"})
    assert set(_missing(sdxl.unet(sdxl.TRUE), recipe)) == {"text_encoder_2"}


_FLUX: Table = [
    Entry("img_in.weight", (3072, 64)),
    Entry("double_blocks.0.img_attn.norm.key_norm.scale", (128,)),
    Entry("single_blocks.0.linear1.weight", (21504, 3072)),
    Entry("guidance_in.in_layer.weight", (3072, 256)),
    Entry("txt_in.weight", (3072, 4096)),
]


def test_flux_alone_lacks_its_encoders_and_the_tokenizer_that_is_not_bundled() -> None:
    found = _missing(_FLUX)
    assert list(found) == ["vae", "text_encoder", "text_encoder_2", "tokenizer_2"]
    assert found["text_encoder_2"].fits == ("T5-XXL",)
    assert found["tokenizer_2"].kind is None
    assert "--part tokenizer_2=FOLDER" in found["tokenizer_2"].wanted


def test_the_encoders_in_a_file_of_sd3_are_seen() -> None:
    table: Table = [
        Entry("model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight", (4608, 1536)),
        Entry("first_stage_model.decoder.conv_in.weight", (512, 16, 3, 3)),
        *under(
            "text_encoders.clip_l.transformer.text_model.",
            sd1.text_encoder(sd1.Widths(text=768, text_layers=1)),
        ),
    ]
    assert list(_missing(table)) == ["text_encoder_2"]


def test_a_recipe_of_such_a_model_is_refused_with_these_words(tmp_path: Path) -> None:
    path = tmp_path / "flux.safetensors"
    small = [entry for entry in _FLUX if "linear1" not in entry.name and "txt_in" not in entry.name]
    write_safetensors(path, small, 1, {})
    with pytest.raises(PartsMissing) as caught, blueprint_of(Recipe(model=str(path))):
        pass
    assert "T5-XXL" in caught.value.message
    assert "tokenizer_2=FOLDER" in caught.value.hint


def test_nothing_of_this_needs_torch() -> None:
    program = (
        "import sys; import modelhub.render.pipelines.missing, modelhub.render.pipelines.blueprint,"
        " modelhub.render.memory, modelhub.render.devices, modelhub.render.pipelines.assembling;"
        " print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
