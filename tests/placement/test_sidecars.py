from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.config.settings import SidecarKind
from modelhub.html_text import plain_text
from modelhub.placement.sidecars import SidecarFacts, Written, sidecar_path, write_sidecars
from modelhub.placement.sidecars.a1111 import activation_text, sd_version
from modelhub.placement.sidecars.write import WRITERS

from .golden import KINDS, SHA256, expected_file, load, lora_facts
from .readers import read_civitai_helper, read_lora_manager, read_stability_matrix, read_webui


def write(facts: SidecarFacts, kind: SidecarKind) -> tuple[Written, str, dict[str, Any]]:
    (result,) = write_sidecars(facts, [kind])
    return result.outcome, result.notice, json.loads(result.path.read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_recorded_lora_has_the_expected_sidecar(kind: SidecarKind) -> None:
    expected = json.loads(expected_file(kind).read_text("utf-8"))
    assert WRITERS[kind].build(lora_facts()) == expected


def test_every_sidecar_is_readable_by_its_tool(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    results = write_sidecars(facts, KINDS)
    assert [result.outcome for result in results] == [Written.CREATED] * 4
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "pp-storybook_rank2_bf16.civitai.info",
        "pp-storybook_rank2_bf16.json",
        "pp-storybook_rank2_bf16.metadata.json",
        "pp-storybook_rank2_bf16.cm-info.json",
    }
    helper = read_civitai_helper(facts.path)
    assert helper["words"] == ["ppstorybook"]
    assert helper["creator"] == "pp_demo"
    webui = read_webui(facts.path)
    assert webui["sd version"] == "Flux"
    assert webui["prompt"] == " ppstorybook"
    assert webui["description"] == "A storybook style & more.\n\n- weight 0.8\n- rank 2"
    assert webui["weight"] == 0
    manager = read_lora_manager(facts.path)
    assert manager["model_name"] == "Vivid Impressions Storybook Style"
    assert manager["civitai"]["modelId"] == 1231067
    assert manager["autov3"] == "34a22376739d"
    matrix = read_stability_matrix(facts.path)
    assert matrix["Hashes"]["SHA256"] == SHA256.upper()
    assert matrix["ModelType"] == "LORA"


def test_the_whole_answer_is_in_the_civitai_info(tmp_path: Path) -> None:
    _, _, info = write(lora_facts(tmp_path), "civitai.info")
    version = load("lora-version.json")
    assert {key: info[key] for key in version if key != "model"} == {
        key: value for key, value in version.items() if key != "model"
    }
    assert version["model"].items() <= info["model"].items()


@pytest.mark.parametrize("kind", KINDS)
def test_writing_again_changes_nothing(tmp_path: Path, kind: SidecarKind) -> None:
    facts = lora_facts(tmp_path)
    write(facts, kind)
    before = sidecar_path(facts.path, kind).stat()
    outcome, notice, _ = write(facts, kind)
    assert (outcome, notice) == (Written.UNCHANGED, "")
    after = sidecar_path(facts.path, kind).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_the_user_wrote_in_the_web_ui_stays(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    users = {
        "description": "",
        "activation text": "my own words",
        "preferred weight": 0.65,
        "notes": "love it",
        "from an extension": [1, 2],
    }
    sidecar_path(facts.path, "a1111").write_text(json.dumps(users))
    outcome, _, merged = write(facts, "a1111")
    assert outcome is Written.MERGED
    assert merged == users | {"sd version": "Flux"}


def test_another_json_with_the_models_stem_is_not_the_web_uis(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    workflow = '{"nodes": [], "links": []}'
    sidecar_path(facts.path, "a1111").write_text(workflow)
    (result,) = write_sidecars(facts, ["a1111"])
    assert result.outcome is Written.LEFT_ALONE
    assert result.path.read_text() == workflow


def test_a_workflow_is_not_taken_for_its_own_sidecar(tmp_path: Path) -> None:
    model = tmp_path / "flow.json"
    model.write_text("{}")
    (result,) = write_sidecars(lora_facts(path=model), ["a1111"])
    assert result.outcome is Written.LEFT_ALONE
    assert model.read_text() == "{}"


def test_a_config_does_not_take_over_its_checkpoints_sidecars(tmp_path: Path) -> None:
    config = lora_facts(path=tmp_path / "c.yaml", file={"type": "Config"})
    assert write_sidecars(config, KINDS) == []
    assert list(tmp_path.iterdir()) == []


def test_what_the_user_edited_in_lora_manager_stays(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    users = {
        "file_name": "old name",
        "model_name": "My storybook",
        "file_path": "/elsewhere/old name.safetensors",
        "size": 19281048,
        "modified": 1600000000.5,
        "sha256": SHA256,
        "base_model": "Unknown",
        "preview_url": "/mine/preview.webp",
        "notes": "for the kids",
        "favorite": True,
        "exclude": True,
        "usage_tips": '{"strength": 0.7}',
        "tags": ["mine"],
        "modelDescription": "",
        "civitai": {"trainedWords": ["mine"], "customImages": [{"id": "x"}], "kept": 1},
        "unheard of": {"a": 1},
    }
    sidecar_path(facts.path, "lora-manager").write_text(json.dumps(users))
    outcome, _, _ = write(facts, "lora-manager")
    assert outcome is Written.MERGED
    merged = read_lora_manager(facts.path)
    for key in (
        *("model_name", "modified", "preview_url", "notes", "favorite", "exclude", "usage_tips"),
        *("tags", "unheard of"),
    ):
        assert merged[key] == users[key], key
    assert merged["file_path"] == facts.path.as_posix()
    assert merged["base_model"] == "Flux.1 D"
    assert merged["modelDescription"].startswith("<p>A <strong>")
    assert merged["civitai"]["trainedWords"] == ["mine"]
    assert merged["civitai"]["customImages"] == [{"id": "x"}]
    assert merged["civitai"]["kept"] == 1
    assert merged["civitai"]["id"] == 1387174


def test_a_default_entry_of_lora_manager_is_filled(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    stem = facts.path.stem
    fresh = {"file_name": stem, "model_name": stem, "sha256": SHA256, "tags": [], "civitai": {}}
    sidecar_path(facts.path, "lora-manager").write_text(json.dumps(fresh))
    write(facts, "lora-manager")
    merged = read_lora_manager(facts.path)
    assert merged["model_name"] == "Vivid Impressions Storybook Style"
    assert merged["tags"] == ["style", "storybook", "illustration"]


def test_the_users_title_and_defaults_in_stability_matrix_stay(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    users = {
        "VersionId": 1387174,
        "ModelName": "old name",
        "UserTitle": "Mine",
        "ThumbnailImageUrl": "/mine.png",
        "InferenceDefaults": {"Steps": 30},
        "ImportedAt": "2024-01-01T00:00:00+00:00",
        "Later": 1,
        "Source": 0,
    }
    sidecar_path(facts.path, "stability-matrix").write_text("\ufeff" + json.dumps(users), "utf-8")
    outcome, _, _ = write(facts, "stability-matrix")
    assert outcome is Written.MERGED
    merged = read_stability_matrix(facts.path)
    assert merged["ModelName"] == "Vivid Impressions Storybook Style"
    for key in ("UserTitle", "ThumbnailImageUrl", "InferenceDefaults", "ImportedAt", "Later"):
        assert merged[key] == users[key]


def test_images_that_civitai_helper_saved_stay_known(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    url = facts.version["images"][0]["url"]
    old = {
        "id": 1387174,
        "images": [{"url": url, "local_file": "/x/a.example.0.jpeg"}],
        "extensions": {"sd_civitai_helper": {"version": "1.8.4"}},
        "skeleton_file": True,
    }
    sidecar_path(facts.path, "civitai.info").write_text(json.dumps(old))
    _, _, merged = write(facts, "civitai.info")
    assert merged["images"][0]["local_file"] == "/x/a.example.0.jpeg"
    assert merged["images"][0]["width"] == 832
    assert merged["extensions"] == old["extensions"]
    assert merged["skeleton_file"] is False


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("civitai.info", {"id": 7}),
        ("lora-manager", {"civitai": {"id": 7}, "notes": "other"}),
        ("stability-matrix", {"VersionId": 7}),
    ],
)
def test_another_versions_sidecar_is_left_alone(
    tmp_path: Path, kind: SidecarKind, content: dict[str, Any]
) -> None:
    facts = lora_facts(tmp_path)
    sidecar_path(facts.path, kind).write_text(json.dumps(content))
    outcome, notice, left = write(facts, kind)
    assert outcome is Written.LEFT_ALONE
    assert "version 7, not 1387174" in notice
    assert left == content


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe{}", b'{"id": ', b"[" * 100_000, b"null"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_sidecar_is_left_alone_with_a_notice(
    tmp_path: Path, kind: SidecarKind, content: bytes
) -> None:
    facts = lora_facts(tmp_path)
    path = sidecar_path(facts.path, kind)
    path.write_bytes(content)
    (result,) = write_sidecars(facts, [kind])
    assert result.outcome is Written.LEFT_ALONE
    assert str(path) in result.notice
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    sidecar_path(facts.path, "a1111").mkdir()
    sidecar_path(facts.path, "civitai.info").symlink_to(tmp_path / "nowhere")
    os.mkfifo(sidecar_path(facts.path, "lora-manager"))
    results = write_sidecars(facts, ["a1111", "civitai.info", "lora-manager"])
    assert {result.outcome for result in results} == {Written.LEFT_ALONE}


def test_a_linked_sidecar_is_merged_where_it_is_and_keeps_its_permissions(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    real = tmp_path / "elsewhere.json"
    real.write_text('{"notes": "mine"}')
    real.chmod(0o640)
    path = sidecar_path(facts.path, "a1111")
    path.symlink_to(real)
    outcome, _, merged = write(facts, "a1111")
    assert outcome is Written.MERGED
    assert path.is_symlink()
    assert merged["notes"] == "mine"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_disk_that_refuses_is_told_and_not_raised(read_only_folder: Path) -> None:
    results = write_sidecars(lora_facts(read_only_folder), KINDS)
    assert {result.outcome for result in results} == {Written.FAILED}
    assert all("could not write" in result.notice for result in results)


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path)
    threads = [threading.Thread(target=write_sidecars, args=(facts, KINDS)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.iterdir())) == 4
    for kind in KINDS:
        expected = WRITERS[kind].build(facts)
        assert json.loads(sidecar_path(facts.path, kind).read_text("utf-8")) == expected


def test_a_checkpoint_has_its_base_model_as_forge_reads_it(tmp_path: Path) -> None:
    version = {"id": 133274, "baseModel": "SD 1.5", "trainedWords": ["x"]}
    facts = lora_facts(
        path=tmp_path / "c.safetensors", version=version, model={"type": "Checkpoint"}, file={}
    )
    write_sidecars(facts, KINDS)
    assert read_webui(facts.path)["checkpoint version"] == "SD1"
    assert read_webui(facts.path)["prompt"] == " "
    assert read_lora_manager(facts.path)["sub_type"] == "checkpoint"


def test_a_model_that_is_gone_from_civitai_still_has_sidecars(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path, model={}, file={}, preview=None, preview_source=None)
    write_sidecars(facts, KINDS)
    assert read_lora_manager(facts.path)["model_name"] == "Vivid Impressions Storybook Style"
    assert read_stability_matrix(facts.path)["ModelId"] == 1231067


def test_nothing_to_say_to_the_web_ui_makes_no_file(tmp_path: Path) -> None:
    facts = lora_facts(tmp_path, version={"id": 1}, model={}, file={})
    (result,) = write_sidecars(facts, ["a1111"])
    assert result.outcome is Written.UNCHANGED
    assert list(tmp_path.iterdir()) == []


KEYS = [
    *(
        "url",
        "local_file",
        "id",
        "modelId",
        "name",
        "model",
        "type",
        "tags",
        "description",
        "creator",
        "images",
    ),
    *("files", "stats", "hashes", "metadata", "trainedWords", "baseModel", "nsfw", "username"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
answers = st.dictionaries(st.sampled_from(KEYS), json_values)


@settings(deadline=None, max_examples=60)
@given(version=answers, model=answers, file=answers, existing=answers)
def test_no_answer_of_any_shape_breaks_a_sidecar(
    tmp_path_factory: pytest.TempPathFactory,
    version: dict[str, Any],
    model: dict[str, Any],
    file: dict[str, Any],
    existing: dict[str, Any],
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    facts = lora_facts(folder, version=version, model=model, file=file)
    write_sidecars(facts, KINDS)
    read_lora_manager(facts.path)
    read_stability_matrix(facts.path)
    if sidecar_path(facts.path, "a1111").exists():
        read_webui(facts.path)
    for kind in KINDS:
        sidecar_path(facts.path, kind).write_text(json.dumps(existing), "utf-8")
    for result in write_sidecars(facts, KINDS):
        assert result.outcome is not Written.FAILED


@pytest.mark.parametrize(
    ("base_model", "version"),
    [
        ("SD 1.4", "SD1"),
        ("SD 1.5 LCM", "SD1"),
        ("SD 2.1 768", "SD2"),
        ("SDXL 1.0", "SDXL"),
        ("Pony", "SDXL"),
        ("Pony V7", None),
        ("Illustrious", "SDXL"),
        ("NoobAI", "SDXL"),
        ("Flux.1 D", "Flux"),
        ("Flux.2 D", None),
        ("SD 3.5 Large", None),
        ("Other", None),
        ("", None),
    ],
)
def test_base_models_in_the_web_uis_words(base_model: str, version: str | None) -> None:
    assert sd_version(base_model) == version


def test_trigger_words_and_whole_prompts_are_told_apart() -> None:
    assert activation_text(["a", "b c"]) == "a, b c"
    assert activation_text(["one, two,", "three\nfour"]) == "one, two || three four"
    assert activation_text(["one, two"]) == "one, two"
    assert activation_text([" ", ","]) == ""


@given(st.text())
def test_any_html_becomes_text(html: str) -> None:
    assert isinstance(plain_text(html), str)


def test_html_becomes_what_a_reader_sees() -> None:
    html = "<h2>Title</h2><p>a<br>b &lt;c&gt;</p><script>alert(1)</script><style>x{}</style>"
    assert plain_text(html) == "Title\n\na\nb <c>"
