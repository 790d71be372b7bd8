"""8-bit weights with a factor beside each, as ComfyUI's files have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.convert.readers import open_source
from modelhub.convert.values import Planned, Values
from modelhub.errors import CannotRender
from modelhub.formats.tensor_data import ITEM_SIZES
from modelhub.render.pipelines.flow.scaled import multiplied
from modelhub.render.request import Recipe
from tests.render.pipelines.conftest import SIZE, Assembler, called, weights_in
from tests.render.pipelines.flow_models import Shelf

pytestmark = pytest.mark.filterwarnings("ignore")


def _scaled(path: str, folder: Path, name: str, *, form: str, prefix: str = "") -> tuple[str, str]:
    """The file with 8-bit matrices and factors, and one in fp32 with the products.

    :param form: ``old``, ``new``, or ``rows``: new, with a factor for each row.
    """
    import torch
    from safetensors.torch import load_file, save_file

    packed: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    for key, tensor in load_file(path).items():
        layer = key.removesuffix(".weight")
        if tensor.dim() < 2 or key == layer or "img_in" in key:
            # Some layers are left wide.
            packed[prefix + key] = tensor.bfloat16()
            plain[key] = tensor.bfloat16().float()
            continue
        most = tensor.abs().amax(dim=1, keepdim=True) if form == "rows" else tensor.abs().max()
        factor = (most / 448).float()
        eight = (tensor / factor).to(torch.float8_e4m3fn)
        plain[key] = eight.float() * factor
        packed[prefix + key] = eight
        said, of_input = ("scale_weight", "scale_input")
        if form != "old":
            said, of_input = "weight_scale", "input_scale"
            told = json.dumps({"format": "float8_e4m3fn", "full_precision_matrix_mult": True})
            packed[f"{prefix}{layer}.comfy_quant"] = torch.tensor(
                list(told.encode()), dtype=torch.uint8
            )
        packed[f"{prefix}{layer}.{said}"] = factor.clone()
        packed[f"{prefix}{layer}.{of_input}"] = torch.tensor(0.5)
    if form == "old":
        packed[f"{prefix}scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    files = (str(folder / f"{name}_scaled.safetensors"), str(folder / f"{name}.safetensors"))
    with open_source(Path(path)) as source:
        metadata = dict(source.header.metadata)
    for file, tensors in zip(files, (packed, plain), strict=True):
        save_file(tensors, file, metadata)
    return files


@pytest.mark.parametrize(
    ("architecture", "form", "prefix"),
    [("flux", "old", ""), ("flux", "rows", ""), ("zimage", "new", "model.diffusion_model.")],
)
def test_scaled_weights_are_their_products_and_make_their_picture(
    architecture: str,
    form: str,
    prefix: str,
    shelf: Shelf,
    assembler: Assembler,
    tmp_path: Path,
    torch: Any,
) -> None:
    recipe = shelf.recipe(architecture)
    files = _scaled(recipe.model, tmp_path, architecture, form=form, prefix=prefix)
    packed, plain = (
        assembler(Recipe(model=file, vae=recipe.vae, parts=recipe.parts)) for file in files
    )
    assert packed.label == "fp8 weights, fp32 arithmetic"
    expected = weights_in(plain, "transformer")
    for name, tensor in weights_in(packed, "transformer").items():
        assert torch.equal(tensor, expected[name]), name
    pictures = [called(one.pipe, width=SIZE, height=SIZE) for one in (packed, plain)]
    assert torch.equal(*pictures)
    assert pictures[0].std() > 0.01


@pytest.mark.parametrize("form", ["old", "rows"])
def test_a_scaled_text_encoder_has_the_products(
    form: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.flux()
    files = _scaled(recipe.parts["text_encoder_2"], tmp_path, "t5", form=form)
    packed, plain = (assembler(shelf.flux({"text_encoder_2": file})) for file in files)
    assert packed.arithmetic["text_encoder_2"].weights == "fp8"
    found, expected = (weights_in(one, "text_encoder_2") for one in (packed, plain))
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


class _Bytes(Values):
    """Values that are given."""

    def __init__(self, dtype: str, shape: tuple[int, ...], data: bytes = b"") -> None:
        self.dtype, self.shape, self._data = dtype, shape, data

    def pieces(self) -> Iterator[bytes | memoryview]:
        yield self._data or bytes(self.nbytes)


def _planned(**tensors: Values) -> dict[str, Planned]:
    names = {key.replace("__", "."): one for key, one in tensors.items()}
    return {name: Planned(name, one, one.dtype) for name, one in names.items()}


_EIGHT = _Bytes("F8_E4M3", (32, 64))
_ONE = _Bytes("F32", ())


def _format(said: object) -> Values:
    data = json.dumps(said).encode()
    return _Bytes("U8", (len(data),), data)


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        (
            _planned(a__weight=_Bytes("U8", (32, 32)), a__weight_scale=_Bytes("F8_E4M3", (32, 4)),
                     a__weight_scale_2=_ONE),
            "nvfp4",
        ),
        (_planned(a__weight=_EIGHT, a__weight_scale=_Bytes("F8_E8M0", (32, 2))), "F8_E8M0"),
        (_planned(a__weight=_EIGHT, a__weight_scale=_Bytes("F32", (1, 2))), "of blocks"),
        (_planned(a__weight=_EIGHT, a__scale_weight=_Bytes("F32", (32, 2))), "of blocks"),
        (_planned(a__weight=_Bytes("I8", (32, 64)), a__weight_scale=_ONE), "I8"),
        (_planned(a__scale_weight=_ONE), "no such tensor"),
        (_planned(a__weight=_EIGHT, a__comfy_quant=_format({"format": "mxfp8"})), "'mxfp8'"),
        (_planned(a__weight=_EIGHT, a__comfy_quant=_format([1])), "'None'"),
        (_planned(a__weight=_EIGHT, a__comfy_quant=_Bytes("U8", (3,), b"{'a")), "no format"),
        (_planned(a__weight=_EIGHT, a__comfy_quant=_Bytes("U8", (1 << 20,))), "no format"),
    ],
)  # fmt: skip
def test_other_ways_to_quantise_are_refused_in_words(
    tensors: dict[str, Planned], told: str
) -> None:
    with pytest.raises(CannotRender, match="quantised in a way") as refused:
        multiplied("a.safetensors", tensors)
    assert told in refused.value.message
    assert "GGUF" in refused.value.hint


_TYPES = st.sampled_from(sorted(ITEM_SIZES))
_SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
_NAMES = st.tuples(
    st.sampled_from(("a", "b", "")),
    st.sampled_from(
        (".weight", ".weight_scale", ".scale_weight", ".scale_input", ".comfy_quant",
         ".weight_scale_2", "scaled_fp8")
    ),
).map("".join)  # fmt: skip


@given(st.dictionaries(_NAMES, st.tuples(_TYPES, _SHAPES), max_size=6))
def test_hostile_factors_are_multiplied_or_refused(
    tensors: dict[str, tuple[str, tuple[int, ...]]],
) -> None:
    planned = {
        name: Planned(name, _Bytes(dtype, shape), dtype) for name, (dtype, shape) in tensors.items()
    }
    try:
        made = multiplied("a.safetensors", planned)
    except CannotRender:
        return
    for name, one in made.items():
        assert one.values.shape == tensors[name][1]
        assert sum(len(piece) for piece in one.values.pieces()) == one.values.nbytes
