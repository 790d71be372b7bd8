"""How the names of Stable Diffusion's original layout correspond to those of diffusers.

The original layout is that of ``CompVis/stable-diffusion`` and ``Stability-AI/generative-models``,
in which single files are published and which A1111's web UI and ComfyUI read. The other is that of
the modules of ``huggingface/diffusers`` and ``huggingface/transformers``, a folder for each part.
All is told from the names that are there, so that files of any widths and depths are understood.
"""

from __future__ import annotations

from modelhub.formats.diffusers_names.checkpoint import (
    Family,
    NamedPart,
    PartKind,
    family_of,
    pairs_of_part,
    parts_of_checkpoint,
)
from modelhub.formats.diffusers_names.pairs import Change, Pair, shape_in_diffusers
from modelhub.formats.diffusers_names.text import text_pairs
from modelhub.formats.diffusers_names.unet import unet_pairs
from modelhub.formats.diffusers_names.vae import vae_pairs

__all__ = [
    "Change",
    "Family",
    "NamedPart",
    "Pair",
    "PartKind",
    "family_of",
    "pairs_of_part",
    "parts_of_checkpoint",
    "shape_in_diffusers",
    "text_pairs",
    "unet_pairs",
    "vae_pairs",
]
