from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from modelhub import __version__
from modelhub.convert.options import Precision
from modelhub.errors import FormatError
from modelhub.render.answers import Rendered
from modelhub.render.images.infotext import parse_infotext
from modelhub.render.images.png_text import png_with
from modelhub.render.images.record import (
    PictureRecord,
    a1111_parameters,
    described_png,
    picture_record,
    read_parameters,
    read_record,
    used_files,
)
from modelhub.render.request import Recipe, Settings, Weighted
from tests.render.images.readers import as_a1111, as_civitai
from tests.render.images.scenes import png, scene

RECIPE = Recipe(
    model="/home/someone/models/sakushimix, final.safetensors",
    vae="/home/someone/vae/vae-ft-mse-840000.safetensors",
    loras=(Weighted("/home/someone/loras/more_detail.safetensors", 0.75),),
    embeddings=("/home/someone/embeddings/easy negative.pt",),
    parts={"text_encoder": "/home/someone/clip/clip_l.safetensors"},
    precision=Precision.FP16,
)
RENDERED = Rendered(
    id="1",
    png=png(scene(64, 96)),
    width=96,
    height=64,
    settings=Settings(
        prompt="a cat, 猫",
        negative="dog",
        seed=42,
        steps=20,
        cfg=7.5,
        sampler="DPM++ 2M",
        schedule="karras",
        width=96,
        height=64,
        clip_skip=2,
    ),
    weights="fp16",
    arithmetic="fp32",
    device="cpu (2 threads)",
    versions={"torch": "2.13.0"},
    seconds_loading=1.0,
    seconds_steps=2.0,
    seconds_decoding=0.5,
    peak_bytes=1 << 30,
)


def _record() -> PictureRecord:
    files = used_files(RECIPE)
    hashes = {
        RECIPE.model: ("B4703D513B" + "0" * 54, ""),
        RECIPE.loras[0].path: ("AB" * 32, "7C6BAD76EB54"),
        RECIPE.embeddings[0]: ("CD" * 32, ""),
        str(RECIPE.vae): ("735E4C3A44" + "1" * 54, ""),
    }
    for path, (sha256, autov3) in hashes.items():
        files[path] = replace(files[path], sha256=sha256, autov3=autov3)
    return picture_record(RECIPE, RENDERED, list(files.values()))


def test_parameters_name_files_by_the_hashes_of_a1111() -> None:
    assert a1111_parameters(_record()) == (
        "a cat, 猫 <lora:more_detail:0.75>\n"
        "Negative prompt: dog\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 42, "
        "Size: 96x64, Model hash: b4703d513b, Model: sakushimix final, VAE hash: 735e4c3a44, "
        "VAE: vae-ft-mse-840000.safetensors, Clip skip: 2, RNG: CPU, "
        'Lora hashes: "more_detail: 7c6bad76eb54", TI hashes: "easy negative: cdcdcdcdcdcd", '
        f"Version: modelhub {__version__}"
    )


def test_a1111_and_civitai_find_model_vae_lora_and_embedding() -> None:
    text = a1111_parameters(_record())
    prompt, negative, fields = as_a1111(text)
    assert (prompt, negative) == ("a cat, 猫 <lora:more_detail:0.75>", "dog")
    assert fields["Model hash"] == "b4703d513b"
    assert fields["TI hashes"] == "easy negative: cdcdcdcdcdcd"
    _, _, details = as_civitai(text)
    assert details["Lora hashes"] == {"more_detail": "7c6bad76eb54"}
    assert details["VAE hash"] == "735e4c3a44"


def test_a_picture_tells_all_that_made_it_and_reads_it_back(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(described_png(RENDERED.png, _record()))
    assert read_record(path) == _record()
    assert read_parameters(path) == parse_infotext(a1111_parameters(_record()))


def test_a_picture_shows_no_folder_of_its_maker() -> None:
    assert b"someone" not in described_png(RENDERED.png, _record())


def test_a_refiner_is_named_with_its_switch_and_no_clip_skip_of_one() -> None:
    recipe = Recipe(model="/m/base.safetensors", refiner="/m/refine.safetensors")
    chosen = replace(RENDERED.settings, refiner_from=0.8, clip_skip=1)
    files = used_files(recipe)
    refiner = replace(files["/m/refine.safetensors"], sha256="EF" * 32)
    files["/m/refine.safetensors"] = refiner
    record = picture_record(recipe, replace(RENDERED, settings=chosen), list(files.values()))
    fields = parse_infotext(a1111_parameters(record)).fields
    assert fields["Refiner"] == "refine [efefefefef]"
    assert fields["Refiner switch at"] == "0.8"
    assert "Clip skip" not in fields
    assert "Lora hashes" not in fields


@pytest.mark.parametrize(
    ("sampler", "schedule", "told"),
    [
        ("euler_ancestral", None, ("Euler a", "Normal")),
        ("dpmpp_2m", "karras", ("DPM++ 2M", "Karras")),
        ("of tomorrow, or later", "odd", ("of tomorrow or later", "odd")),
    ],
)
def test_samplers_are_told_as_a1111_calls_them(
    sampler: str, schedule: str | None, told: tuple[str, str]
) -> None:
    settings = replace(RENDERED.settings, sampler=sampler, schedule=schedule)
    fields = parse_infotext(a1111_parameters(replace(_record(), settings=settings))).fields
    assert (fields["Sampler"], fields["Schedule type"]) == told


def test_pictures_of_other_programs_have_no_record(tmp_path: Path) -> None:
    path = tmp_path / "other.png"
    path.write_bytes(RENDERED.png)
    assert read_record(path) is None
    assert read_parameters(path) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"settings": 5}', "[" * 100_000, "null"])
def test_a_damaged_record_is_refused_with_the_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(png_with(RENDERED.png, {"modelhub": text}))
    with pytest.raises(FormatError, match=r"odd\.png"):
        read_record(path)


def test_a_record_of_a_later_format_is_refused_and_one_with_more_fields_is_read(
    tmp_path: Path,
) -> None:
    own = msgspec.json.decode(msgspec.json.encode(_record()))
    later, richer = tmp_path / "later.png", tmp_path / "richer.png"
    richer.write_bytes(
        png_with(RENDERED.png, {"modelhub": msgspec.json.encode(own | {"mood": 1}).decode()})
    )
    later.write_bytes(
        png_with(RENDERED.png, {"modelhub": msgspec.json.encode(own | {"version": 2}).decode()})
    )
    assert read_record(richer) == _record()
    with pytest.raises(FormatError, match="format 2"):
        read_record(later)


def test_reading_and_planning_need_neither_pillow_nor_numpy_nor_torch() -> None:
    script = (
        "import sys, modelhub.render.images.record, modelhub.render.matrix\n"
        "print(sorted({'PIL', 'numpy', 'torch', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
