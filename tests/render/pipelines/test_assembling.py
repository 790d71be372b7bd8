"""Which weights get into a pipeline, how often they are read, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.convert.diffusers import to_diffusers
from modelhub.convert.options import ConvertOptions, Precision
from modelhub.convert.plan import make_plan
from modelhub.convert.readers import open_source
from modelhub.convert.writers import write_diffusers
from modelhub.demo.weights import sd1
from modelhub.demo.weights.files import system_call, write_torch_zip
from modelhub.demo.weights.tables import Table, Tensor, under
from modelhub.errors import (
    AddonMisfit,
    Cancelled,
    CannotRender,
    ModelhubError,
    PartsMissing,
    SourceChanged,
    UnsafeFileError,
)
from modelhub.render.answers import Loading
from modelhub.render.memory import Fit, Placement
from modelhub.render.pipelines import assembling
from modelhub.render.pipelines.cache import PartsCache
from modelhub.render.request import Recipe
from tests.render.pipelines.conftest import TABLES, WIDTHS, Assembler, Files, picture, weights_in

pytestmark = pytest.mark.filterwarnings("ignore")


def _overwritten(path: Path, tensor: str, values: bytes) -> Path:
    """The file with other first bytes in one tensor."""
    data = bytearray(path.read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    start = 8 + length + header[tensor]["data_offsets"][0]
    data[start : start + len(values)] = values
    path.write_bytes(data)
    return path


def test_room_for_the_picture_is_made_as_well(
    files: Files, assembler: Assembler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that is free for the weights alone is not enough to keep another model."""
    first = assembler(Recipe(model=str(files.of("sd1"))))
    tight = replace(assembler.device, free=first.nbytes + 1)
    monkeypatch.setattr(assembling, "refreshed", lambda device: tight)
    assembler(Recipe(model=str(files.of("sd1", seed=8))))
    assert assembler.cache.nbytes < 2 * first.nbytes


def test_two_checkpoints_with_the_same_vae_keep_one(
    files: Files, assembler: Assembler, tmp_path: Path
) -> None:
    one = files.of("sd1")
    other = tmp_path / "other.safetensors"
    other.write_bytes(one.read_bytes())
    _overwritten(other, "model.diffusion_model.out.2.bias", np.ones(4, "<f4").tobytes())
    first, second = (assembler(Recipe(model=str(path))) for path in (one, other))
    assert first.parts["vae"] is second.parts["vae"]
    assert first.parts["text_encoder"] is second.parts["text_encoder"]
    assert first.parts["unet"] is not second.parts["unet"]
    assert second.pipe.vae is first.pipe.vae


def test_the_averaged_weights_take_the_place_of_the_others(
    files: Files, assembler: Assembler, torch: Any
) -> None:
    table = TABLES["sd1"]
    twins: Table = [
        replace(one, name="model_ema." + one.name.removeprefix("model.").replace(".", ""))
        for one in table
        if one.name.startswith("model.diffusion_model.")
    ]
    path = str(files.table("ema.safetensors", [*table, *twins], seed=9))
    plain, averaged = (assembler(Recipe(model=path, ema=ema)) for ema in (False, True))
    assert plain.parts["vae"] is averaged.parts["vae"]
    name = "model_ema.diffusion_modelinput_blocks00weight"
    with open_source(Path(path)) as source:
        stored = b"".join(bytes(piece) for piece in source.tensors[name].pieces())
    assert weights_in(averaged)["conv_in.weight"].numpy().tobytes() == stored
    assert weights_in(plain)["conv_in.weight"].numpy().tobytes() != stored


def test_averages_that_are_not_there_cannot_be_rendered(files: Files, assembler: Assembler) -> None:
    with pytest.raises(CannotRender, match="no EMA weights"):
        assembler(Recipe(model=str(files.of("sd1")), ema=True))


def test_parts_make_room_where_the_memory_itself_is_the_tighter_bound(
    files: Files, assembler: Assembler
) -> None:
    kept = assembler(Recipe(model=str(files.of("sd1"))))
    assembler.cache.make_room(1 << 20, free=1 << 21)
    assert assembler.cache.nbytes == kept.nbytes
    assembler.cache.make_room(kept.nbytes, using=[kept.keys["vae"]], free=0)
    assert assembler.cache.nbytes == kept.parts["vae"].nbytes


def test_on_a_processor_a_model_takes_the_memory_of_the_last_of_its_architecture(
    files: Files, assembler: Assembler
) -> None:
    first, large = (assembler(Recipe(model=str(files.of(name)))) for name in ("sd1", "sdxl"))
    assembler(Recipe(model=str(files.of("sd1", seed=8))))
    assert assembler.cache.part(first.keys["unet"]) is None
    for kept in (first.keys["vae"], first.keys["text_encoder"], large.keys["unet"]):
        assert assembler.cache.part(kept) is not None


def test_precisions_of_one_file_do_not_take_the_place_of_one_another(
    files: Files, assembler: Assembler
) -> None:
    path = str(files.of("sd1"))
    whole, half = (
        assembler(Recipe(model=path, precision=one)) for one in (Precision.FP32, Precision.FP16)
    )
    assert assembler.bytes_read == 0
    assert assembler.cache.part(whole.keys["unet"]) is not None
    assert assembler.cache.part(half.keys["unet"]) is not None


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_an_external_vae_takes_the_place_of_the_baked_one(
    layout: str, files: Files, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    vae = files.table("vae.safetensors", sd1.autoencoder(WIDTHS), seed=5)
    if layout == "diffusers":
        with open_source(vae) as source:
            write_diffusers(to_diffusers(make_plan(source, ConvertOptions())), tmp_path / "vae")
        vae = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    baked = assembler(Recipe(model=str(files.of("sd1"))))
    external = assembler(Recipe(model=str(files.of("sd1")), vae=str(vae)))
    assert external.parts["unet"] is baked.parts["unet"]
    with open_source(vae) as source:
        name = next(one for one in source.tensors if one.endswith("decoder.conv_in.weight"))
        stored = b"".join(bytes(piece) for piece in source.tensors[name].pieces())
    assert weights_in(external, "vae")["decoder.conv_in.weight"].numpy().tobytes() == stored
    assert not torch.equal(picture(external), picture(baked))
    # Another checkpoint with the same file beside it shares what was made of it.
    again = assembler(Recipe(model=str(files.of("sd1", seed=8)), vae=str(vae)))
    assert again.parts["vae"] is external.parts["vae"]


def test_a_diffusion_model_alone_is_rendered_with_parts_of_other_files(
    files: Files, assembler: Assembler, torch: Any
) -> None:
    whole = files.of("sd1")
    unet = files.table("unet.safetensors", sd1.unet(WIDTHS), seed=4)
    text = files.table("clip.safetensors", under("text_model.", sd1.text_encoder(WIDTHS)), seed=6)
    parts = {"text_encoder": str(text), "vae": str(whole)}
    made = assembler(Recipe(model=str(unet), parts=parts))
    assert picture(made).std() > 0.01
    other = assembler(Recipe(model=str(whole)))
    assert made.parts["vae"] is other.parts["vae"]
    assert made.parts["text_encoder"] is not other.parts["text_encoder"]


def test_what_a_diffusion_model_alone_lacks_is_named(files: Files, assembler: Assembler) -> None:
    unet = files.table("alone.safetensors", sd1.unet(WIDTHS))
    with pytest.raises(PartsMissing) as caught:
        assembler(Recipe(model=str(unet)))
    assert "VAE" in caught.value.message
    assert "CLIP-L" in caught.value.message
    assert "--vae FILE" in caught.value.hint


def test_tensors_that_are_missing_are_named_and_counted(files: Files, assembler: Assembler) -> None:
    lost = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q.weight"
    table = [one for one in TABLES["sd1"] if one.name != lost]
    with pytest.raises(CannotRender, match=r"1 missing .*attn2\.to_q\.weight"):
        assembler(Recipe(model=str(files.table("lost.safetensors", table))))
    assert assembler.cache.nbytes == 0


def test_a_part_under_a_name_that_no_pipeline_has_is_refused(
    files: Files, assembler: Assembler
) -> None:
    recipe = Recipe(model=str(files.of("sd1")), parts={"head": str(files.of("sd1"))})
    with pytest.raises(CannotRender, match="head"):
        assembler(recipe)


def test_a_file_without_the_part_that_it_is_given_as_is_named(
    files: Files, assembler: Assembler
) -> None:
    vae = str(files.table("only-vae.safetensors", sd1.autoencoder(WIDTHS), seed=5))
    recipe = Recipe(model=str(files.of("sd1")), parts={"text_encoder": vae})
    with pytest.raises(CannotRender, match=r"only-vae\.safetensors has no text encoder"):
        assembler(recipe)
    with pytest.raises(CannotRender, match=r"only-vae\.safetensors has no diffusion model"):
        assembler(Recipe(model=vae))


def test_text_encoders_of_another_width_are_named_with_the_model(
    files: Files, assembler: Assembler
) -> None:
    wide = files.table("wide.safetensors", sd1.checkpoint(replace(WIDTHS, text=64)))
    recipe = Recipe(model=str(files.of("sd1")), parts={"text_encoder": str(wide)})
    with pytest.raises(AddonMisfit) as caught:
        assembler(recipe)
    for word in ("64", "32", str(wide), str(files.of("sd1"))):
        assert word in caught.value.message


def test_a_file_that_is_no_model_cannot_be_rendered(files: Files, assembler: Assembler) -> None:
    lora = files.table("some.safetensors", [Tensor("lora.up.weight", (4, 4))])
    with pytest.raises(CannotRender):
        assembler(Recipe(model=str(lora)))


def test_weights_that_are_no_numbers_are_told(files: Files, assembler: Assembler) -> None:
    path = files.table("nan.safetensors", TABLES["sd1"])
    _overwritten(path, "first_stage_model.decoder.conv_out.bias", struct.pack("<f", float("nan")))
    assembler(Recipe(model=str(path)))
    assert [one for one in assembler.warnings if "vae" in one and "1 tensor" in one]


def test_weights_too_large_for_a_precision_are_told(files: Files, assembler: Assembler) -> None:
    path = files.table("large.safetensors", TABLES["sd1"])
    _overwritten(path, "first_stage_model.decoder.conv_out.bias", struct.pack("<f", 1e6))
    assembler(Recipe(model=str(path)))
    assert not assembler.warnings
    assembler(Recipe(model=str(path), precision=Precision.FP16))
    assert [one for one in assembler.warnings if "too large for fp16" in one]


def test_a_file_that_changes_while_it_loads_is_refused_and_not_kept(
    files: Files, assembler: Assembler
) -> None:
    path = files.table("changing.safetensors", TABLES["sd1"])

    def change(_: object) -> None:
        os.utime(path, ns=(1, 1))

    assembler.react = change
    with pytest.raises(SourceChanged) as caught:
        assembler(Recipe(model=str(path)))
    assert "render" in caught.value.hint
    assert assembler.cache.nbytes == 0
    assembler.react = None
    assert picture(assembler(Recipe(model=str(path)))).std() > 0.01


def test_a_file_that_was_replaced_is_read_anew(files: Files, assembler: Assembler) -> None:
    path = files.table("replaced.safetensors", TABLES["sd1"])
    before = assembler(Recipe(model=str(path)))
    path.unlink()
    files.table("replaced.safetensors", TABLES["sd1"], seed=21)
    after = assembler(Recipe(model=str(path)))
    assert assembler.bytes_read > 1 << 20
    assert after.parts["unet"] is not before.parts["unet"]


def test_cancelling_stops_between_tensors(files: Files, assembler: Assembler) -> None:
    assembler.react = lambda event: assembler.cancel.set()
    with pytest.raises(Cancelled):
        assembler(Recipe(model=str(files.of("sd1"))))
    loads = [one for one in assembler.told if isinstance(one, Loading)]
    assert loads[-1].done < loads[-1].total
    assert assembler.cache.nbytes == 0


def test_progress_counts_the_bytes_of_each_part(files: Files, assembler: Assembler) -> None:
    assembler(Recipe(model=str(files.of("sdxl"))))
    loads = [one for one in assembler.told if isinstance(one, Loading)]
    assert {one.what for one in loads} == {"unet", "vae", "text_encoder", "text_encoder_2"}
    for part in {one.what for one in loads}:
        done = [one.done for one in loads if one.what == part]
        assert done == sorted(done)
        assert done[-1] == next(one.total for one in loads if one.what == part)


def test_the_cache_drops_what_was_not_used_for_longest(files: Files, assembler: Assembler) -> None:
    one = assembler(Recipe(model=str(files.of("sd1"))))
    assembler.cache.most = one.nbytes + one.nbytes // 2
    assembler(Recipe(model=str(files.of("sd1", seed=8))))
    assert assembler.cache.nbytes <= assembler.cache.most
    assembler(Recipe(model=str(files.of("sd1", seed=8))))
    assert assembler.bytes_read == 0
    assembler(Recipe(model=str(files.of("sd1"))))
    assert assembler.bytes_read > 1 << 20


def test_a_dangerous_pickle_is_refused_and_never_run(assembler: Assembler, tmp_path: Path) -> None:
    path, trace = tmp_path / "model.ckpt", tmp_path / "trace"
    write_torch_zip(path, TABLES["sd1"], 7, before=system_call(f"touch {trace}"))
    with pytest.raises(UnsafeFileError):
        assembler(Recipe(model=str(path)))
    allowed = assembler(Recipe(model=str(path), allow_unsafe=True))
    assert picture(allowed).std() > 0.01
    assert not trace.exists()


@pytest.mark.parametrize(
    "fit",
    [
        Fit(sliced=True),
        Fit(Placement.PARTS, sliced=True),
        Fit(sliced=True, eight_bit=True),
    ],
)
def test_every_step_of_the_ladder_makes_a_picture(
    fit: Fit, files: Files, assembler: Assembler, torch: Any
) -> None:
    recipe = Recipe(model=str(files.of("sd1")))
    plain = picture(assembler(recipe, fit=Fit()))
    fitted = assembler(recipe, fit=fit)
    made = picture(fitted)
    assert fit.words in fitted.words
    near = 0.2 if fit.eight_bit else 1e-4
    assert (made - plain).abs().max() < near
    fitted.close()
    assert torch.equal(picture(assembler(recipe, fit=Fit())), plain)


def test_a_missing_file_is_an_error_of_ours(assembler: Assembler, tmp_path: Path) -> None:
    with pytest.raises(ModelhubError):
        assembler(Recipe(model=str(tmp_path / "none.safetensors")))


def test_parts_are_dropped_to_make_room_even_for_one_that_is_too_large(
    files: Files, assembler: Assembler
) -> None:
    assembler.cache = PartsCache(1)
    assert picture(assembler(Recipe(model=str(files.of("sd1"))))).std() > 0.01
