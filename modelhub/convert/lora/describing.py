"""What the metadata of a new LoRA say of it, in the words that trainers and programs use.

Sources: kohya-ss/sd-scripts ``networks/resize_lora.py``, ``networks/extract_lora_from_models.py``
and ``library/sai_model_spec.py`` (``ss_*``); huggingface/diffusers ``loaders/lora_base.py``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from modelhub.convert.lora.lowrank import RankRule
from modelhub.convert.lora.settings import METADATA_KEY
from modelhub.convert.plan.metadata import kept_metadata
from modelhub.formats.identity import Identity
from modelhub.formats.tensors import Header

_LONGEST_COMMENT = 2_000
_BASE_VERSIONS = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}


def changed_metadata(
    header: Header, ranks: Mapping[int, float], resized_from: int | None, *, settled: bool
) -> dict[str, str]:
    """The metadata of a LoRA that was changed.

    :param ranks: of the result's layers, each with its alpha (of one of them).
    :param resized_from: the highest rank before, where ranks were changed.
    :param settled: the scales that stood in the metadata are in the weights now.
    """
    kept = kept_metadata(header, extracted=False)
    if settled:
        kept.pop(METADATA_KEY, None)
    trained = any(key.startswith("ss_") for key in kept)
    if not ranks or (resized_from is None and not (settled and trained)):
        return kept
    kept |= _dimensions(ranks)
    if resized_from is not None:
        told = kept["ss_network_dim"]
        comment = f"dimension is resized from {resized_from} to {told}"
        before = kept.get("ss_training_comment", "")
        whole = f"{comment}; {before}" if before and before != "None" else comment
        kept["ss_training_comment"] = whole[:_LONGEST_COMMENT]
        kept.setdefault("ss_network_module", "networks.lora")
    return kept


def extracted_metadata(
    identity: Identity, rule: RankRule, ranks: Mapping[int, float]
) -> dict[str, str]:
    """The metadata of a LoRA that was extracted.

    :param identity: of the tuned model.
    """
    metadata = {
        "ss_network_module": "networks.lora",
        **_dimensions(ranks),
        "ss_v2": str(identity.architecture == "sd2"),
    }
    if rule.conv_rank is not None:
        sizes = {"conv_dim": str(rule.conv_rank), "conv_alpha": str(float(rule.conv_rank))}
        metadata["ss_network_dim"] = str(rule.rank)
        metadata["ss_network_alpha"] = str(float(rule.rank))
        metadata["ss_network_args"] = json.dumps(sizes)
    version = _BASE_VERSIONS.get(identity.architecture or "")
    if version is not None:
        metadata["ss_base_model_version"] = version
    if "v-prediction" in identity.variants:
        metadata["modelspec.prediction_type"] = "v"
    return metadata


def _dimensions(ranks: Mapping[int, float]) -> dict[str, str]:
    if len(ranks) > 1:
        return {"ss_network_dim": "Dynamic", "ss_network_alpha": "Dynamic"}
    ((rank, alpha),) = ranks.items()
    return {"ss_network_dim": str(rank), "ss_network_alpha": str(alpha)}


def some(names: Collection[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(name[:120] for name in list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
