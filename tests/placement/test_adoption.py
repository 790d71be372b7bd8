from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import NotAFolder, RootMissing, UsageError
from modelhub.placement.adoption import Tool, detect
from modelhub.placement.adoption.extra_paths import read_extra_paths
from modelhub.placement.adoption.mappings import MAX_BYTES

EXTRA = """\
# comments, and the section of the web UI, as ComfyUI's own example has them
comfyui:
    base_path: ~/data
    is_default: true
    checkpoints: models/checkpoints/
    loras: |
        models/loras
        /other disk/loras
    unet: models/unet
a111:
    base_path: {webui}
    checkpoints: models/Stable-diffusion
    embeddings: embeddings
    loras: |
         models/Lora
         models/LyCORIS
relative:
    vae: ../shared vae
empty:
custom:
    base_path: $MODELS
    custom_nodes: nodes
    text_encoders: encoders
"""


def folders(base: Path, *names: str) -> Path:
    for name in names:
        (base / name).mkdir(parents=True)
    return base


def found(path: Path) -> tuple[Tool, dict[str, str | None]]:
    """The tool, and the layout of each place by its path below `path`."""
    detected = detect(path)
    return detected.tool, {
        os.path.relpath(place.folder, path): place.layout for place in detected.places
    }


def comfyui(base: Path) -> Path:
    folders(base, "models/checkpoints", "models/loras", "models/vae", "comfy", "custom_nodes")
    (base / "folder_paths.py").touch()
    return base


def web_ui(base: Path) -> Path:
    folders(base, "models/Stable-diffusion", "models/Lora", "models/VAE", "embeddings", "outputs")
    (base / "webui.py").touch()
    return base


def test_comfyui_is_known_by_its_folder_and_by_its_models(tmp_path: Path) -> None:
    checkout = comfyui(tmp_path / "ComfyUI")
    assert found(checkout) == (Tool.COMFYUI, {"models": "comfyui"})
    assert found(checkout / "models") == (Tool.COMFYUI, {".": "comfyui"})
    assert found(tmp_path) == (Tool.COMFYUI, {"ComfyUI/models": "comfyui"})


def test_models_arranged_as_comfyuis_are_known_without_comfyui(tmp_path: Path) -> None:
    folders(
        tmp_path, "big/loras", "big/text_encoders", "desktop/models/loras", "desktop/models/vae"
    )
    assert found(tmp_path / "big") == (Tool.COMFYUI, {".": "comfyui"})
    assert found(tmp_path / "desktop") == (Tool.COMFYUI, {"models": "comfyui"})


def test_the_web_ui_has_embeddings_beside_its_models(tmp_path: Path) -> None:
    checkout = web_ui(tmp_path / "stable-diffusion-webui")
    assert found(checkout) == (Tool.A1111, {"models": "a1111", "embeddings": "flat"})
    assert found(checkout / "models") == (Tool.A1111, {".": "a1111", "../embeddings": "flat"})
    (checkout / "modules_forge").mkdir()
    assert found(checkout) == (Tool.FORGE, {"models": "forge", "embeddings": "flat"})


def test_folders_that_the_web_ui_was_told_of_are_found(tmp_path: Path) -> None:
    checkout = web_ui(tmp_path / "webui")
    (checkout / "webui-user.sh").write_text(
        '#!/bin/sh\n# export COMMANDLINE_ARGS="--ckpt-dir /no"\n'
        "export COMMANDLINE_ARGS=\"--xformers --ckpt-dir '/disk/my models' --lora-dir=../loras\"\n"
    )
    (checkout / "webui-user.bat").write_text(
        '@echo off\r\nset COMMANDLINE_ARGS=--vae-dir "/disk/vae" --medvram\r\n'
    )
    places = {place.origin: str(place.folder) for place in detect(checkout).places[2:]}
    assert places == {
        "Stable Diffusion web UI: --ckpt-dir": "/disk/my models",
        "Stable Diffusion web UI: --lora-dir": str(tmp_path / "loras"),
        "Stable Diffusion web UI: --vae-dir": "/disk/vae",
    }


@pytest.mark.parametrize("text", ["COMMANDLINE_ARGS=\"--ckpt-dir '", "\xff\x00", "=" * 100_000])
def test_damaged_arguments_name_no_folders(tmp_path: Path, text: str) -> None:
    checkout = web_ui(tmp_path / "webui")
    (checkout / "webui-user.sh").write_text(text, "latin-1")
    assert len(detect(checkout).places) == 2


def test_invokeai_is_scanned_where_its_settings_say(tmp_path: Path) -> None:
    root = folders(tmp_path / "invokeai", "models/core", "databases", "autoimport")
    (root / "databases" / "invokeai.db").touch()
    usual = {"models": "invokeai", "autoimport": "invokeai"}
    assert found(root) == (Tool.INVOKEAI, usual)
    assert "where they are" in detect(root).notices[0]
    (root / "invokeai.yaml").write_text("schema_version: 4.0.2\nmodels_dir: ../big\n")
    assert found(root) == (Tool.INVOKEAI, {"../big": "invokeai", "autoimport": "invokeai"})
    (root / "invokeai.yaml").write_text("models_dir: [\n")
    assert found(root) == (Tool.INVOKEAI, usual)
    assert "invokeai.yaml is no YAML: line 2" in detect(root).notices[0]


def test_stability_matrix_is_known_from_every_side(tmp_path: Path) -> None:
    top = folders(tmp_path / "StabilityMatrix", "Data/Packages/ComfyUI", "Data/Models/Lora")
    folders(top, "Data/Models/StableDiffusion")
    (top / "Data" / "settings.json").touch()
    assert found(top) == (Tool.STABILITY_MATRIX, {"Data/Models": None})
    assert found(top / "Data") == (Tool.STABILITY_MATRIX, {"Models": None})
    assert found(top / "Data" / "Models") == (Tool.STABILITY_MATRIX, {".": None})
    assert "(ComfyUI) are adopted by pointing at each package" in detect(top).notices[0]


def test_any_other_folder_is_one_root(tmp_path: Path) -> None:
    folders(tmp_path, "loras", "things")
    assert found(tmp_path) == (Tool.PLAIN, {".": None})


def test_what_is_not_there_and_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match="there is no"):
        detect(tmp_path / "nowhere")
    (tmp_path / "a.safetensors").touch()
    with pytest.raises(NotAFolder, match="is a file"):
        detect(tmp_path / "a.safetensors")
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(NotAFolder):
        detect(tmp_path / "pipe.yaml")


def test_extra_paths_are_read_as_comfyui_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("MODELS", "/srv/models")
    file = tmp_path / "comfy" / "extra_model_paths.yaml"
    file.parent.mkdir()
    file.write_text(EXTRA.format(webui="../webui"))
    named = [(one.section, one.kind, str(one.folder)) for one in read_extra_paths(file)]
    assert named == [
        ("comfyui", "checkpoints", "/home/someone/data/models/checkpoints"),
        ("comfyui", "loras", "/home/someone/data/models/loras"),
        ("comfyui", "loras", "/other disk/loras"),
        ("comfyui", "diffusion_models", "/home/someone/data/models/unet"),
        ("a111", "checkpoints", f"{tmp_path}/webui/models/Stable-diffusion"),
        ("a111", "embeddings", f"{tmp_path}/webui/embeddings"),
        ("a111", "loras", f"{tmp_path}/webui/models/Lora"),
        ("a111", "loras", f"{tmp_path}/webui/models/LyCORIS"),
        ("relative", "vae", f"{tmp_path}/shared vae"),
        ("custom", "text_encoders", "/srv/models/encoders"),
    ]


def test_another_tools_folder_in_extra_paths_is_adopted_whole(tmp_path: Path) -> None:
    checkout, webui = comfyui(tmp_path / "ComfyUI"), web_ui(tmp_path / "webui")
    folders(tmp_path, "more/loras")
    (checkout / "extra_model_paths.yaml").write_text(
        f"a111:\n  base_path: {webui}\n  checkpoints: models/Stable-diffusion\n"
        f"  loras: models/Lora\nmore:\n  loras: {tmp_path}/more/loras\n"
    )
    assert found(checkout) == (
        Tool.COMFYUI,
        {
            "models": "comfyui",
            "../webui/models": "a1111",
            "../webui/embeddings": "flat",
            "../more/loras": "flat",
        },
    )
    origins = [place.origin for place in detect(checkout / "extra_model_paths.yaml").places]
    assert origins[-1] == "extra_model_paths.yaml: more loras"


def test_a_whole_disk_in_extra_paths_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(f"mine:\n  base_path: {tmp_path}\n  loras: /\n  vae: vae\n")
    found = detect(file)
    assert [place.folder for place in found.places] == [tmp_path / "vae"]
    assert found.notices == ("extra_model_paths.yaml: mine loras names a whole disk: left out",)


def test_comfyui_that_names_itself_as_an_extra_path_is_no_circle(tmp_path: Path) -> None:
    checkout = comfyui(tmp_path / "ComfyUI")
    (checkout / "extra_model_paths.yaml").write_text(
        f"comfyui:\n  base_path: {checkout}\n  checkpoints: models/checkpoints\n"
    )
    assert found(checkout)[1].keys() == {"models"}
    other = comfyui(tmp_path / "Other")
    for one, two in ((checkout, other), (other, checkout)):
        (one / "extra_model_paths.yaml").write_text(
            f"x:\n  base_path: {two}\n  loras: models/loras\n"
        )
    assert found(checkout)[1].keys() == {"models", "../Other/models"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is no YAML: line 1"),
        ("- a\n- b\n", "names no folders"),
        ("", "names no folders"),
        ("\t", "is no YAML"),
        ("a: !!python/object/apply:os.system [true]\n", ""),
        ("[" * 5_000, "nested too deeply"),
        ("a" * (MAX_BYTES + 1), "larger than 1 MiB"),
    ],
)
def test_a_damaged_list_of_folders_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(text)
    if not message:
        assert read_extra_paths(file) == []  # tags are never obeyed
        return
    with pytest.raises(UsageError, match=message):
        read_extra_paths(file)


@pytest.mark.timeout(20)
def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 {loras: x}"]
    lines += [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(UsageError, match="merges more than any list of folders"):
        read_extra_paths(file)


def test_aliases_that_people_write_are_followed(tmp_path: Path) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text("base: &b\n  base_path: /srv\n  loras: loras\nmore:\n  <<: *b\n  vae: vae\n")
    assert [str(one.folder) for one in read_extra_paths(file)] == [
        "/srv/loras",
        "/srv/loras",
        "/srv/vae",
    ]


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200) | st.text("a:|-{}[]&*<\n ~/.!'\"", max_size=80).map(str.encode))
def test_any_bytes_are_a_list_of_folders_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "extra_model_paths.yaml"
    file.write_bytes(content)
    try:
        named = read_extra_paths(file)
    except UsageError:
        return
    assert all(one.folder.is_absolute() for one in named)
