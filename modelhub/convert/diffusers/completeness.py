"""Layers of diffusers that lack some of their tensors.

Of how many blocks a model is made, its files tell; what belongs to one layer does not vary:
``huggingface/diffusers`` ``models/attention_processor.py``, ``models/resnet.py``,
``models/attention.py``; ``huggingface/transformers`` ``models/clip/modeling_clip.py``.
"""

from __future__ import annotations

from collections.abc import Collection

from modelhub.errors import FormatError

_TOGETHER = (
    ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight"),
    ("query.weight", "key.weight", "value.weight", "proj_attn.weight"),
    ("q_proj.weight", "k_proj.weight", "v_proj.weight", "out_proj.weight"),
    ("conv1.weight", "conv2.weight", "norm1.weight", "norm2.weight"),
    ("fc1.weight", "fc2.weight"),
    ("ff.net.0.proj.weight", "ff.net.2.weight"),
)
"""Tensors of one layer, behind the dot that ends its name: with one of them, all are there."""
_IN_OTHERS_TOO = frozenset({"norm1.weight", "norm2.weight"})
_WEIGHT, _BIAS = ".weight", ".bias"


def require_whole_layers(names: Collection[str]) -> None:
    """Check that no layer lacks a tensor.

    :param names: of a UNet, a VAE or a text encoder, as diffusers and transformers have them.
    :raises FormatError: one does; it is named.
    """
    known = names if isinstance(names, dict | set | frozenset) else set(names)
    for name in names:
        missing = _missing_beside(name, known)
        if missing is not None:
            raise FormatError(f"{missing[:200]} is missing: {name[:200]} is there", hint="")


def _missing_beside(name: str, known: Collection[str]) -> str | None:
    if name.endswith(_BIAS):
        weight = name.removesuffix(_BIAS) + _WEIGHT
        return None if weight in known else weight
    for tensors in _TOGETHER:
        for ending in tensors:
            if name.endswith(f".{ending}") and ending not in _IN_OTHERS_TOO:
                layer = name.removesuffix(ending)
                return next((layer + one for one in tensors if layer + one not in known), None)
    return None
