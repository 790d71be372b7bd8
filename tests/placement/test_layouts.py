from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.config.settings import Library
from modelhub.errors import ConfigError
from modelhub.placement.kinds import Kind, kind_of
from modelhub.placement.layouts import (
    LAYOUTS,
    Placeable,
    check_library,
    detect_root,
    file_name,
    place,
)

MODEL_TYPES = [
    *("Checkpoint", "TextualInversion", "Hypernetwork", "AestheticGradient", "LORA", "LoCon"),
    *("DoRA", "Controlnet", "Upscaler", "MotionModule", "VAE", "TextEncoder", "UNet", "CLIPVision"),
    *("CLIP", "VisionLanguage", "Poses", "Wildcards", "Workflows", "Detection", "Other"),
]
FILE_TYPES = [
    *("Model", "Text Encoder", "Vision Encoder", "Pruned Model", "Negative", "Training Data"),
    *("VAE", "Config", "Archive", "UNet", "Diffusion Model", "CLIPVision", "ControlNet"),
    *("Workflow", "Upscaler", "Enhancement LoRA", "Other"),
]


def placed(layout: str, model_type: str, file_type: str = "Model", name: str = "m.pt") -> str:
    item = Placeable(file_name=name, model_type=model_type, file_type=file_type)
    return place(Library(layout=layout), item).parent.as_posix()


@pytest.mark.parametrize(
    ("model_type", "comfyui", "a1111", "invokeai"),
    [
        ("Checkpoint", "checkpoints", "models/Stable-diffusion", "main"),
        ("LORA", "loras", "models/Lora", "lora"),
        ("LoCon", "loras", "models/Lora", "lora"),
        ("DoRA", "loras", "models/Lora", "lora"),
        ("TextualInversion", "embeddings", "embeddings", "embedding"),
        ("Hypernetwork", "hypernetworks", "models/hypernetworks", "unknown"),
        ("Controlnet", "controlnet", "models/ControlNet", "controlnet"),
        ("Upscaler", "upscale_models", "models/ESRGAN", "spandrel_image_to_image"),
        ("VAE", "vae", "models/VAE", "vae"),
        ("UNet", "diffusion_models", "models/Stable-diffusion", "main"),
        ("TextEncoder", "text_encoders", "models/text_encoder", "text_encoder"),
        ("CLIPVision", "clip_vision", "models/clip_vision", "clip_vision"),
        ("Detection", "ultralytics", "models/adetailer", "unknown"),
        ("MotionModule", "animatediff_models", "models/animatediff", "unknown"),
        ("Wildcards", "wildcards", "models/wildcards", "wildcards"),
        ("SomethingNew2027", "other", "models/other", "unknown"),
        ("", "other", "models/other", "unknown"),
    ],
)
def test_each_model_type_goes_where_its_tool_looks(
    model_type: str, comfyui: str, a1111: str, invokeai: str
) -> None:
    assert placed("comfyui", model_type) == comfyui
    assert placed("a1111", model_type) == a1111
    assert placed("forge", model_type) == a1111
    assert placed("invokeai", model_type) == f"autoimport/{invokeai}"
    assert placed("flat", model_type) == "."


@pytest.mark.parametrize(
    ("file_type", "folder"),
    [
        ("Model", "checkpoints"),
        ("Pruned Model", "checkpoints"),
        ("VAE", "vae"),
        ("Text Encoder", "text_encoders"),
        ("Vision Encoder", "clip_vision"),
        ("UNet", "diffusion_models"),
        ("Diffusion Model", "diffusion_models"),
        ("Enhancement LoRA", "loras"),
        ("ControlNet", "controlnet"),
        ("Upscaler", "upscale_models"),
        ("Training Data", "training_data"),
        ("Config", "configs"),
        ("Archive", "archives"),
        ("Workflow", "workflows"),
        ("Other", "other"),
        ("A Type Of Next Year", "checkpoints"),
    ],
)
def test_a_file_of_a_checkpoint_goes_by_its_own_type(file_type: str, folder: str) -> None:
    assert placed("comfyui", "Checkpoint", file_type) == folder


def test_a_gguf_checkpoint_is_a_diffusion_model() -> None:
    assert placed("comfyui", "Checkpoint", name="flux-Q4_K_S.gguf") == "diffusion_models"
    assert placed("forge", "Checkpoint", name="flux-Q4_K_S.gguf") == "models/Stable-diffusion"


def test_an_archive_of_poses_stays_with_the_poses() -> None:
    assert kind_of("Poses", "Archive", "poses.zip") is Kind.POSES
    assert kind_of("LORA", "Archive", "loras.zip") is Kind.ARCHIVE


def test_a_config_has_the_stem_of_its_checkpoint_and_stands_beside_it() -> None:
    item = Placeable(
        file_name="v2-inference-v.yaml",
        model_type="Checkpoint",
        file_type="Config",
        companion="my model.safetensors",
    )
    beside = PurePosixPath("models/Stable-diffusion/my model.yaml")
    assert place(Library(layout="a1111"), item) == beside
    assert place(Library(layout="comfyui"), item) == PurePosixPath("configs/my model.yaml")
    moved = Library(layout="a1111", folders={"Checkpoint": "big/disk"})
    assert place(moved, item) == PurePosixPath("big/disk/my model.yaml")
    assert place(Library(layout="flat"), item) == PurePosixPath("my model.yaml")


def test_the_users_folder_comes_before_the_layouts() -> None:
    library = Library(folders={"LORA": "loras/civitai", "DoRA": "loras/dora", "vae": "decoders"})
    lora = Placeable(file_name="a.safetensors", model_type="LORA")
    assert place(library, lora) == PurePosixPath("loras/civitai/a.safetensors")
    locon = Placeable(file_name="a.safetensors", model_type="LoCon")
    assert place(library, locon) == PurePosixPath("loras/civitai/a.safetensors")
    dora = Placeable(file_name="a.safetensors", model_type="DoRA")
    assert place(library, dora) == PurePosixPath("loras/dora/a.safetensors")
    vae = Placeable(file_name="a.vae.pt", model_type="Checkpoint", file_type="VAE")
    assert place(library, vae) == PurePosixPath("decoders/a.vae.pt")


def test_a_checkpoints_folder_is_not_for_what_comes_along() -> None:
    library = Library(folders={"Checkpoint": "ckpts"})
    vae = Placeable(file_name="a.vae.pt", model_type="Checkpoint", file_type="VAE")
    assert place(library, vae).parent == PurePosixPath("vae")


def test_a_type_that_only_the_user_knows_can_have_a_folder() -> None:
    library = Library(folders={"SomethingNew2027": "new"})
    item = Placeable(file_name="a.pt", model_type="somethingnew2027")
    assert place(library, item) == PurePosixPath("new/a.pt")


@pytest.mark.parametrize(
    "folder", ["", "/etc", "../x", "a/../../b", "a//b", "a\\b", "C:/x", ".", "a/./b", ".git", "nul"]
)
def test_a_folder_outside_the_root_is_refused(folder: str) -> None:
    library = Library(folders={"LORA": folder})
    with pytest.raises(ConfigError, match=r"library\.folders\.LORA"):
        check_library(library)
    with pytest.raises(ConfigError):
        place(library, Placeable(file_name="a.pt", model_type="LORA"))


def test_an_unknown_layout_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"`comfy`.*comfyui, a1111, forge, invokeai, flat, templ"):
        check_library(Library(layout="comfy"))


def test_the_defaults_are_right() -> None:
    check_library(Library())
    check_library(Library(layout="template"))


@given(
    layout=st.sampled_from([*LAYOUTS, "template"]),
    model_type=st.one_of(st.sampled_from(MODEL_TYPES), st.text(max_size=20)),
    file_type=st.one_of(st.sampled_from(FILE_TYPES), st.text(max_size=20)),
    words=st.lists(st.text(max_size=60), min_size=6, max_size=6),
)
def test_nothing_that_a_server_says_leads_out_of_the_root(
    layout: str, model_type: str, file_type: str, words: list[str]
) -> None:
    name, creator, model, version, base, companion = words
    item = Placeable(
        file_name=name,
        model_type=model_type,
        file_type=file_type,
        creator=creator,
        model=model,
        version=version,
        base_model=base,
        companion=companion,
    )
    path = place(Library(layout=layout), item)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert all(0 < len(part.encode()) <= 255 for part in path.parts)
    depth = {"flat": 1, "comfyui": 2, "invokeai": 3, "template": 5}.get(layout)
    assert depth is None or len(path.parts) == depth
    if layout != "template":
        assert path.name == file_name(item)


def test_a_comfyui_checkout_and_its_models_folder_are_both_good_roots(tmp_path: Path) -> None:
    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / "folder_paths.py").touch()
    assert detect_root(tmp_path, "comfyui") == tmp_path / "models"
    assert detect_root(tmp_path / "models", "comfyui") == tmp_path / "models"


def test_a_plain_folder_is_its_own_root(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for layout in (*LAYOUTS, "template"):
        assert detect_root(tmp_path, layout) == tmp_path
        assert detect_root(tmp_path / "gone", layout) == tmp_path / "gone"


def test_the_models_folder_of_a_webui_stands_for_its_checkout(tmp_path: Path) -> None:
    (tmp_path / "models" / "Stable-diffusion").mkdir(parents=True)
    (tmp_path / "webui.py").touch()
    for layout in ("a1111", "forge"):
        assert detect_root(tmp_path, layout) == tmp_path
        assert detect_root(tmp_path / "models", layout) == tmp_path


def test_invokeais_own_models_folder_is_not_touched() -> None:
    layout = LAYOUTS["invokeai"]
    assert {layout.folder(kind).parts[0] for kind in Kind} == {"autoimport"}
