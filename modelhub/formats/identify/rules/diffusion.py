"""All tables of diffusion models together, in the order in which they are asked."""

from __future__ import annotations

from modelhub.formats.identify.engine import Rule
from modelhub.formats.identify.rules import image_transformers, unets, video_transformers

ARCHITECTURES: tuple[Rule, ...] = (
    *unets.ARCHITECTURES,
    *image_transformers.ARCHITECTURES,
    *video_transformers.ARCHITECTURES,
    *unets.EMA_COPIES,
)
EDITIONS: dict[str, tuple[Rule, ...]] = {
    **unets.EDITIONS,
    **image_transformers.EDITIONS,
    **video_transformers.EDITIONS,
}
VARIANTS: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("sd1", "sd2", "sdxl", "kolors"), unets.VARIANTS),
    **image_transformers.VARIANTS,
}
MARKS: tuple[Rule, ...] = unets.MARKS
MARKED_EDITIONS: dict[str, tuple[Rule, ...]] = unets.MARKED_EDITIONS
WRAPPERS: tuple[str, ...] = (
    "",
    "model.",
    "net.",
    "transformer.",
    "module.",
    "dit.",
    "model.model.",
    "model_ema.diffusion_model",
)
"""What may stand before the names in the tables, in a file with one component."""
