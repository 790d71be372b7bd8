"""The dots of a module's path, which trainers of kohya's school write as underscores.

``down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0`` can only be read with the words
at hand that have underscores of their own. They are few, and no module of these models has a
name that could be read in two ways: of words that fit, the longest is the right one.

Sources of the words: huggingface/diffusers ``models/unets/unet_2d_condition.py``,
``models/resnet.py``, ``models/transformers``; Stability-AI/generative-models
``sgm/modules/diffusionmodules/openaimodel.py``; huggingface/transformers ``models/clip``;
black-forest-labs/flux ``src/flux/model.py``.
"""

from __future__ import annotations

import re

_WORDS = (
    # UNets of diffusers
    *("down_blocks", "mid_block", "up_blocks", "transformer_blocks", "conv_in", "conv_out"),
    *("conv_norm_out", "conv_shortcut", "time_emb_proj", "time_embedding", "add_embedding"),
    *("linear_1", "linear_2", "proj_in", "proj_out", "to_q", "to_k", "to_v", "to_out", "cond_proj"),
    *("motion_modules", "temporal_transformer_blocks", "class_embedding"),
    # UNets of the original code
    *("input_blocks", "middle_block", "output_blocks", "in_layers", "out_layers", "emb_layers"),
    *("skip_connection", "time_embed", "label_emb"),
    # text encoders
    *("text_model", "self_attn", "q_proj", "k_proj", "v_proj", "out_proj", "layer_norm1"),
    *("layer_norm2", "final_layer_norm", "text_projection", "token_embedding"),
    *("position_embedding", "DenseReluDense", "wi_0", "wi_1", "layer_norm", "SelfAttention"),
    # transformers
    *("double_blocks", "single_blocks", "img_attn", "txt_attn", "img_mlp", "txt_mlp", "img_mod"),
    *("txt_mod", "img_in", "txt_in", "time_in", "vector_in", "guidance_in", "final_layer"),
    *("in_layer", "out_layer", "adaLN_modulation", "single_transformer_blocks", "ff_context"),
    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "proj_mlp", "norm1_context"),
    *("norm_out", "x_embedder", "context_embedder", "time_text_embed", "timestep_embedder"),
    *("guidance_embedder", "text_embedder", "norm_q", "norm_k", "query_norm", "key_norm"),
)
_STEP = re.compile(f"(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))}|[^_]+)(?=_|\\Z)")
"""One step of a path: the longest word that ends where the next step begins."""


def dotted(flat: str) -> str:
    """The path of a module, given with underscores for all its dots."""
    return ".".join(_STEP.findall(flat))


def flat(path: str) -> str:
    """The path of a module with underscores for its dots."""
    return path.replace(".", "_")
