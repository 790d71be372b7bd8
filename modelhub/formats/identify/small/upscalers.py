"""Upscalers and restorers of images: which network, and how many times larger.

Source of the names and of the arithmetic: chaiNNer-org/spandrel
``libs/spandrel/spandrel/architectures/*/__init__.py`` (``KeyCondition``, ``load``) and
``spandrel_extra_arches``.
"""

# ruff: noqa: E501 - a table is read line by line

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

from modelhub.formats.identify.small.signatures import (
    Signature,
    Tensors,
    first_of,
    identity,
)
from modelhub.formats.identity import Evidence, Identity, ModelKind
from modelhub.formats.tensors import Header

_UP = ModelKind.UPSCALER
_OTHER = ModelKind.OTHER
_SWIN = "layers.0.residual_group.blocks.0."

# One line a rule.
# fmt: off
_TABLE: tuple[Signature, ...] = (
    Signature(_UP, "ESRGAN, as first published", ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"), "esrgan"),
    Signature(_UP, "ESRGAN", ("conv_first.weight", "body.0.rdb1.conv1.weight"), "esrgan"),
    Signature(_UP, "ESRGAN", ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight"), "esrgan"),
    Signature(_UP, "HAT", ("conv_first.weight", _SWIN + "conv_block.cab.0.weight"), "hat"),
    Signature(_UP, "Swin2SR", ("conv_first.weight", _SWIN + "attn.logit_scale"), "swin2sr"),
    Signature(_UP, "SwinIR", ("conv_first.weight", _SWIN + "attn.relative_position_index", _SWIN + "mlp.fc1.bias"), "swinir"),
    Signature(_UP, "SwinIR", ("conv_first.weight", _SWIN + "attn.relative_position_bias_table"), "swinir"),
    Signature(_UP, "SwinIR", ("conv_first.1.weight", _SWIN + "norm1.weight"), "swinir"),
    Signature(_UP, "DAT", ("before_RG.1.weight", "layers.0.blocks.0.attn.channel_interaction.1.weight"), "dat"),
    Signature(_UP, "RGT", ("before_RG.1.weight", "layers.0.blocks.0.gamma"), "rgt"),
    Signature(_UP, "ATD", ("conv_first.weight", "layers.0.residual_group.td"), "atd"),
    Signature(_UP, "DRCT", ("conv_first.weight", "layers.0.swin1.norm1.weight"), "drct"),
    Signature(_UP, "CRAFT", ("conv_first.weight", "layers.0.residual_group.hf_blocks.0.attn.temperature"), "craft"),
    Signature(_UP, "GRL", ("conv_first.weight", "norm_start.weight", "norm_end.weight"), "grl"),
    Signature(_UP, "FDAT", ("conv_first.weight", "groups.0.blocks.0.inter.cg.1.weight"), "fdat"),
    Signature(_UP, "OmniSR", ("input.weight", "up.0.weight", "residual_layer.0.residual_layer.0.layer.0.fn.0.weight"), "omnisr"),
    Signature(_UP, "SPAN", ("conv_1.sk.weight", "block_1.c1_r.sk.weight"), "span"),
    Signature(_UP, "RealPLKSR", ("feats.0.weight", "feats.1.channel_mixer.0.weight"), "realplksr"),
    Signature(_UP, "PLKSR", ("feats.0.weight", "feats.1.channe_mixer.0.weight"), "plksr"),
    Signature(_UP, "SAFMN", ("to_feat.weight", "feats.0.safm.mfr.0.weight"), "safmn"),
    Signature(_UP, "MoSR", ("gblocks.0.weight", "gblocks.1.fc1.weight"), "mosr"),
    Signature(_UP, "MoESR", ("in_to_dim.weight", "blocks.0.blocks.0.gamma"), "moesr"),
    Signature(_UP, "Real-CUGAN", ("unet1.conv1.conv.0.weight", "unet2.conv1_down.weight"), "realcugan"),
    Signature(_UP, "AuraSR", ("mid_attn.layers.0.0.to_out.weight", "mid_block2.block1.proj.weights"), "aurasr", (), "4x"),
    Signature(_UP, "SwiftSRGAN", ("initial.cnn.depthwise.weight", "final_conv.pointwise.weight"), "swiftsrgan"),
    Signature(_UP, "RCAN", ("tail.1.weight", "body.0.body.0.body.3.conv_du.0.weight"), "rcan"),
    Signature(_UP, "SCUNet", ("m_head.0.weight", "m_tail.0.weight", "m_body.0.conv_block.0.weight"), "scunet", ("restoration",), "1x"),
    Signature(_UP, "FBCNN", ("m_head.weight", "qf_pred.0.res.0.weight"), "fbcnn", ("restoration",), "1x"),
    Signature(_UP, "DRUNet", ("m_head.weight", "m_down1.0.res.0.weight", "m_up3.2.res.0.weight"), "drunet", ("restoration",), "1x"),
    Signature(_UP, "NAFNet", ("intro.weight", "ending.weight", "middle_blks.0.beta"), "nafnet", ("restoration",), "1x"),
    Signature(_UP, "Uformer", ("input_proj.proj.0.weight", "encoderlayer_0.blocks.0.norm1.weight"), "uformer", ("restoration",), "1x"),
    Signature(_UP, "RealESRGAN Compact (SRVGG)", ("body.0.weight", "body.1.weight", "body.2.weight"), "compact"),
    Signature(_OTHER, "GFPGAN, a restorer of faces", ("toRGB.0.weight", "stylegan_decoder.style_mlp.1.weight"), None, ("face restoration",)),
    Signature(_OTHER, "GFPGAN, a restorer of faces", ("stylegan_decoderdotto_rgb1dotweight",), None, ("face restoration",)),
    Signature(_OTHER, "CodeFormer, a restorer of faces", ("position_emb", "idx_pred_layer.1.weight", "quantize.embedding.weight"), None, ("face restoration",)),
    Signature(_OTHER, "RestoreFormer, a restorer of faces", ("quantize.embedding.weight", "encoder.conv_in.weight", "decoder.mid.attn_1.norm1.weight"), None, ("face restoration",)),
    Signature(_OTHER, "LaMa, an inpainter", ("model.1.bn_l.running_mean",), None, ("inpainting",)),
    Signature(_OTHER, "LaMa, an inpainter", ("model.model.1.bn_l.running_mean",), None, ("inpainting",)),
    Signature(_OTHER, "LaMa, an inpainter", ("generator.model.1.bn_l.running_mean",), None, ("inpainting",)),
    Signature(_OTHER, "MAT, an inpainter", ("synthesis.first_stage.conv_first.conv.resample_filter",), None, ("inpainting",)),
    Signature(_OTHER, "MAT, an inpainter", ("model.synthesis.first_stage.conv_first.conv.resample_filter",), None, ("inpainting",)),
    Signature(_OTHER, "DDColor, a colouriser", ("decoder.color_decoder.query_feat.weight",), None, ("colorization",)),
)
# fmt: on
_PREFIXES = ("params_ema.", "params.", "model_state_dict.", "state_dict.", "module.")
_MOST_LAYERS = 200


def identify_upscaler(header: Header) -> Identity | None:
    """The upscaler or restorer in `header`, or None when it is none."""
    tensors = header.tensors
    first = next(iter(tensors))
    prefix = next((prefix for prefix in _PREFIXES if first.startswith(prefix)), "")
    line = first_of(_TABLE, tensors, prefix)
    if line is None or (line.architecture == "compact" and not _is_compact(tensors, prefix)):
        return None
    scale = None if line.edition else _scale(line, tensors, prefix)
    if scale is None:
        return identity(header, line, prefix=prefix)
    edition = f"{scale[0]}x"
    more = (Evidence("edition", edition, scale[1]),)
    variants = ("restoration",) if scale[0] == 1 else ()
    return identity(header, line, prefix=prefix, edition=edition, more=more, variants=variants)


def _is_compact(tensors: Tensors, prefix: str) -> bool:
    """Convolutions and PReLUs in turn, and nothing beside."""
    first, second = tensors[prefix + "body.0.weight"], tensors[prefix + "body.1.weight"]
    return (
        len(first.shape) == 4
        and len(second.shape) == 1
        and second.shape[0] == first.shape[0]
        and f"{prefix}conv_first.weight" not in tensors
    )


def _scale(line: Signature, tensors: Tensors, prefix: str) -> tuple[int, str] | None:
    """How many times larger, and why; None when the tensors do not tell."""
    count = _SCALES.get(line.architecture or "", _by_shuffle)
    found = count(tensors, prefix)
    # A file may claim anything: no network makes a picture a hundred times larger.
    return found if found is not None and 1 <= found[0] <= 16 else None


def _esrgan(tensors: Tensors, prefix: str) -> tuple[int, str] | None:
    if prefix + "model.0.weight" in tensors:
        last = max((n for n in range(2, 24) if f"{prefix}model.{n}.weight" in tensors), default=0)
        doublings, first = (last - 4) // 3, tensors[prefix + "model.0.weight"]
    else:
        names = [f"{name}{n}.weight" for n in range(1, 6) for name in ("conv_up", "upconv")]
        doublings = sum(prefix + name in tensors for name in names)
        first = tensors[prefix + "conv_first.weight"]
    if not 0 <= doublings <= 4 or len(first.shape) < 2:
        return None
    # Real-ESRGAN's x2 and x1 fold the image by 2 or 4 before the first layer.
    channels = first.shape[1]
    folded = isqrt(channels // 3) if channels in (12, 48) else 1
    scale = 2**doublings // folded
    return scale, f"{doublings} doublings, {channels} channels in"


def _compact(tensors: Tensors, prefix: str) -> tuple[int, str] | None:
    last = 0
    while last < _MOST_LAYERS and f"{prefix}body.{last + 1}.weight" in tensors:
        last += 1
    return _shuffled(tensors, f"{prefix}body.{last}.weight")


def _plksr(tensors: Tensors, prefix: str) -> tuple[int, str] | None:
    if (found := _shuffled(tensors, f"{prefix}to_img.init_pos")) is not None:
        return found
    for last in range(_MOST_LAYERS, 1, -1):
        if (key := f"{prefix}feats.{last}.weight") in tensors:
            return _shuffled(tensors, key)
    return None


def _realcugan(tensors: Tensors, prefix: str) -> tuple[int, str] | None:
    if prefix + "conv_final.weight" in tensors:
        return 4, "a last layer behind both networks"
    kernel = tensors.get(prefix + "unet1.conv_bottom.weight")
    if kernel is None or len(kernel.shape) != 4:
        return None
    return (3 if kernel.shape[2] == 5 else 2), f"a kernel of {kernel.shape[2]} at the bottom"


def _swiftsrgan(tensors: Tensors, prefix: str) -> tuple[int, str] | None:
    doublings = sum(f"{prefix}upsampler.{n}.conv.depthwise.weight" in tensors for n in range(6))
    return 2**doublings, f"{doublings} doublings"


def _by_shuffle(tensors: Tensors, prefix: str) -> tuple[int, str] | None:
    """By the layers that spread channels over pixels, one after another or at once."""
    if prefix + "conv_up1.weight" in tensors:
        doublings = sum(f"{prefix}conv_up{n}.weight" in tensors for n in range(1, 5))
        return 2**doublings, f"{doublings} doublings"
    for name in ("upsampler.0", "up.0", "to_img.0", "upsample.up", "tail.0.0"):
        if (found := _shuffled(tensors, f"{prefix}{name}.weight")) is not None:
            return found
    scale, layers = 1, 0
    for n in range(0, 8, 2):
        layer = tensors.get(f"{prefix}upsample.{n}.weight") or tensors.get(
            f"{prefix}tail.0.{n}.weight"
        )
        if layer is None or len(layer.shape) < 2 or not layer.shape[1]:
            break
        if layers == 0 and prefix + "conv_before_upsample.0.weight" not in tensors:
            direct = _shuffled(tensors, f"{prefix}upsample.0.weight")
            if direct is not None and layer.shape[0] % layer.shape[1]:
                return direct
        scale *= isqrt(layer.shape[0] // layer.shape[1])
        layers += 1
    if layers:
        return scale, f"{layers} layers that spread channels over pixels"
    return None


def _shuffled(tensors: Tensors, key: str) -> tuple[int, str] | None:
    """The scale by one layer that makes all pixels of the three colours at once."""
    layer = tensors.get(key)
    if layer is None or not layer.shape:
        return None
    channels = layer.shape[0]
    for colours in (3, 1):
        scale = isqrt(channels // colours)
        if scale and scale * scale * colours == channels:
            return scale, f"{channels} channels become {scale}x{scale} pixels ({key})"
    return None


_SCALES: dict[str, Callable[[Tensors, str], tuple[int, str] | None]] = {
    "esrgan": _esrgan,
    "compact": _compact,
    "realplksr": _plksr,
    "plksr": _plksr,
    "realcugan": _realcugan,
    "swiftsrgan": _swiftsrgan,
}
