"""Text encoders of these models: which class of transformers, its settings, its tensors.

Told from names and shapes. What no tensor tells is as in the published ``config.json`` of
``openai/clip-vit-large-patch14``, ``google/t5-v1_1-xxl``, ``google/umt5-xxl``,
``EleutherAI/pile-t5-xl``, ``Qwen/Qwen3-4B``, ``Qwen/Qwen3-VL-4B-Instruct``,
``Qwen/Qwen2.5-VL-7B-Instruct``, ``google/gemma-2-2b``, ``meta-llama/Llama-3.1-8B-Instruct`` and
``mistralai/Mistral-Small-3.1-24B-Instruct-2503``, of which ComfyUI publishes the layers that FLUX.2
reads (``comfyanonymous/ComfyUI`` ``comfy/text_encoders/flux.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelhub.convert.diffusers.renaming import in_diffusers
from modelhub.convert.values import Planned, Values
from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.diffusers_config.text import text_config
from modelhub.formats.diffusers_names import PartKind, pairs_of_part, parts_of_checkpoint
from modelhub.formats.diffusers_names.text import HF_PREFIX
from modelhub.formats.tensor_data import PIECE
from modelhub.render.pipelines.flow.llamacpp import in_transformers
from modelhub.render.pipelines.flow.wan import as_transformers_names
from modelhub.render.pipelines.plans import WITHOUT_NORM

_PROJECTION = "text_projection.weight"


@dataclass(frozen=True, slots=True)
class Encoder:
    """A text encoder, before it is made.

    :param model_class: of transformers.
    :param width: numbers of each token that comes out.
    """

    model_class: str
    config: Mapping[str, Any]
    tensors: tuple[Planned, ...]
    width: int


def encoder_of(
    tensors: Mapping[str, Planned],
    *,
    projecting: bool = False,
    large: bool = False,
    own_projection: bool = False,
    plain: str = "",
    seeing: bool = False,
    read_to: int = 0,
) -> Encoder:
    """The text encoder that these tensors are.

    :param tensors: by their names without the prefix of a checkpoint: those of transformers, of
        OpenCLIP, or of llama.cpp.
    :param projecting: of CLIP: its pipeline asks for the projection of what comes out.
    :param large: of CLIP: it is the larger of two, OpenCLIP's, whose activation is another.
    :param own_projection: of CLIP: it is used where the tensors have one.
    :param plain: of a language model: which it has to be, ``llama`` or ``mistral``, which no tensor
        tells apart.
    :param seeing: of a Qwen 3: it is one that can see, which its text model's tensors do not tell.
    :param read_to: of a language model: the last layer that is read, before the norm; those behind
        it are left out. 0: what comes out is read.
    :raises FormatError: they are none, or not all of one.
    """
    tensors = in_transformers(as_transformers_names(tensors))
    if "shared.weight" in tensors or "encoder.embed_tokens.weight" in tensors:
        return _t5(tensors)
    if any(name.endswith("embed_tokens.weight") for name in tensors):
        return _language_model(tensors, plain=plain, seeing=seeing, read_to=read_to)
    return _clip(tensors, projecting=projecting, large=large, own=own_projection or large)


def _clip(tensors: Mapping[str, Planned], *, projecting: bool, large: bool, own: bool) -> Encoder:
    tensors = _with_prefix(tensors)
    parts = [one for one in parts_of_checkpoint(tensors) if one.kind in _OF_CLIP]
    if len(parts) != 1:
        raise FormatError("it has the names of no text encoder that is known", hint="")
    made = {one.name: one for one in in_diffusers(pairs_of_part(parts[0], tensors), tensors)}
    shapes = _shapes(made)
    width = shapes.extent("text_model.embeddings.token_embedding.weight", 1)
    if not projecting:
        made.pop(_PROJECTION, None)
    elif not own or _PROJECTION not in made:
        # SD 3 reads CLIP-L without its projection, which the pipeline of diffusers has as a unit.
        unit = UnitMatrix(width, _usual_type(made))
        made[_PROJECTION] = Planned(_PROJECTION, unit, unit.dtype)
    config = text_config(_shapes(made), open_clip=large, projecting=projecting)
    return Encoder(config["architectures"][0], config, tuple(made.values()), width)


def _with_prefix(tensors: Mapping[str, Planned]) -> Mapping[str, Planned]:
    """CLIP as transformers has named it before and since; a folder may be of either time."""
    if not any(name.startswith("encoder.layers.") for name in tensors):
        return tensors
    named = {
        name if name.startswith("text_projection.") else HF_PREFIX + name: one
        for name, one in tensors.items()
    }
    return {name: Planned(name, one.values, one.dtype) for name, one in named.items()}


_OF_CLIP = (PartKind.CLIP, PartKind.OPEN_CLIP)


def _t5(tensors: Mapping[str, Planned]) -> Encoder:
    made = {
        name: one
        for name, one in tensors.items()
        if name == "shared.weight" or name.startswith("encoder.")
    }
    embedding = made.pop("encoder.embed_tokens.weight", None)
    if embedding is not None:
        # Both are the same numbers, wherever both are there.
        made.setdefault(
            "shared.weight", Planned("shared.weight", embedding.values, embedding.dtype)
        )
    shapes = _shapes(made)
    block = "encoder.block.0.layer"
    bias = "layer.0.SelfAttention.relative_attention_bias"
    gated = shapes.has(f"{block}.1.DenseReluDense.wi_0")
    wide = "wi_0" if gated else "wi"
    number = shapes.extent(f"encoder.block.0.{bias}.weight", 1)
    width = shapes.extent("shared.weight", 1)
    config = {
        "vocab_size": shapes.extent("shared.weight"),
        "d_model": width,
        "d_kv": max(1, shapes.extent(f"{block}.0.SelfAttention.q.weight") // number),
        "d_ff": shapes.extent(f"{block}.1.DenseReluDense.{wide}.weight"),
        "num_layers": shapes.number_of("encoder.block"),
        "num_heads": number,
        "relative_attention_num_buckets": shapes.extent(f"encoder.block.0.{bias}.weight"),
        "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-6,
        "dropout_rate": 0.0,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
        "is_encoder_decoder": False,
        "use_cache": False,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    in_each = shapes.has(f"encoder.block.1.{bias}")
    return Encoder(
        "UMT5EncoderModel" if in_each else "T5EncoderModel", config, tuple(made.values()), width
    )


def _language_model(
    tensors: Mapping[str, Planned], *, plain: str, seeing: bool, read_to: int
) -> Encoder:
    """Qwen 3, Qwen 2.5 VL, Gemma 2, Llama or Mistral, of which numbers are read, not the words.

    What Qwen 2.5 VL and Mistral see with is left out: nobody shows them a picture.
    """
    inner = {
        name.removeprefix("model.").removeprefix("language_model.").removeprefix("model."): one
        for name, one in tensors.items()
    }
    made = {
        name: Planned(name, one.values, one.dtype)
        for name, one in inner.items()
        if name.startswith(("layers.", "embed_tokens.", "norm."))
    }
    if read_to:
        made = _read_to(read_to, made)
    shapes = _shapes(made)
    model_class, settings = _kind_of_language_model(shapes, plain=plain, seeing=seeing)
    normed = shapes.has("layers.0.self_attn.q_norm")
    head = shapes.extent("layers.0.self_attn.q_norm.weight") if normed else _HEADS[model_class]
    width = shapes.extent("embed_tokens.weight", 1)
    config = {
        "vocab_size": shapes.extent("embed_tokens.weight"),
        "hidden_size": width,
        "intermediate_size": shapes.extent("layers.0.mlp.gate_proj.weight"),
        "num_hidden_layers": shapes.number_of("layers"),
        "num_attention_heads": max(1, shapes.extent("layers.0.self_attn.q_proj.weight") // head),
        "num_key_value_heads": max(1, shapes.extent("layers.0.self_attn.k_proj.weight") // head),
        "head_dim": head,
        "rms_norm_eps": 1e-6,
        "use_cache": False,
        **settings,
    }
    if read_to:
        config[WITHOUT_NORM] = True
    return Encoder(model_class, config, tuple(made.values()), width)


def _read_to(last: int, tensors: Mapping[str, Planned]) -> dict[str, Planned]:
    """Without the layers that nobody reads, and without the norm behind them."""
    there = _shapes(tensors).number_of("layers")
    if there < last:
        raise FormatError(f"it has {there} layers, and {last} are read", hint="")
    kept = ("embed_tokens.", *(f"layers.{layer}." for layer in range(last)))
    return {name: one for name, one in tensors.items() if name.startswith(kept)}


def _kind_of_language_model(
    shapes: PartShapes, *, plain: str, seeing: bool
) -> tuple[str, Mapping[str, Any]]:
    """The class of transformers, and the settings that no tensor tells."""
    attention = "layers.0.self_attn"
    if plain:
        other = shapes.has(f"{attention}.q_norm") or shapes.dimensions(f"{attention}.q_proj.bias")
        if not other and not shapes.has("layers.0.post_feedforward_layernorm"):
            return _PLAIN[plain]
        raise FormatError("it is a language model of another kind", hint="")
    if shapes.has("layers.0.post_feedforward_layernorm"):
        if not shapes.has(f"{attention}.q_norm"):
            return "Gemma2Model", _GEMMA_2
    elif shapes.has(f"{attention}.q_norm"):
        return ("Qwen3VLTextModel", _QWEN_3_VL) if seeing else ("Qwen3Model", _QWEN_3)
    elif shapes.dimensions(f"{attention}.q_proj.bias"):
        return "Qwen2_5_VLTextModel", _QWEN_2_5
    raise FormatError("it is a language model of another kind", hint="")


_HEADS = {
    "Gemma2Model": 256,
    "LlamaModel": 128,
    "MistralModel": 128,
    "Qwen2_5_VLTextModel": 128,
}
"""Numbers of a head, where no norm of one tells."""
_QWEN_2_5: Mapping[str, Any] = {
    "max_position_embeddings": 128_000,
    "rope_theta": 1_000_000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "pad_token_id": None,
}
_QWEN_3: Mapping[str, Any] = {
    "max_position_embeddings": 40960,
    "rope_theta": 1_000_000.0,
    "pad_token_id": None,
    "tie_word_embeddings": True,
}
_QWEN_3_VL: Mapping[str, Any] = {
    "max_position_embeddings": 262_144,
    "rope_theta": 5_000_000.0,
    "rope_scaling": {
        "rope_type": "default",
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
    "pad_token_id": None,
}
_MISTRAL: Mapping[str, Any] = {
    "max_position_embeddings": 131072,
    "rope_theta": 1_000_000_000.0,
    "rms_norm_eps": 1e-5,
    "sliding_window": None,
}
_LLAMA_3: Mapping[str, Any] = {
    "max_position_embeddings": 131_072,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "rms_norm_eps": 1e-5,
    "pad_token_id": None,
}
_PLAIN = {"llama": ("LlamaModel", _LLAMA_3), "mistral": ("MistralModel", _MISTRAL)}
_GEMMA_2: Mapping[str, Any] = {
    "max_position_embeddings": 8192,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "hidden_activation": "gelu_pytorch_tanh",
    "rope_theta": 10_000.0,
}


def _shapes(tensors: Mapping[str, Planned]) -> PartShapes:
    return PartShapes({name: one.values.shape for name, one in tensors.items()})


def _usual_type(tensors: Mapping[str, Planned]) -> str:
    """Of the weights; F32 where they are in a type that has no one."""
    types = [one.values.dtype for one in tensors.values() if one.values.dtype in _ONES]
    return max(set(types), key=types.count, default="F32")


_ONES = {
    "F32": b"\x00\x00\x80\x3f",
    "F16": b"\x00\x3c",
    "BF16": b"\x80\x3f",
    "F8_E4M3": b"\x38",
    "F8_E5M2": b"\x3c",
}
"""The number one, little-endian."""


class UnitMatrix(Values):
    """Ones on the diagonal, zeros elsewhere.

    :param width: rows and columns.
    :param dtype: a floating-point type.
    """

    def __init__(self, width: int, dtype: str) -> None:
        self.dtype = dtype
        self.shape = (width, width)
        self._one = _ONES[dtype]

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All rows, some at a time."""
        width, size = self.shape[0], len(self._one)
        step = max(1, PIECE // (width * size))
        for start in range(0, width, step):
            stop = min(start + step, width)
            rows = bytearray((stop - start) * width * size)
            for row in range(start, stop):
                place = ((row - start) * width + row) * size
                rows[place : place + size] = self._one
            yield bytes(rows)
