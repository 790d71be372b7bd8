"""Models in several files: shards with and without their index, and diffusers folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.reading import read_model
from modelhub.formats.tensors import FileFormat
from tests.formats.written import safetensors_file

SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
INDEX = "model.safetensors.index.json"


def sharded(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(SHARDS):
        data = safetensors_file({f"layer.{number}.weight": ("F16", (2, 2))}, {"format": "pt"})
        (folder / name).write_bytes(data)
    weights = {f"layer.{number}.weight": name for number, name in enumerate(SHARDS)}
    write_json(folder / INDEX, {"metadata": {}, "weight_map": weights})


def write_json(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def pipeline(folder: Path, **parts: Sequence[str | None]) -> None:
    index: Mapping[str, Any] = {"_class_name": "StableDiffusionPipeline", **parts}
    write_json(folder / "model_index.json", index)


def weights(path: Path, *names: str, dtype: str = "F32") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(safetensors_file(dict.fromkeys(names, (dtype, (2,)))))


@pytest.mark.parametrize("name", [*SHARDS, INDEX])
def test_any_shard_and_the_index_give_the_whole_model(tmp_path: Path, name: str) -> None:
    sharded(tmp_path)
    header = read_model(tmp_path / name)
    assert header.format is FileFormat.SAFETENSORS
    assert list(header.tensors) == [f"layer.{number}.weight" for number in range(3)]
    assert header.parts == tuple(SHARDS)
    assert header.size == sum((tmp_path / name).stat().st_size for name in SHARDS)
    assert header.metadata == {"format": "pt"}
    assert header.notices == ()


def test_an_incomplete_model_says_which_shards_are_missing(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / SHARDS[1]).unlink()
    header = read_model(tmp_path / SHARDS[0])
    assert header.notices == (f"incomplete: 1 of 3 files is missing: {SHARDS[1]}",)
    assert len(header.tensors) == 2


def test_a_tensor_that_the_index_names_and_no_shard_holds_is_told(tmp_path: Path) -> None:
    sharded(tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    index["weight_map"]["lost.weight"] = SHARDS[0]
    write_json(tmp_path / INDEX, index)
    assert "names 1 tensors that no file holds" in read_model(tmp_path / SHARDS[0]).notices[0]


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / SHARDS[2]).write_bytes((tmp_path / SHARDS[0]).read_bytes())
    with pytest.raises(FormatError, match=r"holds 'layer\.0\.weight', as another does"):
        read_model(tmp_path / SHARDS[0])


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / SHARDS[2]).write_bytes((tmp_path / SHARDS[2]).read_bytes()[:-1])
    with pytest.raises(FormatError, match=SHARDS[2]):
        read_model(tmp_path / SHARDS[0])


def test_shards_under_unusual_names_are_found_by_the_index(tmp_path: Path) -> None:
    weights(tmp_path / "first.safetensors", "a")
    weights(tmp_path / "second.safetensors", "b")
    index = tmp_path / "odd.safetensors.index.json"
    write_json(index, {"weight_map": {"a": "first.safetensors", "b": "second.safetensors"}})
    assert sorted(read_model(index).tensors) == ["a", "b"]


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..", "a\0b", ""])
def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    write_json(index, {"weight_map": {"a": name}})
    with pytest.raises(FormatError, match="no plain file name"):
        read_model(index)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": 1}', "[" * 100_000, '{"weight_map": {}}', "\udcff"]
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError):
        read_model(index)


def test_a_pipeline_is_read_with_all_its_parts(tmp_path: Path) -> None:
    pipeline(
        tmp_path,
        unet=["diffusers", "UNet2DConditionModel"],
        text_encoder=["transformers", "CLIPTextModel"],
        scheduler=["diffusers", "PNDMScheduler"],
        tokenizer=["transformers", "CLIPTokenizer"],
        safety_checker=[None, None],
    )
    weights(tmp_path / "unet/diffusion_pytorch_model.safetensors", "conv_in.weight")
    weights(tmp_path / "text_encoder/model.safetensors", "text_model.weight")
    write_json(tmp_path / "unet/config.json", {"cross_attention_dim": 768, "blocks": ["a"]})
    write_json(tmp_path / "scheduler/scheduler_config.json", {"prediction_type": "v_prediction"})
    for path in (tmp_path, tmp_path / "model_index.json"):
        header = read_model(path)
        assert header.format is FileFormat.DIFFUSERS
        assert list(header.tensors) == ["unet/conv_in.weight", "text_encoder/text_model.weight"]
        assert header.parts == (
            "unet/diffusion_pytorch_model.safetensors",
            "text_encoder/model.safetensors",
        )
        assert header.metadata == {
            "_class_name": "StableDiffusionPipeline",
            "unet": "UNet2DConditionModel",
            "text_encoder": "CLIPTextModel",
            "scheduler": "PNDMScheduler",
            "tokenizer": "CLIPTokenizer",
            "unet/cross_attention_dim": "768",
            "scheduler/prediction_type": "v_prediction",
        }
        assert header.notices == ()


def test_the_full_variant_is_taken_and_the_others_are_told(tmp_path: Path) -> None:
    pipeline(tmp_path, unet=["diffusers", "UNet2DConditionModel"])
    folder = tmp_path / "unet"
    weights(folder / "diffusion_pytorch_model.fp16.safetensors", "a", dtype="F16")
    weights(folder / "diffusion_pytorch_model.safetensors", "a", dtype="F32")
    header = read_model(tmp_path)
    assert header.tensors["unet/a"].dtype == "F32"
    assert header.notices == (
        "beside diffusion_pytorch_model.safetensors: diffusion_pytorch_model.fp16.safetensors",
    )
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    assert read_model(tmp_path).tensors["unet/a"].dtype == "F16"


def test_a_whole_variant_goes_before_a_fuller_one_with_a_shard_missing(tmp_path: Path) -> None:
    pipeline(tmp_path, transformer=["diffusers", "FluxTransformer2DModel"])
    folder = tmp_path / "transformer"
    weights(folder / "diffusion_pytorch_model-00001-of-00002.safetensors", "a")
    weights(folder / "diffusion_pytorch_model.fp16.safetensors", "a", "b", dtype="F16")
    assert read_model(tmp_path).tensors["transformer/b"].dtype == "F16"


def test_shards_of_a_part_are_read_together(tmp_path: Path) -> None:
    pipeline(tmp_path, text_encoder_2=["transformers", "T5EncoderModel"])
    sharded(tmp_path / "text_encoder_2")
    header = read_model(tmp_path)
    assert len(header.tensors) == 3
    assert header.parts == tuple(f"text_encoder_2/{name}" for name in SHARDS)


def test_a_part_without_weights_is_told(tmp_path: Path) -> None:
    pipeline(
        tmp_path, unet=["diffusers", "UNet2DConditionModel"], vae=["diffusers", "AutoencoderKL"]
    )
    (tmp_path / "unet").mkdir()
    assert read_model(tmp_path).notices == (
        "the part unet has no weights here",
        "the part vae has no weights here",
    )


def test_a_part_alone_is_read_under_its_own_names(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"_class_name": "AutoencoderKL", "latent_channels": 4})
    weights(tmp_path / "diffusion_pytorch_model.safetensors", "encoder.conv_in.weight")
    header = read_model(tmp_path)
    assert header.format is FileFormat.DIFFUSERS
    assert list(header.tensors) == ["encoder.conv_in.weight"]
    assert header.metadata["_class_name"] == "AutoencoderKL"
    assert header.metadata["/latent_channels"] == "4"


@pytest.mark.parametrize("name", ["../other", "/etc", "..", "a/b", "", "a\\b"])
def test_a_part_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    pipeline(tmp_path, **{name: ["diffusers", "UNet2DConditionModel"]})
    with pytest.raises(FormatError, match="no plain folder name"):
        read_model(tmp_path)


def test_a_part_that_links_to_itself_is_refused(tmp_path: Path) -> None:
    pipeline(tmp_path, unet=["diffusers", "UNet2DConditionModel"])
    (tmp_path / "unet").symlink_to("unet")
    with pytest.raises(FileUnreadable, match="symbolic links"):
        read_model(tmp_path)


def test_a_part_that_links_back_to_the_folder_ends(tmp_path: Path) -> None:
    pipeline(tmp_path, unet=["diffusers", "UNet2DConditionModel"])
    (tmp_path / "unet").symlink_to(".")
    assert read_model(tmp_path).tensors == {}


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="neither model_index"):
        read_model(tmp_path)


def test_an_endless_configuration_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "model_index.json").open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(FormatError, match="too many"):
        read_model(tmp_path)
