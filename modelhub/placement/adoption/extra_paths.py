"""`extra_model_paths.yaml`: where else ComfyUI looks for models.

Source: `utils/extra_config.py` (`load_extra_path_config`) and `folder_paths.py`
(`map_legacy`) of Comfy-Org/ComfyUI. Each section has a `base_path` (with ``~`` and variables,
relative to the file) and, by kind, one folder or several on lines of a block text; `is_default`
only says which of several folders is preferred.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from modelhub.placement.adoption.mappings import Mappings, scalar

_NOT_FOLDERS = frozenset(("base_path", "is_default", "custom_nodes", "download_model_base"))
"""`custom_nodes` holds programs, and the last one is where ComfyUI's desktop program downloads."""
_LEGACY = {"unet": "diffusion_models", "clip": "text_encoders"}


@dataclass(frozen=True, slots=True)
class ExtraFolder:
    """One folder that the file names."""

    section: str
    kind: str
    """ComfyUI's name of the kind: ``loras``."""
    folder: Path
    base: Path | None
    """The section's `base_path`, absolute."""


def read_extra_paths(path: Path) -> list[ExtraFolder]:
    """The folders that the file names, in its order; those that are not there as well.

    :raises UsageError: it cannot be read, is no YAML, or of another shape; the message says where.
    """
    mappings = Mappings(path)
    folders: list[ExtraFolder] = []
    for section, node in mappings.pairs():
        entries = dict(mappings.pairs(node))
        base = _base(path, scalar(entries.get("base_path")).strip())
        for kind, value in entries.items():
            if kind in _NOT_FOLDERS:
                continue
            for line in map(str.strip, scalar(value).split("\n")):
                if line and "\0" not in line:
                    folder = normal((base or path.parent) / line)
                    folders.append(ExtraFolder(section, _LEGACY.get(kind, kind), folder, base))
    return folders


def expanded(text: str) -> str:
    """`text` with ``~`` and variables replaced; what cannot be is left as it is."""
    return os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111 -- pathlib's raises


def normal(path: Path) -> Path:
    """Absolute and without ``..``, as ComfyUI has it: links are not followed for that."""
    return Path(os.path.normpath(path.absolute()))


def _base(file: Path, text: str) -> Path | None:
    return normal(file.parent / expanded(text)) if text and "\0" not in text else None
