"""LoRAs: their types, names and ranks changed; merged into checkpoints, and extracted from them.

Sources are read layer by layer, and every tensor of a result is computed when it is written, so
that memory holds one module at a time.
"""

from __future__ import annotations

from modelhub.convert.lora.changing import lora_plan
from modelhub.convert.lora.extracting import extract_plan
from modelhub.convert.lora.formats import LoraKeys
from modelhub.convert.lora.lowrank import Keep, RankRule
from modelhub.convert.lora.merging import merge_plan, merged

__all__ = [
    "Keep",
    "LoraKeys",
    "RankRule",
    "extract_plan",
    "lora_plan",
    "merge_plan",
    "merged",
]
