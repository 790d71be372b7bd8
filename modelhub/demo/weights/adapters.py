"""The tensor tables of what goes with a checkpoint of Stable Diffusion: LoRAs, embeddings.

Names are kohya's (``kohya-ss/sd-scripts`` ``networks/lora.py``: the name of the module with
underscores, then ``lora_down``, ``lora_up``, ``alpha``; modules of SDXL's UNet by their original
names, ``library/sdxl_model_util.py``) or those of PEFT as diffusers saves them
(``huggingface/diffusers`` ``loaders/lora_pipeline.py``: ``unet.``, ``lora_A``, ``lora_B``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from modelhub.demo.weights import sdxl
from modelhub.demo.weights.sd1 import Widths
from modelhub.demo.weights.tables import Table, Tensor

_ATTENTION_BLOCKS = (
    *(
        (f"down_blocks.{block}.attentions.{index}", factor)
        for block, factor in enumerate((1, 2, 4))
        for index in range(2)
    ),
    ("mid_block.attentions.0", 4),
    *(
        (f"up_blocks.{block}.attentions.{index}", factor)
        for block, factor in ((1, 4), (2, 2), (3, 1))
        for index in range(3)
    ),
)


class _Module(NamedTuple):
    """A layer that a LoRA changes: how wide what goes in and what comes out is."""

    path: str
    source: int
    target: int
    is_convolution: bool = False


def lora(widths: Widths, rank: int) -> Table:
    """A LoRA of the UNet's attention and of the text encoder in kohya's names: 792 tensors."""
    table: Table = []
    for module in _unet_modules(widths):
        table += _kohya("lora_unet_", module, rank)
    for module in _text_modules(widths.text, widths.text_layers):
        table += _kohya("lora_te_", module, rank)
    return table


def peft_lora(widths: Widths, rank: int) -> Table:
    """The same layers in PEFT's names. There is no alpha: it counts as much as the rank."""
    table: Table = []
    for module in _unet_modules(widths):
        table += _peft("unet.", module, rank)
    for module in _text_modules(widths.text, widths.text_layers):
        table += _peft("text_encoder.", module, rank)
    return table


def xl_lora(widths: sdxl.Widths, rank: int) -> Table:
    """A LoRA for SDXL of the UNet's attention and of both text encoders, in kohya's names."""
    table: Table = []
    for module in _original_attention(sdxl.unet(widths)):
        table += _kohya("lora_unet_", module, rank)
    for module in _text_modules(widths.text, widths.text_layers):
        table += _kohya("lora_te1_", module, rank)
    for module in _text_modules(widths.large_text, widths.large_text_layers):
        table += _kohya("lora_te2_", module, rank)
    return table


def _unet_modules(widths: Widths) -> Iterator[_Module]:
    for block, factor in _ATTENTION_BLOCKS:
        for module in _attention_modules(widths.unet * factor, widths.text):
            yield module._replace(path=f"{block}.{module.path}")


def _attention_modules(width: int, context: int) -> Iterator[_Module]:
    yield _Module("proj_in", width, width, is_convolution=True)
    for attention, source in (("attn1", width), ("attn2", context)):
        name = f"transformer_blocks.0.{attention}"
        yield _Module(f"{name}.to_q", width, width)
        yield _Module(f"{name}.to_k", source, width)
        yield _Module(f"{name}.to_v", source, width)
        yield _Module(f"{name}.to_out.0", width, width)
    yield _Module("transformer_blocks.0.ff.net.0.proj", width, width * 8)
    yield _Module("transformer_blocks.0.ff.net.2", width * 4, width)
    yield _Module("proj_out", width, width, is_convolution=True)


def _original_attention(unet: Table) -> Iterator[_Module]:
    for tensor in unet:
        path = tensor.name.removesuffix(".weight")
        in_attention = ".transformer_blocks." in path or path.endswith((".proj_in", ".proj_out"))
        if in_attention and path != tensor.name and len(tensor.shape) == 2:
            yield _Module(path, tensor.shape[1], tensor.shape[0])


def _text_modules(width: int, layers: int) -> Iterator[_Module]:
    for layer in range(layers):
        name = f"text_model.encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield _Module(f"{name}.self_attn.{part}", width, width)
        yield _Module(f"{name}.mlp.fc1", width, width * 4)
        yield _Module(f"{name}.mlp.fc2", width * 4, width)


def _kohya(prefix: str, module: _Module, rank: int) -> Table:
    name = prefix + module.path.replace(".", "_")
    return [*_pair(name, ("lora_down", "lora_up"), module, rank), Tensor(f"{name}.alpha", ())]


def _peft(prefix: str, module: _Module, rank: int) -> Table:
    return _pair(prefix + module.path, ("lora_A", "lora_B"), module, rank)


def _pair(name: str, parts: tuple[str, str], module: _Module, rank: int) -> Table:
    point = (1, 1) if module.is_convolution else ()
    down, up = parts
    return [
        Tensor(f"{name}.{down}.weight", (rank, module.source, *point)),
        Tensor(f"{name}.{up}.weight", (module.target, rank, *point)),
    ]


def embedding(widths: Widths, vectors: int) -> Table:
    """A textual inversion of `vectors` tokens (``emb_params``, as A1111's web UI saves it)."""
    return [Tensor("emb_params", (vectors, widths.text))]


def xl_embedding(widths: sdxl.Widths, vectors: int) -> Table:
    """The same for the two text encoders of SDXL (``clip_l``, ``clip_g``)."""
    return [
        Tensor("clip_l", (vectors, widths.text)),
        Tensor("clip_g", (vectors, widths.large_text)),
    ]
