"""The original layouts of transformers that no demo makes, at the true widths or at small ones.

Sources: ``Tongyi-MAI/Z-Image``, ``Alpha-VLLM/Lumina-Image-2.0`` ``models/model.py``,
``cloneofsimo/minRF`` (AuraFlow), ``lodestone-rock/flow`` ``src/models/chroma/model.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights import flux
from modelhub.demo.weights.tables import Table, Tensor, weight_and_bias

_FREQUENCIES = 256
_REFINERS = 2


@dataclass(frozen=True, slots=True)
class Refined:
    """A Lumina 2, or a Z-Image where each head has keys of its own; these are Z-Image's widths."""

    width: int = 3840
    head: int = 128
    key_heads: int = 30
    inner: int = 10240
    layers: int = 30
    caption: int = 2560
    condition: int = 256
    lumina: bool = False


LUMINA = Refined(
    width=2304, head=96, key_heads=8, inner=9216, layers=26, caption=2304, condition=1024,
    lumina=True,
)  # fmt: skip


def refined(widths: Refined) -> Table:
    """Z-Image, or Lumina 2."""
    width, condition = widths.width, widths.condition
    times = condition if widths.lumina else 1024
    table = [
        *weight_and_bias("x_embedder", width, 64),
        Tensor("cap_embedder.0.weight", (widths.caption,)),
        *weight_and_bias("cap_embedder.1", width, widths.caption),
        *weight_and_bias("t_embedder.mlp.0", times, _FREQUENCIES),
        *weight_and_bias("t_embedder.mlp.2", condition, times),
        *weight_and_bias("final_layer.linear", 64, width),
        *weight_and_bias("final_layer.adaLN_modulation.1", width, condition),
        Tensor("norm_final.weight", (width,)),
    ]
    if not widths.lumina:
        table += [Tensor(f"{name}_pad_token", (1, width)) for name in ("x", "cap")]
    for stack, count in (
        ("context_refiner", _REFINERS),
        ("noise_refiner", _REFINERS),
        ("layers", widths.layers),
    ):
        for layer in range(count):
            table += _layer(f"{stack}.{layer}", widths, modulated=stack != "context_refiner")
    return table


def _layer(name: str, widths: Refined, *, modulated: bool) -> Table:
    width, inner = widths.width, widths.inner
    fused = width + 2 * widths.key_heads * widths.head
    table = [
        Tensor(f"{name}.attention.qkv.weight", (fused, width)),
        Tensor(f"{name}.attention.out.weight", (width, width)),
        *[Tensor(f"{name}.attention.{one}_norm.weight", (widths.head,)) for one in "qk"],
        Tensor(f"{name}.feed_forward.w1.weight", (inner, width)),
        Tensor(f"{name}.feed_forward.w2.weight", (width, inner)),
        Tensor(f"{name}.feed_forward.w3.weight", (inner, width)),
    ]
    for norm in ("attention_norm", "ffn_norm"):
        table += [Tensor(f"{name}.{norm}{one}.weight", (width,)) for one in (1, 2)]
    if modulated:
        table += weight_and_bias(
            f"{name}.adaLN_modulation.{int(widths.lumina)}", width * 4, widths.condition
        )
    return table


@dataclass(frozen=True, slots=True)
class Aura:
    """AuraFlow's widths."""

    width: int = 3072
    caption: int = 2048
    inner: int = 8192
    places: int = 1024
    double: int = 4
    single: int = 32


def auraflow(widths: Aura) -> Table:
    """AuraFlow."""
    width, inner = widths.width, widths.inner
    table = [
        Tensor("positional_encoding", (1, widths.places, width)),
        Tensor("register_tokens", (1, 8, width)),
        *weight_and_bias("init_x_linear", width, 16),
        *weight_and_bias("t_embedder.mlp.0", width, _FREQUENCIES),
        *weight_and_bias("t_embedder.mlp.2", width, width),
        Tensor("cond_seq_linear.weight", (width, widths.caption)),
        Tensor("final_linear.weight", (16, width)),
        Tensor("modF.1.weight", (width * 2, width)),
    ]
    for stack, count, mods, sides, mlps in (
        ("double_layers", widths.double, ("modC", "modX"), "12", ("mlpC", "mlpX")),
        ("single_layers", widths.single, ("modCX",), "1", ("mlp",)),
    ):
        for layer in range(count):
            name = f"{stack}.{layer}"
            table += [Tensor(f"{name}.{mod}.1.weight", (width * 6, width)) for mod in mods]
            table += [
                Tensor(f"{name}.attn.w{side}{one}.weight", (width, width))
                for side in sides
                for one in "qkvo"
            ]
            for mlp in mlps:
                table += [
                    Tensor(f"{name}.{mlp}.c_fc1.weight", (inner, width)),
                    Tensor(f"{name}.{mlp}.c_fc2.weight", (inner, width)),
                    Tensor(f"{name}.{mlp}.c_proj.weight", (width, inner)),
                ]
    return table


@dataclass(frozen=True, slots=True)
class Approximator:
    """What Chroma has in place of Flux's modulations: its widths."""

    inputs: int = 64
    width: int = 5120
    layers: int = 5


def chroma(widths: flux.Widths, guidance: Approximator) -> Table:
    """Chroma: Flux without modulations, but for the layers that guess them."""
    gone = ("_mod.", ".modulation.", "time_in.", "vector_in.", "guidance_in.", "adaLN_modulation")
    table = [one for one in flux.transformer(widths) if not any(part in one.name for part in gone)]
    name = "distilled_guidance_layer"
    table += weight_and_bias(f"{name}.in_proj", guidance.width, guidance.inputs)
    table += weight_and_bias(f"{name}.out_proj", widths.width, guidance.width)
    for layer in range(guidance.layers):
        for one in ("in_layer", "out_layer"):
            table += weight_and_bias(f"{name}.layers.{layer}.{one}", guidance.width, guidance.width)
        table.append(Tensor(f"{name}.norms.{layer}.scale", (guidance.width,)))
    return table


def language_model(width: int, head: int, *, gemma: bool, layers: int = 2) -> Table:
    """Qwen 3's or Gemma 2's text model with few layers, as ComfyUI has it in one file."""
    inner, heads, keys = width * 2, 2, 1
    table = [
        Tensor("model.embed_tokens.weight", (300, width)),
        Tensor("model.norm.weight", (width,)),
    ]
    norms = ["input_layernorm", "post_attention_layernorm"]
    if gemma:
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    for layer in range(layers):
        name = f"model.layers.{layer}"
        table += [
            *[Tensor(f"{name}.{norm}.weight", (width,)) for norm in norms],
            Tensor(f"{name}.self_attn.q_proj.weight", (heads * head, width)),
            Tensor(f"{name}.self_attn.k_proj.weight", (keys * head, width)),
            Tensor(f"{name}.self_attn.v_proj.weight", (keys * head, width)),
            Tensor(f"{name}.self_attn.o_proj.weight", (width, heads * head)),
            Tensor(f"{name}.mlp.gate_proj.weight", (inner, width)),
            Tensor(f"{name}.mlp.up_proj.weight", (inner, width)),
            Tensor(f"{name}.mlp.down_proj.weight", (width, inner)),
        ]
        if not gemma:
            table += [Tensor(f"{name}.self_attn.{one}_norm.weight", (head,)) for one in "qk"]
    return table
