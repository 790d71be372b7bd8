"""The tensor table of a Stable Diffusion 3 checkpoint, for any widths.

The transformer is that of ``Stability-AI/sd3.5`` ``mmditx.py``; the file that has the text encoders
CLIP-L and OpenCLIP-bigG too, and no T5, is laid out as ``sd3_medium_incl_clips.safetensors``.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights import sd1
from modelhub.demo.weights.tables import Table, Tensor, under, weight_and_bias

_LATENTS = 16
_PATCH = 2
_FREQUENCIES = 256


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of SD 3; the defaults are those of 3 medium.

    :param blocks: of joint attention, each 64 wide per head.
    :param places: of the position table, on each side.
    :param joint: of the text's tokens as T5 gives them.
    :param text: of CLIP-L; `large_text` of OpenCLIP's.
    :param head: width of a head, where queries and keys are normed (3.5); None: they are not.
    :param twice: how many of the first blocks attend a second time (3.5 medium).
    """

    blocks: int = 24
    places: int = 192
    joint: int = 4096
    vae: int = 128
    text: int = 768
    text_layers: int = 12
    large_text: int = 1280
    large_text_layers: int = 32
    vocabulary: int = 49408
    head: int | None = None
    twice: int = 0

    @property
    def width(self) -> int:
        """Numbers of each token."""
        return self.blocks * 64

    @property
    def pooled(self) -> int:
        """Of both text encoders together."""
        return self.text + self.large_text


TRUE = Widths()
TINY = Widths(
    blocks=2, places=16, joint=96, vae=16, text=32, text_layers=2, large_text=64,
    large_text_layers=2,
)  # fmt: skip


def checkpoint(widths: Widths) -> Table:
    """Transformer, autoencoder and both CLIP text encoders, with the prefixes of a full file."""
    return [
        *under("model.diffusion_model.", transformer(widths)),
        *under("first_stage_model.", autoencoder(widths.vae)),
        *under("text_encoders.clip_l.transformer.", text_encoder(widths)),
        *under("text_encoders.clip_g.transformer.", large_text_encoder(widths)),
    ]


def autoencoder(width: int) -> Table:
    """The tensors of a VAE of 16 channels, as it stands alone in a VAE file."""
    table = sd1.autoencoder(sd1.Widths(vae=width, latents=_LATENTS))
    return [one for one in table if "quant_conv" not in one.name]


def text_encoder(widths: Widths) -> Table:
    """CLIP-L's tensors."""
    return _clip(widths.text, widths.text_layers, widths.vocabulary)


def large_text_encoder(widths: Widths) -> Table:
    """OpenCLIP's tensors under the names of transformers."""
    width = widths.large_text
    return [
        *_clip(width, widths.large_text_layers, widths.vocabulary),
        Tensor("text_projection.weight", (width, width)),
    ]


def _clip(width: int, layers: int, vocabulary: int) -> Table:
    table = sd1.text_encoder(sd1.Widths(text=width, text_layers=layers, vocabulary=vocabulary))
    return under("text_model.", [one for one in table if not one.name.endswith("position_ids")])


def transformer(widths: Widths) -> Table:
    """The tensors of the diffusion transformer."""
    width = widths.width
    table = [
        Tensor("pos_embed", (1, widths.places**2, width)),
        *weight_and_bias("x_embedder.proj", width, _LATENTS, _PATCH, _PATCH),
        *weight_and_bias("t_embedder.mlp.0", width, _FREQUENCIES),
        *weight_and_bias("t_embedder.mlp.2", width, width),
        *weight_and_bias("y_embedder.mlp.0", width, widths.pooled),
        *weight_and_bias("y_embedder.mlp.2", width, width),
        *weight_and_bias("context_embedder", width, widths.joint),
        *weight_and_bias("final_layer.linear", _PATCH * _PATCH * _LATENTS, width),
        *weight_and_bias("final_layer.adaLN_modulation.1", width * 2, width),
    ]
    for block in range(widths.blocks):
        name = f"joint_blocks.{block}"
        last = block == widths.blocks - 1
        table += _block(f"{name}.context_block", widths, cut_off=last)
        table += _block(f"{name}.x_block", widths, twice=block < widths.twice)
    return table


def _block(name: str, widths: Widths, *, cut_off: bool = False, twice: bool = False) -> Table:
    width = widths.width
    shifts = 2 if cut_off else 9 if twice else 6
    table = [
        *_attention(f"{name}.attn", widths, projected=not cut_off),
        *weight_and_bias(f"{name}.adaLN_modulation.1", width * shifts, width),
    ]
    if twice:
        table += _attention(f"{name}.attn2", widths, projected=True)
    if not cut_off:
        table += weight_and_bias(f"{name}.mlp.fc1", width * 4, width)
        table += weight_and_bias(f"{name}.mlp.fc2", width, width * 4)
    return table


def _attention(name: str, widths: Widths, *, projected: bool) -> Table:
    width = widths.width
    table = weight_and_bias(f"{name}.qkv", width * 3, width)
    if projected:
        table += weight_and_bias(f"{name}.proj", width, width)
    if widths.head is not None:
        table += [Tensor(f"{name}.{norm}.weight", (widths.head,)) for norm in ("ln_q", "ln_k")]
    return table
