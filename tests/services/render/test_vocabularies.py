"""Tokenizers that other programs keep on this machine are found, and told apart by their words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelhub.demo.weights import flux, sd3
from modelhub.errors import PartsMissing
from modelhub.progress import Notice
from modelhub.services.render.hashes import tokenizer_hash
from modelhub.services.render.vocabularies import find_tokenizer
from tests.render.pipelines.flow_models import Shelf

from .conftest import Studio

_T5_WORDS = ("<pad>", "</s>", "<unk>", "\u2581a", "\u2581photo", "\u2581of", "\u2581cat")


def words(count: int) -> dict[str, int]:
    """That nobody meets."""
    return {f"w{number}": number for number in range(count)}


def t5(folder: Path, size: int = 32_100) -> Path:
    """A tokenizer of T5's kind and size; of its words a few are ever met."""
    vocabulary: list[Any] = [[word, -float(place)] for place, word in enumerate(_T5_WORDS)]
    vocabulary += [[f"\u2581{number}-", -100.0] for number in range(size - len(vocabulary))]
    model = {"type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": False}
    marked = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"}
    return _written(folder, model, pre_tokenizer=marked)


def umt5(folder: Path) -> Path:
    return t5(folder, size=256_300)


def pile_t5(folder: Path) -> Path:
    model = {"type": "BPE", "vocab": words(32_100), "merges": []}
    return _written(folder, model, added="<extra_id_0>")


def gemma(folder: Path) -> Path:
    return _written(folder, {"type": "BPE", "vocab": words(256_000), "merges": []})


def llama(folder: Path) -> Path:
    model = {"type": "BPE", "vocab": words(128_000), "merges": []}
    return _written(folder, model, added="<|begin_of_text|>")


def qwen(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_bytes(msgspec.json.encode(words(151_643)))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def mistral(folder: Path) -> Path:
    model = {"type": "BPE", "vocab": words(131_072), "merges": []}
    return _written(folder, model, added="[SYSTEM_PROMPT]")


_KINDS = {
    "T5": t5,
    "Pile-T5": pile_t5,
    "Gemma 2": gemma,
    "Qwen2.5": qwen,
    "Mistral Small": mistral,
    "UMT5": umt5,
    "Llama 3": llama,
}


def _written(
    folder: Path,
    model: dict[str, Any],
    added: str | None = None,
    pre_tokenizer: dict[str, Any] | None = None,
) -> Path:
    folder.mkdir(parents=True)
    extra = [{"id": len(model["vocab"]), "content": added}] if added else []
    whole = {"version": "1.0", "added_tokens": extra, "pre_tokenizer": pre_tokenizer}
    (folder / "tokenizer.json").write_bytes(msgspec.json.encode({**whole, "model": model}))
    return folder


def test_each_kind_is_told_by_its_words_in_hugging_faces_cache(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    hub, catalog = tmp_path / "cache" / "hub", studio.library.catalog
    t5(hub / "models--a--umt5" / "snapshots" / "0" / "tokenizer", size=60_000)
    broken = hub / "models--b--broken" / "snapshots" / "0" / "tokenizer"
    broken.mkdir(parents=True)
    (broken / "tokenizer.json").write_text('{"model": ')
    assert find_tokenizer("T5", catalog) is None
    wanted = {
        name: make(hub / f"models--c--{number}" / "snapshots" / "0" / "tokenizer_2")
        for number, (name, make) in enumerate(_KINDS.items())
    }
    assert {name: find_tokenizer(name, catalog) for name in _KINDS} == wanted
    assert find_tokenizer("Qwen3", catalog) == wanted["Qwen2.5"]
    assert find_tokenizer("BERT", catalog) is None


def test_wans_own_folder_has_the_tokenizer_of_umt5(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "Wan2.1-T2V-1.3B"
    wanted = umt5(model / "google" / "umt5-xxl")
    catalog = studio.library.catalog
    assert find_tokenizer("UMT5", catalog) is None
    assert find_tokenizer("UMT5", catalog, parts=[model / "model.safetensors"]) == wanted
    snapshot = tmp_path / "hub" / "models--Wan-AI--Wan2.1" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot / "google").symlink_to(model / "google")
    assert find_tokenizer("UMT5", catalog) == snapshot / "google" / "umt5-xxl"


def test_beside_a_whole_model_the_tokenizer_alone_is_taken(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = t5(tmp_path / "hub" / "models--google--t5" / "snapshots" / "0")
    (snapshot / "config.json").write_text("{}")
    whole = snapshot / "tokenizer.json"
    assert find_tokenizer("T5", studio.library.catalog) == whole
    assert tokenizer_hash(whole).size == whole.stat().st_size


def test_flux_takes_t5s_tokenizer_of_the_comfyui_that_the_library_is_in(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    recipe = Shelf(studio.root).flux()
    parts = {name: path for name, path in recipe.parts.items() if name != "tokenizer_2"}
    studio.index()
    wishes: dict[str, Any] = {"vae": recipe.vae, "parts": parts}
    # The shelf's own tokenizer is one of eight words: it is none of T5.
    [failed] = studio.render(recipe.model, **wishes).failed
    assert isinstance(failed.error, PartsMissing)
    assert failed.error.message.endswith("the tokenizer of T5 (it is not bundled) is missing")
    for place in ("--part tokenizer_2=FOLDER", "ComfyUI", "diffusers", "Hugging Face"):
        assert place in failed.error.hint
    ours = t5(tmp_path / "comfy" / "text_encoders" / "t5_tokenizer")
    image = studio.one(recipe.model, **wishes)
    told = [one.text for one in studio.told if isinstance(one, Notice)]
    assert any(f"{ours} supplies it" in text for text in told)
    used = {one.role: one for one in image.kept.files}["part:tokenizer_2"]
    assert used.file == ours
    assert image.id is not None
    assert studio.again(image.id).identical
    file = {**parts, "tokenizer_2": str(ours / "tokenizer.json")}
    assert studio.one(recipe.model, vae=recipe.vae, parts=file).kept.pixels_sha256


def test_a_tokenizer_beside_a_part_in_invokes_folders_is_found(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    encoder = studio.root / "t5" / "text_encoder_2"
    encoder.mkdir(parents=True)
    file = Path(Shelf(tmp_path).recipe("flux").parts["text_encoder_2"])
    file.rename(encoder / "model.safetensors")
    wanted = t5(studio.root / "t5" / "tokenizer_2")
    assert find_tokenizer("T5", studio.library.catalog) is None
    studio.index()
    assert find_tokenizer("T5", studio.library.catalog) == wanted


def test_the_librarys_folder_counts_before_anything_is_indexed(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    wanted = qwen(tmp_path / "comfy" / "text_encoders" / "qwen25_tokenizer")
    root = tmp_path / "models"
    assert find_tokenizer("Qwen3", studio.library.catalog) is None
    assert find_tokenizer("Qwen3", studio.library.catalog, [root]) == wanted


def test_an_encoder_that_sd3_can_do_without_gets_its_tokenizer_where_it_is_given(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    ours = t5(tmp_path / "comfy" / "text_encoders" / "t5_tokenizer")
    shelf = Shelf(studio.root)
    encoder = shelf.file("t5", flux.t5_encoder(replace(flux.T5_TINY, width=sd3.TINY.joint)))
    image = studio.one(shelf.recipe("sd3").model, parts={"text_encoder_3": encoder})
    used = {one.role: one.file for one in image.kept.files}
    assert used["part:tokenizer_3"] == ours
    assert not any("rendered without" in text for text in image.notices)
