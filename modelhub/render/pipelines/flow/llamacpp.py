"""Text encoders under the names of llama.cpp, as GGUF files have them, under transformers' names.

Sources: ``ggml-org/llama.cpp`` ``gguf-py/gguf/tensor_mapping.py`` (the names) and
``convert_hf_to_gguf.py`` (``Gemma2Model.modify_tensors``: norms are written with one added;
``LlamaModel.permute``: the rows of queries and keys in another order); ``city96/ComfyUI-GGUF``
``loader.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from modelhub.convert.casts import decode
from modelhub.convert.values import Planned, Values
from modelhub.convert.views import Rows
from modelhub.errors import FormatError
from modelhub.formats.tensor_data import ITEM_SIZES
from modelhub.render.pipelines.flow.renaming import Into, Rules, renamed

_EMBEDDING = "token_embd.weight"
_T5_BLOCK = re.compile(r"enc\.blk\.[0-9]{1,4}\.")
_GATE = "enc.blk.0.ffn_gate.weight"


def _one(name: str) -> Into:
    return Into((name,))


_ATTENTION = "encoder.block.#.layer.0."
_FEED_FORWARD = "encoder.block.#.layer.1."
_T5: Rules = {
    "token_embd": _one("shared"),
    "enc.output_norm": _one("encoder.final_layer_norm"),
    "enc.blk.#.attn_norm": _one(f"{_ATTENTION}layer_norm"),
    "enc.blk.#.attn_q": _one(f"{_ATTENTION}SelfAttention.q"),
    "enc.blk.#.attn_k": _one(f"{_ATTENTION}SelfAttention.k"),
    "enc.blk.#.attn_v": _one(f"{_ATTENTION}SelfAttention.v"),
    "enc.blk.#.attn_o": _one(f"{_ATTENTION}SelfAttention.o"),
    "enc.blk.#.attn_rel_b": _one(f"{_ATTENTION}SelfAttention.relative_attention_bias"),
    "enc.blk.#.ffn_norm": _one(f"{_FEED_FORWARD}layer_norm"),
    "enc.blk.#.ffn_gate": _one(f"{_FEED_FORWARD}DenseReluDense.wi_0"),
    "enc.blk.#.ffn_up": _one(f"{_FEED_FORWARD}DenseReluDense.wi_1"),
    "enc.blk.#.ffn_down": _one(f"{_FEED_FORWARD}DenseReluDense.wo"),
}
_UNGATED: Rules = {**_T5, "enc.blk.#.ffn_up": _one(f"{_FEED_FORWARD}DenseReluDense.wi")}

_LAYER = "model.layers.#."
_LANGUAGE_MODEL: Rules = {
    "token_embd": _one("model.embed_tokens"),
    "output_norm": _one("model.norm"),
    "output": _one("lm_head"),
    "blk.#.attn_norm": _one(f"{_LAYER}input_layernorm"),
    "blk.#.attn_q": _one(f"{_LAYER}self_attn.q_proj"),
    "blk.#.attn_k": _one(f"{_LAYER}self_attn.k_proj"),
    "blk.#.attn_v": _one(f"{_LAYER}self_attn.v_proj"),
    "blk.#.attn_output": _one(f"{_LAYER}self_attn.o_proj"),
    "blk.#.attn_q_norm": _one(f"{_LAYER}self_attn.q_norm"),
    "blk.#.attn_k_norm": _one(f"{_LAYER}self_attn.k_norm"),
    "blk.#.ffn_norm": _one(f"{_LAYER}post_attention_layernorm"),
    "blk.#.ffn_gate": _one(f"{_LAYER}mlp.gate_proj"),
    "blk.#.ffn_up": _one(f"{_LAYER}mlp.up_proj"),
    "blk.#.ffn_down": _one(f"{_LAYER}mlp.down_proj"),
}
_GEMMA_2: Rules = {
    **_LANGUAGE_MODEL,
    "blk.#.post_attention_norm": _one(f"{_LAYER}post_attention_layernorm"),
    "blk.#.ffn_norm": _one(f"{_LAYER}pre_feedforward_layernorm"),
    "blk.#.post_ffw_norm": _one(f"{_LAYER}post_feedforward_layernorm"),
}
_OF_GEMMA = "blk.0.post_ffw_norm.weight"
_OF_QWEN = ("blk.0.attn_q_norm.weight", "blk.0.attn_q.bias")
_PERMUTED = (".attn_q.weight", ".attn_k.weight")
_HEAD = 128
"""Numbers of a head of Mistral."""


def in_transformers(tensors: Mapping[str, Planned]) -> Mapping[str, Planned]:
    """The tensors of a text encoder, renamed if they have llama.cpp's names.

    :raises FormatError: tensors are not of the shape that such ones have.
    """
    if _EMBEDDING not in tensors:
        return tensors
    if any(_T5_BLOCK.match(name) for name in tensors):
        rules = _T5 if _GATE in tensors else _UNGATED
    elif _OF_GEMMA in tensors:
        rules, tensors = _GEMMA_2, _without_one_in_norms(tensors)
    else:
        rules = _LANGUAGE_MODEL
        if not any(mark in tensors for mark in _OF_QWEN):
            tensors = _with_rows_in_order(tensors)
    return {one.name: one for one in renamed(rules, tensors, 0)}


def _without_one_in_norms(tensors: Mapping[str, Planned]) -> dict[str, Planned]:
    """As Gemma has them, which adds the one itself."""
    return {
        name: Planned(name, OneLess(one.values), OneLess.dtype)
        if name.endswith("norm.weight")
        else one
        for name, one in tensors.items()
    }


class OneLess(Values):
    """Each number less one, in fp32.

    :param values: of a floating-point type.
    """

    dtype = "F32"

    def __init__(self, values: Values) -> None:
        self.shape = values.shape
        self._values = values

    def pieces(self) -> Iterator[bytes | memoryview]:
        """As those of the values, each less one."""
        for piece in self._values.pieces():
            numbers = decode(piece, self._values.dtype).astype("<f4") - 1
            yield numbers.astype("<f4", copy=False).data.cast("B")


def _with_rows_in_order(tensors: Mapping[str, Planned]) -> dict[str, Planned]:
    """Mistral's, with the rows of its queries and keys as transformers has them."""
    made = dict(tensors)
    for name, one in tensors.items():
        if name.endswith(_PERMUTED):
            shape = one.values.shape
            if len(shape) != 2 or shape[0] % _HEAD:
                raise FormatError(f"{name[:200]} is not of heads of {_HEAD}", hint="")
            values = Unpaired(one.values, _HEAD)
            made[name] = Planned(name, values, values.dtype)
    return made


class Unpaired(Values):
    """A matrix whose heads have the rows of their halves in turn: here, one half after the other.

    :param values: of two dimensions.
    :param head: rows of a head, of which there are whole ones.
    """

    def __init__(self, values: Values, head: int) -> None:
        self.dtype = values.dtype
        self.shape = values.shape
        self._values = values
        self._head = head

    @property
    def stored(self) -> str:
        """That of the values themselves."""
        return self._values.stored

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Head by head; one is in memory at a time."""
        import numpy as np

        width = self.shape[1] * ITEM_SIZES[self.dtype]
        for start in range(0, self.shape[0], self._head) if width else ():
            rows = Rows(self._values, start, start + self._head)
            data = b"".join(bytes(piece) for piece in rows.pieces())
            if len(data) != self._head * width:
                raise FormatError("the file ends within a tensor")
            pairs = np.frombuffer(data, f"V{width}").reshape(-1, 2)
            yield pairs.T.tobytes()
