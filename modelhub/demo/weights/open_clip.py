"""The tensor table of OpenCLIP's text encoder (``mlfoundations/open_clip`` ``transformer.py``)."""

from __future__ import annotations

from modelhub.demo.weights.tables import Table, Tensor, norm, weight_and_bias


def text_encoder(width: int, layers: int, vocabulary: int) -> Table:
    """Its tensors, without a prefix; the scale of the logits is among them."""
    table = [
        Tensor("positional_embedding", (77, width)),
        Tensor("text_projection", (width, width)),
        Tensor("logit_scale", ()),
        Tensor("token_embedding.weight", (vocabulary, width)),
        *norm("ln_final", width),
    ]
    for layer in range(layers):
        name = f"transformer.resblocks.{layer}"
        table += [
            *norm(f"{name}.ln_1", width),
            *norm(f"{name}.ln_2", width),
            Tensor(f"{name}.attn.in_proj_weight", (width * 3, width)),
            Tensor(f"{name}.attn.in_proj_bias", (width * 3,)),
            *weight_and_bias(f"{name}.attn.out_proj", width, width),
            *weight_and_bias(f"{name}.mlp.c_fc", width * 4, width),
            *weight_and_bias(f"{name}.mlp.c_proj", width, width * 4),
        ]
    return table
