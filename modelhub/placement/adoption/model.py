"""What detection gives: a tool, and the folders in which it keeps models."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Tool(StrEnum):
    """Whose folder it is; the value is how people call it."""

    COMFYUI = "ComfyUI"
    A1111 = "Stable Diffusion web UI"
    FORGE = "Forge"
    INVOKEAI = "InvokeAI"
    STABILITY_MATRIX = "Stability Matrix"
    PLAIN = "plain folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder with models."""

    folder: Path
    """Absolute and normalised; it may not be there."""
    layout: str | None
    """As `library.layout` names it; None where the folder is arranged in no way that we know."""
    origin: str
    """Where it was named: ``ComfyUI``, ``extra_model_paths.yaml: a111 loras``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What a folder, or a file that names folders, turned out to be."""

    path: Path
    """As it was pointed at, absolute."""
    tool: Tool
    places: tuple[Place, ...]
    notices: tuple[str, ...] = ()
    """Sentences for the user: what was named and could not be used."""
