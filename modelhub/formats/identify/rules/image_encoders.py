"""Image encoders (CLIP vision and its kin), by the layout of their keys and their width."""

from __future__ import annotations

from modelhub.formats.identify.engine import ANY, Rule
from modelhub.formats.identify.sources import COMFY_VISION, LLAMA_CPP, OPEN_CLIP, TRANSFORMERS, WAN

# fmt: off
# ruff: noqa: E501 (a table has one rule a line)

_HF = "vision_model.embeddings.patch_embedding.weight"
_OPEN = "visual.conv1.weight"
_DINO = "embeddings.patch_embeddings.projection.weight"

IMAGE_ENCODERS: tuple[Rule, ...] = (
    Rule("CLIP-ViT-L", _HF, (1024, 3, 14, 14), "CLIP vision of width 1024", COMFY_VISION),
    Rule("CLIP-ViT-H", _HF, (1280, 3, 14, 14), "CLIP vision of width 1280", COMFY_VISION),
    Rule("CLIP-ViT-bigG", _HF, (1664, 3, 14, 14), "CLIP vision of width 1664", COMFY_VISION),
    Rule("CLIP-ViT-B", _HF, (768, 3), "CLIP vision of width 768", TRANSFORMERS),
    Rule("SigLIP-so400m", _HF, (1152, 3), "SigLIP of width 1152", COMFY_VISION),
    Rule("CLIP-ViT-L", _OPEN, (1024, 3, 14, 14), "CLIP vision of width 1024", OPEN_CLIP),
    Rule("CLIP-ViT-H", _OPEN, (1280, 3, 14, 14), "CLIP vision of width 1280", OPEN_CLIP),
    Rule("CLIP-ViT-bigG", _OPEN, (1664, 3, 14, 14), "CLIP vision of width 1664", OPEN_CLIP),
    Rule("CLIP-ViT-B", _OPEN, (768, 3), "CLIP vision of width 768", OPEN_CLIP),
    Rule("CLIP-ViT-H", "visual.patch_embedding.weight", (1280, 3, 14, 14), "CLIP vision of width 1280", WAN),
    Rule("DINOv2-giant", _DINO, (1536, 3, 14, 14), "DINO of width 1536", COMFY_VISION, also=("encoder.layer.0.layer_scale1.lambda1",)),
    Rule("DINOv2-large", _DINO, (1024, 3, 14, 14), "DINO of width 1024", COMFY_VISION, also=("encoder.layer.0.layer_scale1.lambda1",)),
    Rule("DINOv2", _DINO, (ANY, 3, 14, 14), "DINO", TRANSFORMERS, also=("encoder.layer.0.layer_scale1.lambda1",)),
    Rule("vision tower", "v.patch_embd.weight", (), "the vision tower of a language model", LLAMA_CPP ),
)
"""Which image encoder; the first line that holds."""

WRAPPERS: tuple[str, ...] = ("", "model.", "open_clip.model.", "transformer.")
"""What may stand between the prefix of a part and the names in the table."""
