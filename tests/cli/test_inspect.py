"""`modelhub inspect`: files here, folders, and what is published, before any download."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub
from tests.cli.conftest import Cli
from tests.formats.written import GgufWriter, safetensors_file

WIDTH = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (
        "F16",
        (16, 768),
    ),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (
        "F16",
        (320, 16),
    ),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.alpha": ("F16", ()),
}


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    path = tmp_path / "style.safetensors"
    metadata = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": "16",
        "ss_tag_frequency": json.dumps({"10_a": {"inkstyle": 20, "cat": 3}}),
        "esc\x1b[2J": "\x1b]0;gotcha\x07",
    }
    path.write_bytes(safetensors_file(WIDTH, metadata))
    return path


@pytest.fixture
def with_hub(hub: DemoHub, monkeypatch: pytest.MonkeyPatch) -> DemoHub:
    monkeypatch.setenv("MODELHUB_CIVITAI_URL", hub.url)
    monkeypatch.setenv("MODELHUB_CIVITAI_REQUESTS_PER_SECOND", "100")
    monkeypatch.setenv("MODELHUB_CIVITAI_RETRIES", "0")
    return hub


def test_a_file_is_described_with_the_reasons(cli: Cli, lora: Path) -> None:
    ended = cli("inspect", str(lora))
    assert ended.code == 0
    for words in (
        "Format:        safetensors",
        "Kind:          lora (kohya)",
        "Architecture:  sd1",
        "Precision:     fp16",
        "Rank:          16",
        "Trigger words: inkstyle",
        "3 tensors",
        "4 entries",
        "Because",
    ):
        assert words in ended.out
    assert "768" in ended.out.partition("Because")[2]


def test_json_holds_all_of_it(cli: Cli, lora: Path) -> None:
    document = json.loads(cli("inspect", str(lora), "--json", "--tensors").out)
    assert document["where"] == "file"
    assert document["format"] == "safetensors"
    assert document["identity"]["kind"] == "lora"
    assert document["identity"]["architecture"] == "sd1"
    assert document["identity"]["evidence"]
    assert document["metadata"]["ss_network_dim"] == "16"
    assert document["tensors"][0] == {
        "name": next(iter(WIDTH)),
        "dtype": "F16",
        "shape": [16, 768],
        "bytes": 24_576,
    }
    assert "tensors" not in json.loads(cli("inspect", str(lora), "--json").out)


def test_tensors_are_listed_and_filtered(cli: Cli, lora: Path) -> None:
    listed = cli("inspect", str(lora), "--tensors").out.splitlines()
    assert len(listed) == 4
    assert listed[0].split() == ["NAME", "TYPE", "SHAPE", "BYTES"]
    filtered = cli("inspect", str(lora), "--filter", "*.alpha").out.splitlines()
    assert [line.split()[1:] for line in filtered[1:]] == [["F16", "scalar", "2"]]


def test_metadata_are_printed_without_driving_the_terminal(cli: Cli, lora: Path) -> None:
    ended = cli("inspect", str(lora), "--metadata")
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out
    assert "esc\\x1b[2J" in ended.out
    assert "networks.lora" in ended.out


def test_a_gguf_is_described(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "flux.gguf"
    writer = GgufWriter().string("general.architecture", "flux")
    path.write_bytes(writer.tensor("img_in.weight", [64, 2], 8, 0).file(136))
    document = json.loads(cli("inspect", str(path), "--json", "--tensors").out)
    assert document["format"] == "gguf"
    assert document["tensors"] == [
        {"name": "img_in.weight", "dtype": "Q8_0", "shape": [2, 64], "bytes": 136}
    ]


def test_a_folder_is_described_with_its_files(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text(
        '{"_class_name": "X", "unet": ["diffusers", "UNet2DConditionModel"]}'
    )
    data = safetensors_file({"conv_in.weight": ("F16", (320, 4, 3, 3))})
    (tmp_path / "unet/diffusion_pytorch_model.safetensors").write_bytes(data)
    ended = cli("inspect", str(tmp_path))
    assert "Format:" in ended.out
    assert "diffusers" in ended.out
    assert "unet/diffusion_pytorch_model.safetensors" in ended.out


def test_a_web_page_saved_as_a_model_is_told(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("<!doctype html><title>Sign in")
    ended = cli("inspect", str(path))
    assert ended.code == 0
    assert "html" in ended.out
    assert "web page" in ended.err


def test_a_damaged_file_is_an_error_with_the_offset(cli: Cli, lora: Path) -> None:
    lora.write_bytes(lora.read_bytes()[:-5])
    ended = cli("inspect", str(lora))
    assert ended.code == 1
    assert f"{lora}: the file is cut off: 5 of its" in ended.err
    assert "hint:" in ended.err


def test_a_published_file_is_described_before_any_download(cli: Cli, with_hub: DemoHub) -> None:
    file = with_hub.publish_bytes("style.safetensors", safetensors_file(WIDTH))
    with_hub.forget_requests()

    ended = cli("inspect", f"{with_hub.url}/api/download/models/{file.version_id}", "--json")

    document = json.loads(ended.out)
    assert document["where"] == "civitai"
    assert document["name"] == "style.safetensors"
    assert document["identity"]["kind"] == "lora"
    assert document["identity"]["architecture"] == "sd1"
    assert document["tensor_count"] == 3
    assert document["published"]["reason"] == "the published primary file"
    assert not [one for one in with_hub.requests if "/download/" in one.path]


def test_a_published_file_is_said_to_have_the_parameters_that_it_has_on_disk(
    cli: Cli, with_hub: DemoHub, tmp_path: Path
) -> None:
    file = with_hub.publish_bytes("style.safetensors", safetensors_file(WIDTH))
    (tmp_path / "here.safetensors").write_bytes(safetensors_file(WIDTH))
    there = f"{with_hub.url}/api/download/models/{file.version_id}"

    here, published = (
        json.loads(cli("inspect", where, "--json").out)["identity"]
        for where in (str(tmp_path / "here.safetensors"), there)
    )

    assert published["parameters"] == here["parameters"] > 0


def test_every_tensor_of_a_published_file_is_listed(cli: Cli, with_hub: DemoHub) -> None:
    ended = cli("inspect", "78056", "--tensors")
    assert len(ended.out.splitlines()) == 1 + 1131


def test_a_published_pickle_cannot_be_looked_into(cli: Cli, with_hub: DemoHub) -> None:
    version = next(
        one.version.id
        for one in with_hub.shelf.versions()
        if {stored.file.format for stored in one.files} == {"PickleTensor"}
    )
    ended = cli("inspect", f"{with_hub.url}/api/download/models/{version}")
    assert ended.code == 3
    assert "safetensors and GGUF files" in ended.err
    assert "pull" in ended.err


def test_what_is_neither_a_file_nor_a_reference_is_told(cli: Cli) -> None:
    ended = cli("inspect", "no/such file.safetensors")
    assert ended.code == 3
    assert "there is no file" in ended.err
