"""Transformers of flow matching: their layers under diffusers' names, their settings of shapes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.convert.values import Planned, Values
from modelhub.demo.weights import flux, sd3
from modelhub.demo.weights.tables import Table
from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.architectures import PIPELINES
from modelhub.render.pipelines.flow.autoencoders import autoencoder_of
from modelhub.render.pipelines.flow.configs import transformer_config
from modelhub.render.pipelines.flow.encoders import UnitMatrix
from modelhub.render.pipelines.flow.names import rules_for
from modelhub.render.pipelines.flow.renaming import renamed
from tests.render.pipelines import (
    flux2_tables,
    krea2_tables,
    qwen21_tables,
    qwen_tables,
    sana_tables,
    wan_tables,
)
from tests.render.pipelines.flow_tables import (
    LUMINA,
    Approximator,
    Aura,
    Refined,
    auraflow,
    chroma,
    refined,
)
from tests.render.pipelines.shapes import Shape

pytestmark = pytest.mark.filterwarnings("ignore")

_WHOLE: dict[str, Table] = {
    "sd3": sd3.transformer(sd3.TRUE),
    "flux": flux.transformer(flux.TRUE),
    "flux2": flux2_tables.transformer(flux2_tables.Widths()),
    "chroma": chroma(flux.TRUE, Approximator()),
    "zimage": refined(Refined()),
    "lumina": refined(LUMINA),
    "auraflow": auraflow(Aura()),
    "qwen": qwen_tables.transformer(qwen_tables.Widths()),
    "qwen21": qwen21_tables.transformer(qwen21_tables.Widths()),
    "krea2": krea2_tables.transformer(krea2_tables.Widths()),
    "wan": wan_tables.transformer(wan_tables.Widths()),
    "sana": sana_tables.transformer(sana_tables.Widths()),
}
"""As published, every block of them."""
_WIDTHS = {"sd3": 1536, "lumina": 2304, "zimage": 3840}
_FEW: dict[str, Table] = {
    "sd3": sd3.transformer(replace(sd3.TRUE, blocks=2, head=64, twice=1)),
    "flux": flux.transformer(replace(flux.TRUE, double=2, single=2)),
    "flux2": flux2_tables.transformer(flux2_tables.Widths(double=2, single=2)),
    "chroma": chroma(replace(flux.TRUE, double=1, single=1), Approximator(layers=2)),
    "zimage": refined(Refined(layers=1)),
    "lumina": refined(replace(LUMINA, layers=1)),
    "auraflow": auraflow(Aura(double=1, single=2)),
    "qwen": qwen_tables.transformer(qwen_tables.Widths(blocks=1)),
    "qwen21": qwen21_tables.transformer(qwen21_tables.Widths(blocks=1)),
    "krea2": krea2_tables.transformer(krea2_tables.Widths(blocks=1)),
    "wan": wan_tables.transformer(wan_tables.Widths(blocks=1)),
    "sana": sana_tables.transformer(sana_tables.Widths(blocks=1)),
}
_CONVERTERS = {
    "sd3": "convert_sd3_transformer_checkpoint_to_diffusers",
    "flux": "convert_flux_transformer_checkpoint_to_diffusers",
    "flux2": "convert_flux2_transformer_checkpoint_to_diffusers",
    "chroma": "convert_chroma_transformer_checkpoint_to_diffusers",
    "zimage": "convert_z_image_transformer_checkpoint_to_diffusers",
    "lumina": "convert_lumina2_to_diffusers",
    "auraflow": "convert_auraflow_transformer_checkpoint_to_diffusers",
    "qwen21": "convert_qwen_image21_transformer_checkpoint_to_diffusers",
    "krea2": "convert_krea2_transformer_checkpoint_to_diffusers",
    "wan": "convert_wan_transformer_to_diffusers",
    "sana": "convert_sana_transformer_to_diffusers",
}


class _Numbers(Shape):
    """The first column of a tensor alone: its rows numbered, from a number of its own."""

    def __init__(self, shape: tuple[int, ...], first: int) -> None:
        super().__init__((shape[0], *(1 for _ in shape[1:])))
        self.numbers = np.arange(first, first + shape[0], dtype=np.float32).reshape(self.shape)

    def pieces(self) -> Iterator[bytes | memoryview]:
        yield self.numbers.tobytes()


def _read(values: Values) -> Any:
    data = b"".join(bytes(one) for one in values.pieces())
    return np.frombuffer(data, np.float32).reshape(values.shape)


@pytest.mark.parametrize("architecture", _CONVERTERS)
def test_each_row_comes_where_diffusers_own_conversion_puts_it(
    architecture: str, torch: Any
) -> None:
    from diffusers.loaders import single_file_utils

    numbers = {
        one.name: _Numbers(one.shape, place * 64) for place, one in enumerate(_FEW[architecture])
    }
    planned = {name: Planned(name, one, "F32") for name, one in numbers.items()}
    width = 128 if architecture == "sd3" else _WIDTHS.get(architecture, 3072)
    ours = {one.name: _read(one.values) for one in renamed(
        rules_for(architecture, planned), planned, width
    )}  # fmt: skip
    convert = getattr(single_file_utils, _CONVERTERS[architecture])
    theirs = convert({name: torch.from_numpy(one.numbers.copy()) for name, one in numbers.items()})
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert np.array_equal(ours[name], tensor.numpy()), name


def test_wans_vae_has_the_names_and_shapes_of_qwen_images(torch: Any) -> None:
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    from modelhub.render.pipelines.modules import empty_module

    planned = {
        one.name: Planned(one.name, Shape(one.shape), "F32") for one in qwen_tables.autoencoder(96)
    }
    made = autoencoder_of("qwen", planned, Identity())
    convert: Any = convert_wan_vae_to_diffusers
    theirs = convert({name: name for name in planned})
    assert {one.name for one in made.tensors} == set(theirs)
    module = empty_module(("diffusers", made.model_class), made.config)
    shapes = {name: tuple(one.shape) for name, one in module.state_dict().items()}
    assert {one.name: one.values.shape for one in made.tensors} == shapes
    again = {one.name: one for one in made.tensors}
    assert autoencoder_of("qwen", again, Identity()).config == made.config


@pytest.mark.parametrize("architecture", _WHOLE)
def test_the_published_shapes_make_the_module_that_has_them(architecture: str, torch: Any) -> None:
    from modelhub.render.pipelines.modules import empty_module

    shapes, config = _config(architecture, _WHOLE[architecture])
    module = empty_module(("diffusers", _class_of(architecture)), config)
    assert {name: tuple(one.shape) for name, one in module.state_dict().items()} == shapes


def _class_of(layout: str) -> str:
    if layout == "qwen21":
        return "QwenImage21Transformer2DModel"
    return PIPELINES[layout].transformer_class


def _config(architecture: str, table: Table) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    planned = {one.name: Planned(one.name, Shape(one.shape), "F32") for one in table}
    made = renamed(rules_for(architecture, planned), planned, _WIDTHS.get(architecture, 3072))
    shapes = {one.name: one.values.shape for one in made}
    return shapes, transformer_config(architecture, PartShapes(shapes))


_OWN: dict[str, dict[str, Any]] = {
    "sd3": {
        "num_layers": 24,
        "num_attention_heads": 24,
        "caption_projection_dim": 1536,
        "pos_embed_max_size": 192,
    },
    "flux": {"guidance_embeds": True},
    "lumina": {"cap_feat_dim": 2304},
}
"""Settings of the published models that are not the defaults of their class."""


@pytest.mark.parametrize("architecture", _WHOLE)
def test_the_settings_told_are_those_of_the_published_model(architecture: str, torch: Any) -> None:
    import diffusers

    _, config = _config(architecture, _WHOLE[architecture])
    kind = getattr(diffusers, _class_of(architecture))
    usual = {
        name: one.default
        for name, one in inspect.signature(kind.__init__).parameters.items()
        if one.default is not inspect.Parameter.empty
    } | _OWN.get(architecture, {})
    # None says of the output that it is as wide as the input.
    usual["out_channels"] = usual.get("out_channels") or usual.get("in_channels")
    for name, value in config.items():
        expected = usual[name]
        assert (list(expected) if isinstance(expected, tuple) else expected) == value, name


def test_schnell_has_no_embedding_of_the_guidance() -> None:
    _, config = _config("flux", flux.transformer(replace(flux.TRUE, guided=False)))
    assert config["guidance_embeds"] is False


def test_sd_3_5_norms_its_queries_and_attends_twice_in_its_first_blocks() -> None:
    medium = replace(sd3.TRUE, head=64, twice=13, places=384)
    _, config = _config("sd3", sd3.transformer(medium))
    assert config["qk_norm"] == "rms_norm"
    assert config["dual_attention_layers"] == list(range(13))
    assert config["pos_embed_max_size"] == 384


def test_names_of_diffusers_are_left_as_they_are(torch: Any) -> None:
    shapes, config = _config("flux", _FEW["flux"])
    planned = {name: Planned(name, Shape(shape), "F32") for name, shape in shapes.items()}
    assert rules_for("flux", planned) == {}
    again = {one.name: one.values.shape for one in renamed({}, planned, 0)}
    assert again == shapes
    assert transformer_config("flux", PartShapes(again)) == config


@pytest.mark.parametrize("architecture", _FEW)
def test_a_transformer_with_a_missing_tensor_is_told_by_its_name(architecture: str) -> None:
    # Without the norms of SD 3.5, which SD 3 does not have.
    table = [one for one in _FEW[architecture] if ".ln_" not in one.name]
    shapes, _ = _config(architecture, table)
    asked: list[str] = []

    class Asked(PartShapes):
        def extent(self, name: str, dimension: int = 0) -> int:
            asked.append(name)
            return super().extent(name, dimension)

    transformer_config(architecture, Asked(shapes))
    assert len(set(asked)) > 3
    for name in set(asked):
        rest = {key: shape for key, shape in shapes.items() if key != name}
        with pytest.raises(FormatError, match="is missing"):
            transformer_config(architecture, PartShapes(rest))


def test_rows_that_cannot_be_cut_are_refused() -> None:
    odd = {"double_blocks.0.img_attn.qkv.weight": Shape((10, 4))}
    planned = {name: Planned(name, one, "F32") for name, one in odd.items()}
    with pytest.raises(FormatError, match=r"img_attn\.qkv\.weight"):
        list(renamed(rules_for("flux", planned), planned, 4))


@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_a_unit_matrix_has_ones_on_its_diagonal(dtype: str) -> None:
    data = b"".join(bytes(one) for one in UnitMatrix(700, dtype).pieces())
    kind = np.float32 if dtype == "F32" else np.float16
    assert np.array_equal(np.frombuffer(data, kind).reshape(700, 700), np.eye(700, dtype=kind))


_NAMES = st.lists(
    st.sampled_from(
        ("joint_blocks", "double_blocks", "single_blocks", "x_block", "attn", "qkv", "linear1",
         "layers", "attention", "0", "17", "٣", "²", "99999", "weight", "scale", "", "#")
    ),
    min_size=1,
    max_size=7,
).map(".".join)  # fmt: skip


@given(
    st.sampled_from(sorted(_FEW)),
    st.dictionaries(_NAMES, st.lists(st.integers(0, 9), max_size=3).map(tuple), max_size=8),
    st.integers(0, 9),
)
def test_hostile_names_and_shapes_are_renamed_or_refused(
    architecture: str, shapes: dict[str, tuple[int, ...]], width: int
) -> None:
    planned = {name: Planned(name, Shape(shape), "F32") for name, shape in shapes.items()}
    try:
        made = list(renamed(rules_for(architecture, planned), planned, width))
        transformer_config(architecture, PartShapes({one.name: one.values.shape for one in made}))
    except FormatError:
        return
