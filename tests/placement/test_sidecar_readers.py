from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.config.settings import SidecarKind
from modelhub.placement.sidecars import write_sidecars
from modelhub.placement.sidecars.read import (
    MAX_BYTES,
    SUFFIXES,
    NotASidecar,
    Source,
    read_sidecar,
    sidecars_of,
)
from modelhub.placement.sidecars.read_words import (
    LONGEST_NOTE,
    Words,
    copied,
    joined_words,
    own_words,
)

from .golden import KINDS, SHA256, load, lora_facts

STEM = "pp-storybook_rank2_bf16"


def put(folder: Path, source: Source, content: Any) -> Path:
    path = folder / f"model{SUFFIXES[source]}"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, "utf-8")
    return path


def words_in(folder: Path, source: Source, content: Any) -> Words:
    return read_sidecar(put(folder, source, content), source).words


def everything_written(folder: Path) -> list[Any]:
    write_sidecars(lora_facts(folder), KINDS)
    names = {entry.name for entry in folder.iterdir()}
    beside = sidecars_of(names, f"{STEM}.safetensors")
    return [read_sidecar(folder / name, source) for source, name in beside.sidecars.items()]


def test_the_sidecars_and_the_preview_of_a_model_are_found_by_name() -> None:
    names = {
        "ink.safetensors",
        "ink.civitai.info",
        "ink.json",
        "ink.preview.png",
        "ink.txt",
        "ink v2.safetensors",
        "ink v2.json",
        "other.metadata.json",
    }
    beside = sidecars_of(names, "ink.safetensors")
    assert dict(beside.sidecars) == {
        Source.CIVITAI_INFO: "ink.civitai.info",
        Source.A1111: "ink.json",
        Source.TEXT: "ink.txt",
    }
    assert beside.preview == "ink.preview.png"
    assert not sidecars_of(names, "other.safetensors").sidecars.keys() - {Source.LORA_MANAGER}
    assert not sidecars_of({"a.json"}, "a.json")


def test_what_we_write_for_other_tools_is_nobodys_own_words(tmp_path: Path) -> None:
    read = everything_written(tmp_path)
    assert len(read) == 4
    published = copied(
        [one.claim.version for one in read if one.claim is not None], is_independent=True
    )
    assert not joined_words(own_words(one.words, published) for one in read)


@pytest.mark.parametrize("kind", ["civitai.info", "lora-manager", "stability-matrix"])
def test_what_we_write_is_read_back_as_the_same_claim(tmp_path: Path, kind: SidecarKind) -> None:
    write_sidecars(lora_facts(tmp_path), [kind])
    (path,) = tmp_path.iterdir()
    claim = read_sidecar(path, Source(kind)).claim
    version = load("lora-version.json")
    assert claim is not None
    assert (claim.version_id, claim.version["modelId"]) == (version["id"], version["modelId"])
    assert SHA256.upper() in claim.sha256s
    assert claim.version["trainedWords"] == version["trainedWords"]
    assert claim.model["name"] == "Vivid Impressions Storybook Style"
    assert claim.model["tags"] == ["style", "storybook", "illustration"]
    assert claim.whole == (kind != "stability-matrix")


def test_what_the_user_wrote_in_our_sidecars_is_theirs(tmp_path: Path) -> None:
    everything_written(tmp_path)
    for suffix, changes in {
        ".json": {"notes": "for backgrounds", "preferred weight": 0.8, "negative text": "blurry"},
        ".metadata.json": {"favorite": True, "usage_tips": '{"strength": 0.7}', "tags": ["mine"]},
        ".cm-info.json": {"UserTitle": "My storybook"},
    }.items():
        path = tmp_path / f"{STEM}{suffix}"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
    read = everything_written(tmp_path)
    published = copied(
        [one.claim.version for one in read if one.claim is not None], is_independent=True
    )
    own = joined_words(own_words(one.words, published) for one in read)
    assert own.note == "for backgrounds"
    assert own.tags == ("mine",)
    assert own.trigger_words == ()
    assert own.values == {
        "favorite": "yes",
        "usage_tips": '{"strength": 0.7}',
        "preferred_weight": "0.7",
        "title": "My storybook",
        "negative_text": "blurry",
    }


def test_all_that_the_web_ui_keeps_is_read(tmp_path: Path) -> None:
    words = words_in(
        tmp_path,
        Source.A1111,
        {
            "description": "from a friend\r\n",
            "sd version": "SDXL",
            "activation text": "inkwash, fine lines, <lora:ink:0.8>",
            "preferred weight": 0.75,
            "negative text": "colour",
            "notes": "30 steps",
        },
    )
    assert words.note == "from a friend\n\n30 steps"
    assert words.trigger_words == ("inkwash", "fine lines")
    assert words.values == {
        "negative_text": "colour",
        "preferred_weight": "0.75",
        "sd_version": "SDXL",
    }


@pytest.mark.parametrize(
    "content",
    [
        {"sd version": "Unknown", "activation text": "", "preferred weight": 0.0, "notes": ""},
        {"sd_version_str": "SdVersion.Unknown", "vae": "Automatic", "vae_te": []},
        {"preferred weight": float("nan"), "notes": None, "activation text": 7},
        {"preferred weight": True, "description": ["no text"]},
    ],
)
def test_the_web_uis_defaults_and_wrong_types_are_no_words(tmp_path: Path, content: Any) -> None:
    assert not words_in(tmp_path, Source.A1111, content)


def test_a_checkpoints_vae_is_read_in_both_spellings(tmp_path: Path) -> None:
    assert words_in(tmp_path, Source.A1111, {"vae": "clear.pt"}).values == {"vae": "clear.pt"}
    forge = {"vae_te": ["ae.safetensors", "t5.safetensors"]}
    assert words_in(tmp_path, Source.A1111, forge).values == {
        "vae": "ae.safetensors, t5.safetensors"
    }


def test_prompts_in_an_activation_text_are_not_cut_at_their_commas(tmp_path: Path) -> None:
    words = words_in(tmp_path, Source.A1111, {"activation text": "a cat, ink || a dog, ink"})
    assert words.trigger_words == ("a cat, ink", "a dog, ink")


def test_an_activation_text_too_long_for_words_is_kept_as_a_note(tmp_path: Path) -> None:
    prompt = "very " * 200
    words = words_in(tmp_path, Source.A1111, {"activation text": f"inkwash, {prompt}"})
    assert words.trigger_words == ("inkwash",)
    assert words.note == prompt.strip()


def test_words_edited_in_lora_manager_count_once_something_else_tells_civitais(
    tmp_path: Path,
) -> None:
    content: dict[str, Any] = {
        "file_name": "model",
        "civitai": {"id": 7, "modelId": 3, "trainedWords": ["inkwash", "my word"], "model": {}},
        "from_civitai": True,
    }
    words = words_in(tmp_path, Source.LORA_MANAGER, content)
    assert own_words(words, copied([content["civitai"]])).trigger_words == ()
    answer = {"id": 7, "trainedWords": ["inkwash"]}
    known = copied([answer], is_independent=True)
    assert own_words(words, known).trigger_words == ("my word",)


@pytest.mark.parametrize("says_from_civitai", [True, False])
def test_all_in_lora_manager_of_a_model_that_is_not_civitais_is_the_users(
    tmp_path: Path, says_from_civitai: bool
) -> None:
    content = {
        "from_civitai": says_from_civitai,
        "file_name": "model",
        "model_name": "My effect",
        "civitai": {"trainedWords": ["mine"]},
        "tags": ["a", "b"],
        "notes": "n",
        "modelDescription": "made by me",
    }
    words = words_in(tmp_path, Source.LORA_MANAGER, content)
    assert (words.trigger_words, words.tags) == (("mine",), ("a", "b"))
    assert words.note == "made by me\n\nn"
    assert words.values == {"title": "My effect"}


def test_a_sidecar_with_a_million_words_gives_a_thousand(tmp_path: Path) -> None:
    content = {"trainedWords": [f"w{n}" for n in range(200_000)], "tags": ["t"] * 200_000}
    words = words_in(tmp_path, Source.LORA_MANAGER, content)
    assert (len(words.trigger_words), len(words.tags)) == (1_000, 1_000)
    activation = ", ".join(f"w{n}" for n in range(200_000))
    assert (
        len(words_in(tmp_path, Source.A1111, {"activation text": activation}).trigger_words)
        == 1_000
    )


def test_a_title_that_is_the_models_name_is_not_the_users(tmp_path: Path) -> None:
    civitai = {"id": 7, "modelId": 3, "name": "v1", "model": {"name": "Ink Wash"}}
    for title, kept in (
        ("Ink Wash", {}),
        ("Ink Wash v1", {}),
        ("model", {}),
        ("My ink", {"title": "My ink"}),
    ):
        content = {"file_name": "model", "model_name": title, "civitai": civitai}
        assert words_in(tmp_path, Source.LORA_MANAGER, content).values == kept


def test_what_stability_matrix_users_choose_is_read(tmp_path: Path) -> None:
    content = {"UserTitle": "Mine", "InferenceDefaults": {"Steps": 20, "CfgScale": 6}}
    values = words_in(tmp_path, Source.STABILITY_MATRIX, content).values
    assert values == {"title": "Mine", "usage_tips": '{"CfgScale": 6, "Steps": 20}'}


def test_notes_are_read_from_text_files(tmp_path: Path) -> None:
    for source in (Source.TEXT, Source.DESCRIPTION, Source.MARKDOWN):
        assert words_in(tmp_path, source, "\ufeffuse with care\r\n").note == "use with care"
    (tmp_path / "model.txt").write_bytes(b"caf\xe9")
    assert read_sidecar(tmp_path / "model.txt", Source.TEXT).words.note == "caf\ufffd"


@pytest.mark.parametrize(
    ("source", "content", "reason"),
    [
        (Source.A1111, '{"nodes": [], "links": []}', "something else than a model"),
        (Source.A1111, "[1, 2]", "is no JSON object"),
        (Source.CIVITAI_INFO, "{", "is not readable as JSON"),
        (Source.CIVITAI_INFO, "[" * 100_000, "is not readable as JSON"),
        (Source.LORA_MANAGER, '{"size": ' + "9" * 10_000 + "}", "is not readable as JSON"),
        (Source.TEXT, "a\0b", "is no text"),
        (Source.TEXT, "x" * (4 * LONGEST_NOTE + 1), "is larger than"),
    ],
)
def test_what_only_has_a_sidecars_name_is_refused_with_the_reason(
    tmp_path: Path, source: Source, content: str, reason: str
) -> None:
    path = put(tmp_path, source, content)
    with pytest.raises(NotASidecar, match=reason):
        read_sidecar(path, source)


def test_a_huge_sidecar_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(NotASidecar, match="is larger than 32 MiB"):
        read_sidecar(path, Source.A1111)


@pytest.mark.timeout(10)
def test_pipes_folders_and_dead_links_are_no_sidecars(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.json")
    (tmp_path / "model.txt").mkdir()
    (tmp_path / "model.md").symlink_to("nowhere")
    for name, source in (
        ("model.json", Source.A1111),
        ("model.txt", Source.TEXT),
        ("model.md", Source.MARKDOWN),
    ):
        with pytest.raises(NotASidecar):
            read_sidecar(tmp_path / name, source)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"id": "", "modelId": "", "skeleton_file": True},
        {"id": 7},
        {"id": True, "modelId": 3},
        {"id": 7.5, "modelId": 3},
    ],
)
def test_a_civitai_info_without_ids_claims_nothing(tmp_path: Path, content: Any) -> None:
    assert (
        read_sidecar(put(tmp_path, Source.CIVITAI_INFO, content), Source.CIVITAI_INFO).claim is None
    )


def test_a_model_from_elsewhere_is_not_claimed_to_be_civitais(tmp_path: Path) -> None:
    content = {"ModelId": 1, "VersionId": 2, "RemoteFileId": 3, "Hashes": {"SHA256": "A" * 64}}
    path = put(tmp_path, Source.STABILITY_MATRIX, content)
    claim = read_sidecar(path, Source.STABILITY_MATRIX).claim
    assert claim is not None
    assert claim.sha256s == {"A" * 64}
    put(tmp_path, Source.STABILITY_MATRIX, content | {"Source": 1})
    assert read_sidecar(path, Source.STABILITY_MATRIX).claim is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
_KEYS = st.sampled_from(
    (
        *("id", "modelId", "files", "hashes", "SHA256", "model", "name", "tags", "trainedWords"),
        *("description", "notes", "activation text", "preferred weight", "sd version", "vae_te"),
        *("civitai", "usage_tips", "model_name", "favorite", "from_civitai", "creator"),
        *("ModelId", "VersionId", "RemoteFileId", "Hashes", "UserTitle", "InferenceDefaults"),
    )
)


@settings(deadline=None, max_examples=150)
@given(content=st.dictionaries(_KEYS, _JSON, max_size=12), source=st.sampled_from(list(SUFFIXES)))
def test_any_json_gives_words_of_the_right_types_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], source: Source
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{SUFFIXES[source]}"
    path.write_bytes(json.dumps(content).encode())
    try:
        read = read_sidecar(path, source)
    except NotASidecar:
        return
    versions = [read.claim.version] if read.claim else []
    own = own_words(read.words, copied(versions, is_independent=True))
    assert all(isinstance(text, str) for text in (*own.notes, *own.trigger_words, *own.tags))
    assert all(isinstance(value, str) for value in own.values.values())
    assert len(own.note) <= LONGEST_NOTE
