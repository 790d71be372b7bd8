# ruff: noqa: E501 - a table is read line by line

from __future__ import annotations

import pytest

from modelhub.formats.identify.small_kinds import identify_small
from modelhub.formats.identity import ModelKind
from tests.formats.identify.layouts import Shapes, because, header

_SWIN = "layers.0.residual_group.blocks.0."


def _old_esrgan(doublings: int) -> Shapes:
    """xinntao's first ESRGAN: convolutions numbered with the steps between them."""
    ups = {f"model.{3 * n}.weight": (64, 64, 3, 3) for n in range(1, doublings + 1)}
    last = 3 * doublings
    return {
        "model.0.weight": (64, 3, 3, 3),
        "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3),
        **ups,
        f"model.{last + 2}.weight": (64, 64, 3, 3),
        f"model.{last + 4}.weight": (3, 64, 3, 3),
    }


def _real_esrgan(channels: int = 3) -> Shapes:
    return {
        "conv_first.weight": (64, channels, 3, 3),
        "body.0.rdb1.conv1.weight": (32, 64, 3, 3),
        "conv_up1.weight": (64, 64, 3, 3),
        "conv_up2.weight": (64, 64, 3, 3),
        "conv_last.weight": (3, 64, 3, 3),
    }


def _compact(scale: int) -> Shapes:
    """SRVGGNetCompact: convolutions and PReLUs in turn, then one layer for all the pixels."""
    body = {f"body.{n}.weight": (64, 64, 3, 3) if n % 2 == 0 else (64,) for n in range(34)}
    return {**body, "body.0.weight": (64, 3, 3, 3),
            "body.34.weight": (3 * scale * scale, 64, 3, 3)}  # fmt: skip


def _swinir(scale: int) -> Shapes:
    ups = {f"upsample.{2 * n}.weight": (256, 64, 3, 3) for n in range(scale.bit_length() - 1)}
    return {
        "conv_first.weight": (180, 3, 3, 3),
        _SWIN + "attn.relative_position_index": (64, 64),
        _SWIN + "mlp.fc1.bias": (360,),
        "conv_before_upsample.0.weight": (64, 180, 3, 3),
        **ups,
    }


_DAT: Shapes = {
    "before_RG.1.weight": (180,),
    "layers.0.blocks.0.attn.channel_interaction.1.weight": (22, 180, 1, 1),
}


@pytest.mark.parametrize(
    ("architecture", "edition", "shapes"),
    [
        ("esrgan", "1x", _old_esrgan(0)),
        ("esrgan", "2x", _old_esrgan(1)),
        ("esrgan", "4x", _old_esrgan(2)),
        ("esrgan", "8x", _old_esrgan(3)),
        ("esrgan", "4x", _real_esrgan()),
        ("esrgan", "2x", _real_esrgan(12)),
        ("esrgan", "1x", _real_esrgan(48)),
        ("compact", "4x", _compact(4)),
        ("compact", "2x", _compact(2)),
        ("compact", "1x", _compact(1)),
        ("swinir", "4x", _swinir(4)),
        ("swinir", "2x", _swinir(2)),
        ("swinir", "4x", {**_swinir(1), "conv_up1.weight": (64, 64, 3, 3), "conv_up2.weight": (64, 64, 3, 3)}),
        ("swin2sr", "2x", {**_swinir(2), _SWIN + "attn.logit_scale": (6, 1, 1)}),
        ("hat", "4x", {**_swinir(4), _SWIN + "conv_block.cab.0.weight": (60, 180, 3, 3)}),
        ("dat", "4x", {**_DAT, "upsample.0.weight": (48, 60, 3, 3)}),
        ("omnisr", "4x", {"input.weight": (64, 3, 3, 3), "up.0.weight": (48, 64, 3, 3), "residual_layer.0.residual_layer.0.layer.0.fn.0.weight": (64,)}),
        ("span", "4x", {"conv_1.sk.weight": (48, 3, 1, 1), "block_1.c1_r.sk.weight": (48, 48, 1, 1), "upsampler.0.weight": (48, 48, 3, 3)}),
        ("realplksr", "4x", {"feats.0.weight": (64, 3, 3, 3), "feats.1.channel_mixer.0.weight": (128, 64, 3, 3), "feats.30.weight": (48, 64, 3, 3)}),
        ("realcugan", "2x", {"unet1.conv1.conv.0.weight": (32, 3, 3, 3), "unet2.conv1_down.weight": (64, 64, 2, 2), "unet1.conv_bottom.weight": (64, 3, 4, 4)}),
        ("scunet", "1x", {"m_head.0.weight": (64, 3, 3, 3), "m_tail.0.weight": (3, 64, 3, 3), "m_body.0.conv_block.0.weight": (32, 32, 3, 3)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "params_ema."])
def test_the_network_and_its_scale_are_told(
    architecture: str, edition: str, shapes: Shapes, prefix: str
) -> None:
    found = identify_small(header({prefix + key: shape for key, shape in shapes.items()}))
    assert found is not None
    assert found.kind is ModelKind.UPSCALER
    assert (found.architecture, found.edition) == (architecture, edition)
    assert because(found, "edition")
    assert ("restoration" in found.variants) == (edition == "1x")


def test_bodies_of_other_networks_are_no_compact_one() -> None:
    shapes: Shapes = {f"body.{n}.weight": (64, 64, 3, 3) for n in range(4)}
    assert identify_small(header(shapes)) is None
