"""LoRAs of Flux and FLUX.2, under the names of the original code, of kohya and of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import AddonMisfit
from modelhub.render.addons import apply_to
from modelhub.render.pipelines.assembling import Assembled
from modelhub.render.request import Recipe, Weighted
from tests.render.pipelines.conftest import Assembler, weights_in
from tests.render.pipelines.flow_models import Shelf

pytestmark = pytest.mark.filterwarnings("ignore")

_ORIGINAL = ("double_blocks.0.img_attn.qkv", "double_blocks.0.txt_mlp.2", "single_blocks.0.linear1")
_NAMED = {
    "klein": "flux-2-klein-4b/lora",
    "flux2": "flux-2-dev/lora",
    "flux": "flux-1-dev/lora",
}
_RANK = 2


def _layers(model: str, names: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """For each layer of the original, the two factors of a change to it."""
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(11)
    tensors = load_file(model)
    return {
        name: (torch.randn(_RANK, columns), torch.randn(rows, _RANK))
        for name in names
        for rows, columns in [tensors[f"{name}.weight"].shape]
    }


def _lora(path: Path, kind: str, factors: dict[str, tuple[Any, Any]]) -> Weighted:
    from safetensors.torch import save_file

    tensors = {}
    for stem, (down, up) in factors.items():
        tensors[f"{stem}.lora_A.weight"] = down.contiguous()
        tensors[f"{stem}.lora_B.weight"] = up.contiguous()
    save_file(tensors, path, {"modelspec.architecture": _NAMED[kind]})
    return Weighted(str(path), 0.5)


def _expected(
    recipe: Recipe, layers: dict[str, tuple[Any, Any]], folder: Path, assembler: Assembler
) -> dict[str, Any]:
    """The weights of the transformer whose file has the change in it."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    tensors = load_file(recipe.model)
    for name, (down, up) in layers.items():
        tensors[f"{name}.weight"] = tensors[f"{name}.weight"] + 0.5 * up @ down
    with safe_open(recipe.model, "pt") as opened:
        metadata = opened.metadata()
    save_file(tensors, folder / "merged.safetensors", metadata)
    merged = Recipe(model=str(folder / "merged.safetensors"), vae=recipe.vae, parts=recipe.parts)
    return weights_in(assembler(merged), "transformer")


def _assert_close(found: Assembled, expected: dict[str, Any], torch: Any) -> None:
    weights = weights_in(found, "transformer")
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        assert torch.allclose(tensor, expected[name], atol=1e-5), name


@pytest.mark.parametrize("kind", _NAMED)
@pytest.mark.parametrize("spelled", ["diffusion_model.{}", "lora_unet_{}"])
def test_a_lora_in_the_names_of_the_original_is_the_one_that_is_merged_into_the_file(
    kind: str, spelled: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.recipe(kind)
    layers = _layers(recipe.model, _ORIGINAL)
    flat = "lora_unet" in spelled
    factors = {
        spelled.format(name.replace(".", "_") if flat else name): one
        for name, one in layers.items()
    }
    lora = _lora(tmp_path / "lora.safetensors", kind, factors)
    made = assembler(recipe)
    before = {name: one.clone() for name, one in weights_in(made, "transformer").items()}
    expected = _expected(recipe, layers, tmp_path, assembler)
    applied = apply_to(made, (lora,))
    _assert_close(made, expected, torch)
    after = weights_in(made, "transformer")
    assert applied.changed == sum(not torch.equal(after[name], before[name]) for name in before)
    assert applied.notices == ()
    apply_to(made, ())
    for name, tensor in weights_in(made, "transformer").items():
        assert torch.equal(tensor, before[name]), name


_DIFFUSERS = {
    "klein": (
        "transformer_blocks.0.ff_context.linear_out",
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj",
    ),
    "flux": ("transformer_blocks.0.ff_context.net.2",),
}


@pytest.mark.parametrize("kind", _DIFFUSERS)
def test_a_lora_in_the_names_of_diffusers_changes_nothing_beside_its_own_layers(
    kind: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.recipe(kind)
    names = _DIFFUSERS[kind]
    layers = _layers(recipe.model, _ORIGINAL[1 : 1 + len(names)])
    factors = dict(zip(names, layers.values(), strict=True))
    # The second third of what is one layer in the original, alone.
    [(down, up)] = _layers(recipe.model, _ORIGINAL[:1]).values()
    width = up.shape[0] // 3
    factors["transformer_blocks.0.attn.to_k"] = (down, up[width : 2 * width])
    alone = torch.zeros_like(up)
    alone[width : 2 * width] = up[width : 2 * width]
    lora = _lora(
        tmp_path / "lora.safetensors",
        kind,
        {f"transformer.{name}": one for name, one in factors.items()},
    )
    made = assembler(recipe)
    held = {name: one.data_ptr() for name, one in made.pipe.transformer.named_parameters()}
    expected = _expected(recipe, {**layers, _ORIGINAL[0]: (down, alone)}, tmp_path, assembler)
    apply_to(made, (lora,))
    _assert_close(made, expected, torch)
    moved = {
        name
        for name, one in made.pipe.transformer.named_parameters()
        if one.data_ptr() != held[name]
    }
    assert moved == {f"{name}.weight" for name in factors}
    apply_to(made, ())


def test_a_lora_of_flux_1_is_refused_for_flux_2(
    shelf: Shelf, assembler: Assembler, tmp_path: Path
) -> None:
    layers = _layers(shelf.recipe("flux").model, _ORIGINAL)
    factors = {f"diffusion_model.{name}": one for name, one in layers.items()}
    lora = _lora(tmp_path / "lora.safetensors", "flux", factors)
    with pytest.raises(AddonMisfit, match="does not go into"):
        apply_to(assembler(shelf.recipe("klein")), (lora,))
