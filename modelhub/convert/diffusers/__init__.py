"""Between single files in the original layout and the folders of diffusers, both ways."""

from __future__ import annotations

from modelhub.convert.diffusers.folder import Component, DiffusersFolder
from modelhub.convert.diffusers.single import (
    SingleFile,
    from_diffusers,
    in_original_names,
    vae_in_original_names,
)
from modelhub.convert.diffusers.splitting import to_diffusers

__all__ = [
    "Component",
    "DiffusersFolder",
    "SingleFile",
    "from_diffusers",
    "in_original_names",
    "to_diffusers",
    "vae_in_original_names",
]
