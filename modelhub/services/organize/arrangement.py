"""How a root is arranged: its layout, and the folder under which the layout's folders are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelhub.config.paths import library_root
from modelhub.config.settings import LayoutName, Library
from modelhub.placement.layouts import detect_root

if TYPE_CHECKING:
    from modelhub.catalog import RootRow
    from modelhub.config import Config

ALSO_READ: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "comfyui": {
        "diffusion_models": ("unet",),
        "text_encoders": ("clip",),
        "controlnet": ("t2i_adapter",),
    },
    "a1111": {
        "models/Lora": ("models/LyCORIS",),
        "models/ESRGAN": (
            *("models/RealESRGAN", "models/SwinIR", "models/DAT", "models/ScuNET"),
            *("models/BSRGAN", "models/LDSR", "models/HAT"),
        ),
    },
}
"""Older or further folders from which the tool reads the same kind, so that what is in them is in
its place. ComfyUI's `folder_paths.py`; the upscalers of A1111 have a folder for each family."""

DIFFUSERS: Mapping[str, str] = {"comfyui": "diffusers", "invokeai": "autoimport/main"}
"""Where a layout keeps diffusers folders; the other tools read none."""

_MARKS = ("invokeai.yaml", "databases/invokeai.db")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A root that files may be moved in.

    :param base: the folder that the layout's folders are in: at or above `folder`, or in it.
    :param library: layout, template and own folders, as they hold for this root.
    """

    root_id: int
    folder: Path
    base: Path
    library: Library

    def also_read(self, folder: str) -> tuple[str, ...]:
        """Further folders for what belongs into `folder`, relative to the base."""
        layout = "a1111" if self.library.layout == "forge" else self.library.layout
        return ALSO_READ.get(layout, {}).get(folder, ())

    @property
    def whole_tree(self) -> bool:
        """Whether every place below the base is as good as another."""
        return self.library.layout == "flat" and not self.library.folders


def arrangement_of(config: Config, root: RootRow, layout: str | None) -> Arrangement | str:
    """How the root is arranged; or why nothing in it is moved, in words.

    A root without a layout is nobody's to arrange, unless it is the library's own or `layout` says
    how: what is in it was put there by another tool, or by the user.
    """
    folder = root.folder
    if refusal := untouchable(root):
        return refusal
    if not folder.is_dir():
        return f"the folder {folder} is not there: is its disk mounted?"
    library = config.library
    own = Path(os.path.normpath(library_root(config)))
    if layout is None and root.layout is None and folder not in (
        own,
        detect_root(own, library.layout),
    ):  # fmt: skip
        return (
            f"{folder} has no layout: give one with --layout, or for good with "
            f"`modelhub root add '{folder}' --layout NAME`"
        )
    chosen = layout or root.layout or library.layout
    if chosen != library.layout:
        library = replace(library, layout=_layout_name(chosen), folders={})
    return Arrangement(root.id, folder, detect_root(folder, library.layout), library)


def untouchable(root: RootRow) -> str:
    """Why nothing is ever moved in or out of the root, in words; or empty."""
    if root.layout == "invokeai" or _is_invokeai(root.folder):
        return f"InvokeAI keeps track of the files in {root.folder} itself: they are never moved"
    return ""


def _layout_name(name: str) -> LayoutName:
    return name


def _is_invokeai(folder: Path) -> bool:
    """Whether InvokeAI's own models are there; its `autoimport` is anybody's."""
    above = [one for one in (folder, folder.parent) if any((one / m).is_file() for m in _MARKS)]
    return bool(above) and folder.name != "autoimport"
