from __future__ import annotations

import gzip
import json
import pickletools
import re
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from modelhub.demo.weights import adapters, ema, files, open_clip, sd1, sd2, sdxl
from modelhub.demo.weights.tables import Table, cast
from modelhub.errors import MissingExtra

LISTS = Path(__file__).parent.parent / "data" / "tensor-lists"


def _published(*names: str) -> dict[str, tuple[int, ...]]:
    found = {}
    for name in names:
        text = gzip.decompress((LISTS / f"{name}.txt.gz").read_bytes()).decode()
        for key, shape in re.findall(r"^(\S+) \[(.*)\]$", text, re.MULTILINE):
            found[key] = tuple(int(size) for size in shape.split(",") if size)
    return found


def _shapes(table: Table) -> dict[str, tuple[int, ...]]:
    shapes = {tensor.name: tensor.shape for tensor in table}
    assert len(shapes) == len(table), "no name twice"
    return shapes


def _averaged(widths: sd1.Widths) -> Table:
    twins = ema.ema_twins(sd1.checkpoint(widths))
    return [replace(one, name=one.name.removeprefix("model_ema.diffusion_model")) for one in twins]


@pytest.mark.parametrize(
    ("table", "lists"),
    [
        (sd1.unet(sd1.TRUE), ["UNET-v1-SD"]),
        (sd1.autoencoder(sd1.TRUE), ["VAE-v1-SD"]),
        (sd1.text_encoder(sd1.TRUE), ["CLIP-v1-SD"]),
        (adapters.lora(sd1.TRUE, -1), ["LoRA-v1A-UNET", "LoRA-v1A-CLIP"]),
        (_averaged(sd1.TRUE), ["UNET-v1-EMA"]),
        (sd2.unet(sd2.TRUE), ["UNET-v2-SD"]),
        (open_clip.text_encoder(1024, 24, 49408), ["CLIP-v2-SD"]),
        (sdxl.unet(sdxl.TRUE), ["UNET-XL-SD"]),
        (sdxl.refiner_unet(sdxl.TRUE), ["UNET-XL-Refiner"]),
        (open_clip.text_encoder(1280, 32, 49408), ["CLIP-XL-SD"]),
    ],
    ids=[
        "unet",
        "vae",
        "text encoder",
        "lora",
        "ema",
        "sd2 unet",
        "sd2 text encoder",
        "sdxl unet",
        "sdxl refiner unet",
        "sdxl text encoder",
    ],
)
def test_at_true_widths_names_and_shapes_are_those_of_real_files(
    table: Table, lists: list[str]
) -> None:
    assert _shapes(table) == _published(*lists)


def test_a_tiny_checkpoint_has_every_tensor_of_a_real_one() -> None:
    tiny = _shapes(sd1.checkpoint(sd1.TINY))
    assert len(tiny) == 1131
    assert tiny.keys() == _shapes(sd1.checkpoint(sd1.TRUE)).keys()
    assert all(
        len(shape) == len(tiny[name]) for name, shape in _shapes(sd1.checkpoint(sd1.TRUE)).items()
    )


def test_the_true_checkpoint_is_as_large_as_it_is_published() -> None:
    half = cast(sd1.checkpoint(sd1.TRUE), "F16")
    assert sum(tensor.nbytes for tensor in half) == pytest.approx(2.13e9, rel=0.01)


def test_a_written_file_is_read_back_by_the_safetensors_library(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    table = cast(sd1.checkpoint(sd1.TINY), "F16")
    files.write_safetensors(path, table, seed=5, metadata={"modelhub.demo": "true"})
    (length,) = (int.from_bytes(path.read_bytes()[:8], "little"),)
    assert length % 8 == 0
    loaded = load_file(path)
    assert {name: array.shape for name, array in loaded.items()} == _shapes(table)
    positions = loaded["cond_stage_model.transformer.text_model.embeddings.position_ids"]
    assert positions.tolist() == [list(range(77))]
    with safe_open(path, framework="np") as opened:
        assert opened.metadata() == {"modelhub.demo": "true"}


def test_a_seed_gives_the_same_file_and_the_same_weights_in_both_precisions(
    tmp_path: Path,
) -> None:
    table = adapters.lora(sd1.TINY, 2)
    for name, dtype, seed in (("a", "F16", 1), ("b", "F16", 1), ("c", "F16", 2), ("d", "F32", 1)):
        files.write_safetensors(tmp_path / name, cast(table, dtype), seed, {})
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    halves, singles = load_file(tmp_path / "a"), load_file(tmp_path / "d")
    assert all((singles[name].astype("float16") == halves[name]).all() for name in halves)


def test_a_torch_zip_is_laid_out_as_torch_does(tmp_path: Path) -> None:
    path = tmp_path / "embedding.pt"
    files.write_torch_zip(path, adapters.embedding(sd1.TRUE, 3), seed=1)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("archive/version") == b"3\n"
        assert len(archive.read("archive/data/0")) == 3 * 768 * 4
        for info in archive.infolist():
            assert (info.header_offset + 30 + len(info.filename) + len(info.extra)) % 64 == 0
        opcodes = list(pickletools.genops(archive.read("archive/data.pkl")))
    named = {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"}
    assert named == {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
    }


def test_what_a_malicious_file_would_call_is_there_and_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "bad.ckpt"
    canary = tmp_path / "canary"
    call = files.system_call(f"touch {canary}")
    files.write_torch_zip(path, adapters.embedding(sd1.TRUE, 1), seed=1, before=call)
    with zipfile.ZipFile(path) as archive:
        opcodes = list(pickletools.genops(archive.read("archive/data.pkl")))
    assert "posix system" in {argument for _, argument, _ in opcodes}
    assert not canary.exists()


def test_without_numpy_the_error_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingExtra) as caught:
        files.write_safetensors(tmp_path / "x", adapters.embedding(sd1.TRUE, 1), 1, {})
    assert "pip install 'modelhub[demo]'" in caught.value.hint


def test_the_header_is_json_with_offsets_that_cover_the_file(tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"
    files.write_safetensors(path, sd1.autoencoder(sd1.TINY), 1, {})
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert [span[0] for span in spans] == [0, *(span[1] for span in spans[:-1])]
    assert spans[-1][1] == len(data) - 8 - length
