"""Files and wishes that no picture can be made of: each is told, and the worker lives on."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelhub.demo.weights.files import system_call
from modelhub.errors import (
    AddonMisfit,
    CannotRender,
    FileUnreadable,
    FormatError,
    ModelhubError,
    PartsMissing,
    UnsafeFileError,
    UsageError,
)
from modelhub.render.answers import Rendered
from tests.render import tiny
from tests.render.conftest import Bench

NAN = float("nan")


def pixels(image: Rendered) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(image.png)).convert("RGB"))


def refused(bench: Bench, request: Any, *, by: type[ModelhubError], words: str) -> ModelhubError:
    """The error that a request ends with: of that class, with those words, and with no picture."""
    with pytest.raises(by, match=words) as caught:
        bench.render(request)
    assert "Traceback" not in caught.value.message
    return caught.value


def test_a_tensor_that_is_missing_is_named(bench: Bench, tmp_path: Path) -> None:
    gap = tmp_path / "gap.safetensors"
    tiny.write_sd1(gap, without=lambda name: name == tiny.UNET_TENSOR)
    error = refused(bench, tiny.asked(gap), by=ModelhubError, words="attn1")
    assert str(gap) in error.message


@pytest.mark.parametrize(
    ("prefix", "part"),
    [
        ("first_stage_model.", "VAE"),
        ("cond_stage_model.", "text encoder"),
        ("model.diffusion_model.", "diffusion model"),
    ],
)
def test_a_part_that_is_missing_is_named_with_what_would_supply_it(
    prefix: str, part: str, bench: Bench, tmp_path: Path
) -> None:
    less = tiny.write_sd1(
        tmp_path / "less.safetensors", without=lambda name: name.startswith(prefix)
    )
    refused(bench, tiny.asked(less), by=CannotRender, words=part)


def test_a_vae_and_a_text_encoder_of_other_files_make_a_model_whole(
    bench: Bench, models: Path, tmp_path: Path
) -> None:
    """Of the same seed, and so with the same numbers: the picture is that of the whole model."""
    bare = tiny.write_sd1(
        tmp_path / "bare.safetensors", without=lambda name: name.startswith("first_stage_model.")
    )
    with pytest.raises(PartsMissing):
        bench.render(tiny.asked(bare))
    image = bench.render(tiny.asked(bare, recipe={"vae": str(models / "vae.safetensors")}))
    assert not image.faults


@pytest.mark.parametrize("keep", [4000, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_damaged(
    keep: float, bench: Bench, models: Path, tmp_path: Path
) -> None:
    whole = (models / "sd1.safetensors").read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    refused(bench, tiny.asked(cut), by=FormatError, words="cut.safetensors")


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_weights_that_are_no_numbers_are_told_by_part_and_name(
    value: float, bench: Bench, tmp_path: Path
) -> None:
    def break_it(numbers: Any) -> None:
        numbers[5] = value

    model = tiny.patched(tiny.write_sd1(tmp_path / "nan.safetensors"), tiny.LAST_TENSOR, break_it)
    image = bench.render(tiny.asked(model))
    assert "nan" in image.faults or "black" in image.faults
    assert any("unet" in one and "NaN" in one for one in image.notices), image.notices
    assert pixels(image).max() == 0


def test_a_vae_that_overflows_in_fp16_is_told_and_decoded_in_fp32(
    bench: Bench, tmp_path: Path
) -> None:
    def enlarge(numbers: Any) -> None:
        numbers[0] = 70_000.0

    model = tiny.patched(tiny.write_sd1(tmp_path / "vae.safetensors"), tiny.VAE_TENSOR, enlarge)
    broken = tiny.asked(model, recipe={"precision": "fp16"}, fix_black=False)
    image = bench.render(broken)
    assert image.faults
    mended = bench.render(tiny.asked(model, recipe={"precision": "fp16"}))
    assert not mended.faults
    assert "fp32" in "\n".join((*mended.notices, bench.texts))
    assert pixels(mended).std() > 5


@pytest.mark.parametrize("name", ["vae", "lora", "xl-lora"])
def test_what_is_no_model_is_no_model(name: str, bench: Bench, models: Path) -> None:
    refused(
        bench, tiny.asked(models / f"{name}.safetensors"), by=CannotRender, words=f"{name}.safe"
    )


def test_a_text_encoder_of_another_width_does_not_fit(
    bench: Bench, models: Path, tmp_path: Path
) -> None:
    wide = tiny.write_sd1(tmp_path / "wide.safetensors", widths=replace(tiny.SD1, text=64))
    request = tiny.asked(models / "sd1.safetensors", recipe={"parts": {"text_encoder": str(wide)}})
    refused(bench, request, by=CannotRender, words="32.*64|64.*32")


def test_a_file_that_says_it_is_another_architecture_is_taken_for_what_its_tensors_are(
    bench: Bench, tmp_path: Path
) -> None:
    says = {"modelspec.architecture": "stable-diffusion-xl-v1-base"}
    image = bench.render(tiny.asked(tiny.write_sd1(tmp_path / "lying.safetensors", says=says)))
    assert not image.faults
    assert image.width == 64


@pytest.mark.parametrize(
    ("model", "lora"), [("sd1", "xl-lora"), ("sdxl", "lora")], ids=["xl on sd1", "sd1 on xl"]
)
def test_a_lora_for_another_base_is_refused_with_both_named(
    model: str, lora: str, bench: Bench, models: Path
) -> None:
    used = models / f"{lora}.safetensors"
    recipe = {"loras": ({"path": str(used), "weight": 0.8},)}
    request = tiny.asked(models / f"{model}.safetensors", recipe=_weighted(recipe))
    error = refused(bench, request, by=AddonMisfit, words=f"{lora}.safetensors")
    assert f"{model}.safetensors" in error.message


def _weighted(recipe: dict[str, Any]) -> dict[str, Any]:
    from modelhub.render.request import Weighted

    return {"loras": tuple(Weighted(**one) for one in recipe["loras"])}


def test_a_lora_with_numbers_that_are_none_is_told(
    bench: Bench, models: Path, tmp_path: Path
) -> None:
    def break_it(numbers: Any) -> None:
        numbers[:] = NAN

    name = "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight"
    lora = tiny.patched(tiny.write_lora(tmp_path / "nan.safetensors"), name, break_it)
    request = tiny.asked(
        models / "sd1.safetensors", recipe=_weighted({"loras": ({"path": str(lora)},)})
    )
    refused(bench, request, by=FormatError, words="nan.safetensors")
    clean = bench.render(tiny.asked(models / "sd1.safetensors"))
    assert not clean.faults, "nothing of it stays in the model"


def test_a_pickle_that_would_run_something_is_refused_and_never_runs(
    bench: Bench, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    bad = tiny.write_sd1(tmp_path / "bad.ckpt", before=system_call(f"touch {canary}"))
    error = refused(bench, tiny.asked(bad), by=UnsafeFileError, words="bad.ckpt")
    assert error.exit_code == 6
    image = bench.render(tiny.asked(bad, recipe={"allow_unsafe": True}))
    assert not image.faults
    assert not canary.exists()


def test_a_pickle_makes_the_picture_that_its_tensors_make(
    bench: Bench, models: Path, tmp_path: Path
) -> None:
    """Files in another order of tensors have other numbers here: so one is converted."""
    from modelhub.convert.options import ConvertOptions
    from modelhub.convert.plan import make_plan
    from modelhub.convert.readers import open_source
    from modelhub.convert.writers import write_ckpt

    pickled = tmp_path / "pickled.ckpt"
    with open_source(models / "sd1.safetensors") as source:
        write_ckpt(make_plan(source, ConvertOptions()), pickled)
    image = bench.render(tiny.asked(pickled))
    assert image.png == bench.render(tiny.asked(models / "sd1.safetensors")).png


@pytest.mark.parametrize("given_as", ["model", "vae", "text_encoder", "lora", "embedding"])
@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", CannotRender),
        (b"\x80\x01\x00\x00\x00\x00\x00\x00", FormatError),
        (b"<!doctype html><title>Log in</title>", CannotRender),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, CannotRender),
        (bytes(range(256)), CannotRender),
    ],
    ids=["empty", "length", "page", "picture", "noise"],
)
def test_what_is_no_model_file_at_all_is_told(
    content: bytes,
    error: type[ModelhubError],
    given_as: str,
    bench: Bench,
    models: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    recipes: dict[str, dict[str, Any]] = {
        "model": {},
        "vae": {"vae": str(path)},
        "text_encoder": {"parts": {"text_encoder": str(path)}},
        "lora": _weighted({"loras": ({"path": str(path)},)}),
        "embedding": {"embeddings": (str(path),)},
    }
    model = path if given_as == "model" else models / "sd1.safetensors"
    told = refused(
        bench, tiny.asked(model, recipe=recipes[given_as]), by=error, words="file.safetensors"
    )
    assert told.hint


def test_a_file_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    gone = tmp_path / "gone.safetensors"
    refused(bench, tiny.asked(gone), by=FileUnreadable, words="gone.safetensors")
    refused(bench, tiny.asked(tmp_path), by=ModelhubError, words=tmp_path.name)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "step"),
        ({"steps": -3}, "step"),
        ({"steps": 10**9}, "step"),
        ({"width": 100}, "8"),
        ({"height": 0}, "0"),
        ({"width": -64}, "64"),
        ({"width": 1 << 20, "height": 1 << 20}, "1,?048,?576"),
        ({"cfg": NAN}, "(?i)cfg"),
        ({"cfg": float("inf")}, "(?i)cfg"),
        ({"sampler": "DPM++ 2N"}, "DPM"),
        ({"schedule": "carras"}, "carras"),
        ({"clip_skip": 0}, "skip"),
        ({"clip_skip": 99}, "skip"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_told_before_anything_is_loaded(
    settings: dict[str, Any], words: str, bench: Bench, models: Path
) -> None:
    error = refused(
        bench, tiny.asked(models / "sd1.safetensors", **settings), by=UsageError, words=words
    )
    assert error.exit_code == 2
