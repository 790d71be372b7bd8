from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from modelhub.convert.lora import LoraKeys
from modelhub.convert.options import ConvertOptions, Ema, Extract, Precision, Target
from modelhub.errors import UsageError
from modelhub.formats.identify.parts import Role
from modelhub.services.convert import ConvertRequest
from modelhub.services.convert.naming import result_path, source_stem

FP16, FP32 = Precision.FP16, Precision.FP32


def name(source: str, **wishes: Any) -> str:
    options = {key: wishes.pop(key) for key in list(wishes) if key in OPTIONS}
    request = ConvertRequest(options=ConvertOptions(**options), **wishes)
    return result_path(Path("models") / source, request, several=False).name


OPTIONS = {"dtype", "part_dtypes", "ema", "prune", "extract", "target"}


def test_a_change_of_the_container_alone_keeps_the_name() -> None:
    assert name("model.ckpt") == "model.safetensors"
    assert name("model.safetensors", target=Target.CKPT) == "model.ckpt"
    assert name("model.ckpt", target=Target.DIFFUSERS) == "model"
    assert name("v1.5.final.pt") == "v1.5.final.safetensors"


def test_what_changes_the_weights_is_told_by_a_word() -> None:
    assert name("model.ckpt", dtype=FP16) == "model-fp16.safetensors"
    assert name("model.ckpt", prune=True, dtype=FP16) == "model-pruned-fp16.safetensors"
    assert name("model.ckpt", ema=Ema.SWAP) == "model-ema.safetensors"
    assert name("model.ckpt", ema=Ema.DROP) == "model-no-ema.safetensors"
    assert name("model.ckpt", ema=Ema.DROP, prune=True) == "model-pruned.safetensors"
    both = {Role.VAE: FP32, Role.TEXT_ENCODER: FP16}
    expected = "model-fp16-text-encoder-fp16-vae-fp32.safetensors"
    assert name("model.ckpt", dtype=FP16, part_dtypes=both) == expected


def test_a_part_is_named_as_the_web_uis_look_for_it() -> None:
    assert name("model.ckpt", extract=Extract.VAE) == "model.vae.safetensors"
    assert name("model.ckpt", extract=Extract.VAE, dtype=FP32) == "model-fp32.vae.safetensors"
    assert name("model.ckpt", extract=Extract.UNET) == "model-unet.safetensors"
    assert name("model.ckpt", extract=Extract.TEXT_ENCODER) == "model-text-encoder.safetensors"
    assert name("model.ckpt", extract=Extract.CLIP_G) == "model-clip-g.safetensors"


def test_a_vae_is_still_told_by_its_name_and_what_it_was_baked_into_is_none() -> None:
    assert name("kl.vae.pt", dtype=FP16) == "kl-fp16.vae.safetensors"
    assert name("kl.VAE.pt") == "kl.vae.safetensors"
    baked = name("model.ckpt", vae=Path("kl.vae.safetensors"))
    assert baked == "model-vae-kl.safetensors"
    assert name(".vae.pt", dtype=FP16) == ".vae-fp16.safetensors"


def test_what_goes_into_a_result_is_in_its_name() -> None:
    assert name("model.ckpt", vae=Path("x/kl-f8.ckpt")) == "model-vae-kl-f8.safetensors"
    loras = tuple((Path(f"{one}.safetensors"), 1.0) for one in "abcd")
    assert name("model.ckpt", loras=loras[:2]) == "model-with-a-with-b.safetensors"
    assert name("model.ckpt", loras=loras) == "model-with-a-with-b-and-2-more.safetensors"
    assert name("tuned.ckpt", lora_base=Path("b.ckpt"), rank=8) == "tuned-lora-rank8.safetensors"
    style = name("style.safetensors", lora_keys=LoraKeys.KOHYA, rank=16)
    assert style == "style-kohya-rank16.safetensors"


def test_a_word_is_not_repeated_and_a_precision_takes_the_place_of_another() -> None:
    assert name("model-fp32.safetensors", dtype=FP16) == "model-fp16.safetensors"
    assert name("model_fp16.ckpt", dtype=FP16) == "model_fp16.safetensors"
    assert name("model-pruned.ckpt", prune=True, dtype=FP16) == "model-pruned-fp16.safetensors"
    assert name("fp32.ckpt", dtype=FP16) == "fp32-fp16.safetensors"


def test_a_result_never_has_the_name_of_its_source() -> None:
    assert name("model.safetensors") == "model-converted.safetensors"
    assert name("model-fp16.safetensors", dtype=FP16) == "model-fp16-converted.safetensors"


def test_of_several_files_only_the_model_counts() -> None:
    assert source_stem(Path("big-00001-of-00003.safetensors")) == "big"
    assert source_stem(Path("big.safetensors.index.json")) == "big"
    assert source_stem(Path("/x/pipeline/model_index.json")) == "pipeline"
    assert source_stem(Path("/x/vae/diffusion_pytorch_model.safetensors")) == "vae"
    assert source_stem(Path("x/some.folder")) == "some.folder"
    assert source_stem(Path(".ckpt")) == ".ckpt"


def test_a_very_long_name_leaves_room_for_the_words() -> None:
    long = name("ü" * 124 + ".ckpt", prune=True, dtype=FP16, ema=Ema.SWAP)
    assert long.endswith("-ema-pruned-fp16.safetensors")
    assert len(long.encode()) <= 255
    for letters in ("ü", "xü", "字", "x字"):
        assert source_stem(Path(letters * 90 + ".ckpt")).encode()
    foreign = os.fsdecode(b"\xff" * 240 + b".ckpt")
    assert os.fsencode(source_stem(Path(foreign))) == b"\xff" * 200


def test_output_is_a_file_or_a_folder(tmp_path: Path) -> None:
    source = tmp_path / "model.ckpt"

    def path(output: Path, *, several: bool = False, **more: Any) -> Path:
        request = ConvertRequest(output=output, **more)
        return result_path(source, request, several=several)

    assert path(tmp_path) == tmp_path / "model.safetensors"
    assert path(tmp_path / "new", output_is_folder=True) == tmp_path / "new" / "model.safetensors"
    assert path(tmp_path / "new", several=True) == tmp_path / "new" / "model.safetensors"
    assert path(tmp_path / "a.safetensors") == tmp_path / "a.safetensors"
    assert path(tmp_path / "a") == tmp_path / "a.safetensors"
    assert path(tmp_path / "v1.5") == tmp_path / "v1.5.safetensors"


def test_a_name_that_lies_about_the_format_is_refused() -> None:
    source = Path("model.ckpt")
    for output, target in (("a.ckpt", Target.SAFETENSORS), ("a.safetensors", Target.CKPT)):
        request = ConvertRequest(output=Path(output), options=ConvertOptions(target=target))
        with pytest.raises(UsageError, match="is not a name for"):
            result_path(source, request, several=False)
    folder = ConvertRequest(
        output=Path("a.safetensors"), options=ConvertOptions(target=Target.DIFFUSERS)
    )
    with pytest.raises(UsageError, match="writes a folder"):
        result_path(source, folder, several=False)


def test_one_file_for_several_results_is_refused() -> None:
    with pytest.raises(UsageError, match="there are several"):
        result_path(Path("a.ckpt"), ConvertRequest(output=Path("b.safetensors")), several=True)
