"""Other tools are found where people keep them, each once, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from modelhub.placement.adoption.model import Tool
from modelhub.services.adopt.finding import find_tools


def comfyui(folder: Path) -> Path:
    for name in ("checkpoints", "loras", "vae"):
        (folder / "models" / name).mkdir(parents=True)
    return folder


def test_tools_are_found_below_home_and_on_other_disks(tmp_path: Path) -> None:
    home, disks = tmp_path / "home", tmp_path / "mnt"
    first, second = comfyui(home / "ComfyUI"), comfyui(disks / "big" / "comfyui-portable")
    third = comfyui(home / "AI" / "ComfyUI")
    (home / "again-comfyui").symlink_to(first)
    (home / "comfyui-notes").mkdir()
    found = list(find_tools(home, [str(disks), str(tmp_path / "nowhere")]))
    assert {one.path for one in found} == {first, second, third} or {one.path for one in found} == {
        home / "again-comfyui",
        second,
        third,
    }
    assert {one.tool for one in found} == {Tool.COMFYUI}


def test_a_home_without_tools_has_none(tmp_path: Path) -> None:
    (tmp_path / "Documents").mkdir()
    assert list(find_tools(tmp_path, [])) == []
