"""Models whose weights are quantised GGUF files: small ones of the true layouts, for real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.convert.options import Precision
from modelhub.render.pipelines.assembling import Assembled
from modelhub.render.request import Recipe
from tests.formats.quantised import arrays_of, write_gguf
from tests.formats.written import GgufWriter
from tests.render.pipelines.conftest import SIZE, Assembler, Files, called, weights_in
from tests.render.pipelines.flow_models import Shelf

pytestmark = pytest.mark.filterwarnings("ignore")

_ARCHITECTURES = {"flux": "flux", "qwen": "qwen-image", "zimage": "z-image"}


def _picture(assembled: Assembled) -> Any:
    return called(assembled.pipe, steps=2, width=SIZE, height=SIZE)


def _as_gguf(recipe: Recipe, folder: Path, architecture: str) -> tuple[Recipe, dict[str, Any]]:
    """The recipe with its transformer quantised to Q8_0, and the numbers that this one has."""
    path = folder / f"{architecture}.gguf"
    writer = GgufWriter().string("modelspec.architecture", _ARCHITECTURES[architecture])
    told = write_gguf(path, arrays_of(recipe.model), writer=writer)
    return Recipe(model=str(path), vae=recipe.vae, parts=recipe.parts), told


@pytest.mark.parametrize("architecture", _ARCHITECTURES)
def test_a_quantised_transformer_gives_nearly_the_picture_of_the_whole_one(
    architecture: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.recipe(architecture)
    whole = assembler(recipe)
    expected, exact = _picture(whole), weights_in(whole, "transformer")
    quantised, told = _as_gguf(recipe, tmp_path, architecture)
    made = assembler(quantised)
    assert made.label == "Q8_0 weights, fp32 arithmetic"
    found = weights_in(made, "transformer")
    assert sum(one.numel() for one in found.values()) == sum(map(np.size, told.values())) - (
        # The norm before the last layer, which Z-Image has and nobody uses.
        64 if architecture == "zimage" else 0
    )
    changed = [name for name, one in found.items() if not torch.equal(one, exact[name])]
    assert changed
    assert all(torch.allclose(found[name], exact[name], atol=0.02) for name in changed)
    picture = _picture(made)
    assert not torch.equal(picture, expected)
    assert (picture - expected).abs().mean() < 0.02 < expected.std()


def test_its_weights_are_the_very_numbers_that_the_file_stands_for(
    shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    """Fused and swapped ones, too: as of a file that has these numbers in fp32."""
    recipe, told = _as_gguf(shelf.flux(), tmp_path, "flux")
    plain = write_gguf(tmp_path / "plain.gguf", told, "F32")
    assert all(np.array_equal(plain[name], told[name]) for name in told)
    other = Recipe(model=str(tmp_path / "plain.gguf"), vae=recipe.vae, parts=recipe.parts)
    made, same = assembler(recipe), assembler(other)
    assert same.label == "fp32"
    expected = weights_in(same, "transformer")
    for name, tensor in weights_in(made, "transformer").items():
        assert torch.equal(tensor, expected[name]), name
    assert torch.equal(_picture(made), _picture(same))


def test_precisions_are_compared_by_rounding_what_was_dequantised(
    shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe, _ = _as_gguf(shelf.flux(), tmp_path, "flux")
    stored = weights_in(assembler(recipe), "transformer")
    rounded = assembler(
        Recipe(model=recipe.model, vae=recipe.vae, parts=recipe.parts, precision=Precision.FP16)
    )
    assert assembler.bytes_read == 0
    assert rounded.label == "fp16 weights, fp32 arithmetic"
    for name, tensor in weights_in(rounded, "transformer").items():
        assert torch.equal(tensor, stored[name].half().float()), name
    wide = assembler(
        Recipe(model=recipe.model, vae=recipe.vae, parts=recipe.parts, precision=Precision.FP32)
    )
    assert wide.parts["transformer"] is assembler(recipe).parts["transformer"]


_ENCODERS = {
    "flux": ("text_encoder_2", "T5ENCODER"),
    "zimage": ("text_encoder", "QWEN3"),
    "qwen": ("text_encoder", "QWEN2VL"),
    "lumina": ("text_encoder", "GEMMA2"),
    "flux2": ("text_encoder", "LLAMA"),
}
"""The part, and what llama.cpp calls its architecture."""


def llama_cpp_names(architecture: str) -> Callable[[str], str]:
    """What llama.cpp's converter calls the tensors of an architecture's language model."""
    from gguf.constants import MODEL_ARCH
    from gguf.tensor_mapping import get_tensor_name_map

    table = get_tensor_name_map(MODEL_ARCH[_ENCODERS[architecture][1]], 40)

    def named(name: str) -> str:
        found = table.get_name(name, (".weight", ".bias"))
        assert found is not None, name
        return found

    return named


def _converted(architecture: str, name: str, array: Any) -> Any:
    """What llama.cpp's converter makes of a tensor's numbers."""
    if architecture == "lumina" and name.endswith("norm.weight"):
        return array + 1
    if architecture == "flux2" and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = array.reshape(len(array) // 128, 2, 64, -1)
        return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(array.shape))
    return array


@pytest.mark.parametrize("architecture", _ENCODERS)
def test_a_text_encoder_with_the_names_of_llama_cpp_reads_as_the_original(
    architecture: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    part, named = _ENCODERS[architecture][0], llama_cpp_names(architecture)
    recipe = shelf.recipe(architecture)
    arrays = {
        # The converter leaves out what a model sees with.
        name: _converted(architecture, name, array)
        for name, array in arrays_of(recipe.parts[part]).items()
        if not name.startswith("visual.")
    }
    write_gguf(tmp_path / "plain.gguf", arrays, "F32", named=named)
    write_gguf(tmp_path / "packed.gguf", arrays, "Q8_0", named=named)
    exact = weights_in(assembler(recipe), part)
    for file, tolerance in (("plain.gguf", 1e-6), ("packed.gguf", 0.02)):
        parts = {**recipe.parts, part: str(tmp_path / file)}
        made = assembler(Recipe(model=recipe.model, vae=recipe.vae, parts=parts))
        found = weights_in(made, part)
        assert found.keys() == exact.keys()
        for name, tensor in found.items():
            assert torch.allclose(tensor, exact[name], atol=tolerance), name
        assert made.arithmetic[part].weights == ("fp32" if file == "plain.gguf" else "Q8_0")
    assert _picture(made).std() > 0.01


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_unet_of_stable_diffusion_has_the_numbers_of_its_file_and_renders(
    kind: str, files: Files, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    prefix = "model.diffusion_model."
    whole = str(files.of(kind))
    unet = {
        name.removeprefix(prefix): one
        for name, one in arrays_of(whole).items()
        if name.startswith(prefix)
    }
    told = write_gguf(tmp_path / "unet.gguf", unet, "Q8_0")
    write_gguf(tmp_path / "plain.gguf", told, "F32")
    parts = {"text_encoder": whole} | ({"text_encoder_2": whole} if kind == "sdxl" else {})
    recipe = Recipe(model=str(tmp_path / "unet.gguf"), vae=whole, parts=parts)
    made = assembler(recipe)
    assert made.label == "Q8_0 weights, fp32 arithmetic"
    found, expected = (
        weights_in(one) for one in (made, assembler(replace_model(recipe, tmp_path / "plain.gguf")))
    )
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name
    assert any(one.dim() == 4 for one in found.values())
    if kind == "sd1":
        assert called(made.pipe, width=SIZE, height=SIZE).std() > 0.01


def replace_model(recipe: Recipe, model: Path) -> Recipe:
    """The same parts around another file."""
    return Recipe(model=str(model), vae=recipe.vae, parts=recipe.parts)
