from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import pytest
from safetensors.numpy import load_file

from modelhub.convert.diffusers.folder import Component, DiffusersFolder
from modelhub.convert.options import Overflow
from modelhub.convert.readers import Source
from modelhub.convert.values import Planned
from modelhub.convert.writers import Phase, write_diffusers
from modelhub.errors import Cancelled, FP16Overflow, NameTaken, UsageError

from .planned import MIB, drawn, names, source_of

FILES = {"unet/config.json": b"{}", "tokenizer/vocab.json": b'{"a": 0}', "README.md": b"read"}


def folder_of(source: Source, files: Mapping[str, bytes] = FILES) -> DiffusersFolder:
    """A part for each tensor, in fp16."""
    parts = tuple(
        Component(
            folder=name,
            config_name="config.json",
            config={},
            tensors=(Planned("w", one, "F16"),),
            weights_name="model.safetensors",
            metadata={"format": "pt"},
        )
        for name, one in source.tensors.items()
    )
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "X"]}
    return DiffusersFolder(model_index=index, components=parts, files=files)


def test_a_folder_appears_with_all_its_parts(tmp_path: Path) -> None:
    target = tmp_path / "model"
    told: list[tuple[Phase, int, int]] = []

    def listen(phase: Phase, done: int, total: int) -> None:
        assert not target.exists()
        told.append((phase, done, total))

    arrays = {"unet": drawn(MIB), "vae": drawn(5, 7)}
    with source_of(tmp_path / "in.safetensors", arrays) as source:
        written = write_diffusers(folder_of(source), target, progress=listen)
    for name, one in arrays.items():
        loaded = load_file(target / name / "model.safetensors")
        assert loaded["w"].tobytes() == one.astype("<f2").tobytes()
    assert json.loads((target / "model_index.json").read_bytes())["unet"] == ["diffusers", "X"]
    for path, content in FILES.items():
        assert (target / path).read_bytes() == content
    assert names(target) == {"model_index.json", "README.md", "tokenizer", "unet", "vae"}
    assert names(tmp_path) == {"in.safetensors", "model"}
    assert [one.path for one in written.parts] == [
        target / "unet" / "model.safetensors",
        target / "vae" / "model.safetensors",
    ]
    assert all(len(one.sha256) == 64 for one in written.parts)
    everything = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    assert written.nbytes == everything
    writing = [done for phase, done, _ in told if phase is Phase.WRITE]
    assert writing == sorted(writing)
    assert writing[-1] == told[0][2] == 2 * MIB + 70


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with source_of(tmp_path / "in.safetensors", {"unet": drawn(4)}) as source:
        with pytest.raises(NameTaken):
            write_diffusers(folder_of(source), tmp_path / "model")

        def take(phase: Phase, done: int, total: int) -> None:
            (tmp_path / "other").mkdir(exist_ok=True)

        with pytest.raises(NameTaken):
            write_diffusers(folder_of(source), tmp_path / "other", progress=take)
    assert names(tmp_path / "model") == names(tmp_path / "other") == set()
    assert names(tmp_path) == {"in.safetensors", "model", "other"}


def test_layers_of_all_parts_that_overflow_are_named_or_kept_wider(tmp_path: Path) -> None:
    arrays = {name: drawn(30) for name in ("unet", "vae", "text_encoder")}
    arrays["unet"][4] = arrays["vae"][5] = 1e5
    with source_of(tmp_path / "in.safetensors", arrays) as source:
        with pytest.raises(FP16Overflow) as caught:
            write_diffusers(folder_of(source), tmp_path / "model")
        assert set(caught.value.tensors) == {"unet/w", "vae/w"}
        assert names(tmp_path) == {"in.safetensors"}
        written = write_diffusers(folder_of(source), tmp_path / "m", overflow=Overflow.FP32)
    assert {one.name for one in written.kept} == {"unet/w", "vae/w"}
    assert load_file(tmp_path / "m" / "vae" / "model.safetensors")["w"].dtype == "f4"


def test_a_cancelled_folder_leaves_nothing(tmp_path: Path) -> None:
    cancel = Event()

    def stop(phase: Phase, done: int, total: int) -> None:
        if phase is Phase.VERIFY:
            cancel.set()

    arrays = {"unet": drawn(MIB), "vae": drawn(MIB)}
    with (
        source_of(tmp_path / "in.safetensors", arrays) as source,
        pytest.raises(Cancelled),
    ):
        write_diffusers(folder_of(source), tmp_path / "model", progress=stop, cancel=cancel)
    assert names(tmp_path) == {"in.safetensors"}


@pytest.mark.parametrize("path", ["../evil", "/evil", "unet/../../evil", "."])
def test_a_file_that_would_lie_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with (
        source_of(tmp_path / "in.safetensors", {"unet": drawn(4)}) as source,
        pytest.raises(UsageError, match="elsewhere"),
    ):
        write_diffusers(folder_of(source, {path: b"x"}), tmp_path / "model")
    assert names(tmp_path) == {"in.safetensors"}
