"""OpenCLIP's text encoder against CLIP's of transformers.

OpenCLIP keeps the weights of queries, keys and values in one tensor, their rows below each other,
and multiplies by ``text_projection`` from the other side. Sources: ``mlfoundations/open_clip``
``src/open_clip/transformer.py``, ``huggingface/diffusers`` ``loaders/single_file_utils.py`` and
``scripts/convert_diffusers_to_original_sdxl.py``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from modelhub.formats.diffusers_names.pairs import THIRDS, Change, Pair

HF_PREFIX = "text_model."
"""What stands before all but the projection in a file of transformers."""

_WHOLE: tuple[Pair, ...] = (
    Pair("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
    Pair("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    Pair("ln_final.weight", "text_model.final_layer_norm.weight"),
    Pair("ln_final.bias", "text_model.final_layer_norm.bias"),
    Pair("text_projection", "text_projection.weight", Change.TRANSPOSED),
)
_IN_LAYER: Mapping[str, str] = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TO_OPEN = {new: old for old, new in _IN_LAYER.items()}
_OPEN_LAYER = re.compile(r"transformer\.resblocks\.(\d{1,3})\.(.+)\.(weight|bias)")
_OPEN_FUSED = re.compile(r"transformer\.resblocks\.(\d{1,3})\.attn\.in_proj_(weight|bias)")
_HF_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d{1,3})\.(.+)\.(weight|bias)")
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def text_pairs(names: Collection[str]) -> list[Pair]:
    """The pairs of the names of an OpenCLIP text encoder, given in either layout, in their order.

    Of the original layout they are given without a prefix (``transformer.resblocks.0.``), of
    transformers as there (``text_model.``). Names that neither layout has are left out:
    ``logit_scale``, ``position_ids``.
    """
    original = any(name.startswith("transformer.resblocks.") for name in names)
    whole = {(one.original if original else one.diffusers): one for one in _WHOLE}
    pairs: list[Pair] = []
    for name in names:
        if name in whole:
            pairs.append(whole[name])
        else:
            pairs += _of_open(name) if original else _of_transformers(name)
    return pairs


def _of_open(name: str) -> list[Pair]:
    if fused := _OPEN_FUSED.fullmatch(name):
        layer, tensor = fused.groups()
        return [_fused(layer, part, tensor) for part in _PROJECTIONS]
    found = _OPEN_LAYER.fullmatch(name)
    if found is None or found[2] not in _IN_LAYER:
        return []
    return [Pair(name, f"text_model.encoder.layers.{found[1]}.{_IN_LAYER[found[2]]}.{found[3]}")]


def _of_transformers(name: str) -> list[Pair]:
    found = _HF_LAYER.fullmatch(name)
    if found is None:
        return []
    layer, module, tensor = found.groups()
    part = module.removeprefix("self_attn.")
    if part in _PROJECTIONS:
        return [_fused(layer, part, tensor)]
    if module not in _TO_OPEN:
        return []
    return [Pair(f"transformer.resblocks.{layer}.{_TO_OPEN[module]}.{tensor}", name)]


def _fused(layer: str, part: str, tensor: str) -> Pair:
    return Pair(
        f"transformer.resblocks.{layer}.attn.in_proj_{tensor}",
        f"text_model.encoder.layers.{layer}.self_attn.{part}.{tensor}",
        THIRDS[_PROJECTIONS.index(part)],
    )
