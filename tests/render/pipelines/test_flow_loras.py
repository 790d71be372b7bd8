"""LoRAs on transformers of flow matching, under the names that trainers give their layers.

Each is compared with weights that are merged by hand, from the arrays that the file was made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelhub.errors import AddonMisfit
from modelhub.render.addons import apply_to
from modelhub.render.pipelines.assembling import Assembled
from modelhub.render.request import Recipe, Weighted
from tests.formats.weights import write_safetensors
from tests.render.pipelines.conftest import SIZE, Assembler, called
from tests.render.pipelines.flow_models import Shelf

pytestmark = pytest.mark.filterwarnings("ignore")

RANK, ALPHA, STRENGTH = 4, 2.0, 0.75
Array = NDArray[Any]


def _draw(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * np.float32(0.3)


def _diffusers(stem: str, up: Array, down: Array) -> dict[str, Array]:
    """PEFT's names have no alpha: it is multiplied in."""
    return {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up * ALPHA / RANK}


def _with_alpha(stem: str, up: Array, down: Array) -> dict[str, Array]:
    return {
        f"{stem}.lora_down.weight": down,
        f"{stem}.lora_up.weight": up,
        f"{stem}.alpha": np.array(ALPHA, "<f4"),
    }


@dataclass(frozen=True)
class Layout:
    """How a program names the layers of a LoRA.

    :param stem: of a layer's tensors, of the name of its module.
    """

    stem: Callable[[str], str]
    tensors: Callable[[str, Array, Array], dict[str, Array]]


LAYOUTS = {
    "diffusers": Layout(lambda name: f"transformer.{name}", _diffusers),
    "PEFT": Layout(lambda name: f"base_model.model.{name}", _diffusers),
    "ComfyUI": Layout(lambda name: f"diffusion_model.{name}", _with_alpha),
    "kohya": Layout(lambda name: f"lora_unet_{name.replace('.', '_')}", _with_alpha),
    "musubi": Layout(lambda name: f"lora_unet__{name.replace('.', '_')}", _with_alpha),
    "LyCORIS": Layout(lambda name: f"lycoris_{name.replace('.', '_')}", _with_alpha),
}

_OWN = {
    "qwen": ("transformer_blocks.1.attn.to_q", "transformer_blocks.0.attn.to_out.0",
             "transformer_blocks.0.attn.add_k_proj", "transformer_blocks.1.img_mlp.net.0.proj",
             "transformer_blocks.0.txt_mlp.net.2", "transformer_blocks.0.img_mod.1"),
    "qwen21": ("transformer_blocks.0.attn.to_q", "transformer_blocks.1.img_mlp.gate_layer",
               "txt_in.in_layer"),
    "krea2": ("transformer_blocks.0.attn.to_gate", "transformer_blocks.1.ff.down",
              "text_fusion.refiner_blocks.0.attn.to_v"),
    "zimage": ("layers.0.attention.to_q", "layers.0.attention.to_out.0", "layers.0.feed_forward.w1",
               "noise_refiner.1.attention.to_v", "layers.0.adaLN_modulation.0"),
    "flux": ("transformer_blocks.0.attn.to_q", "transformer_blocks.0.ff.net.0.proj",
             "single_transformer_blocks.0.attn.to_k", "single_transformer_blocks.0.proj_mlp",
             "x_embedder"),
}  # fmt: skip
"""Modules under the names of diffusers."""

_ORIGINAL: dict[str, dict[str, tuple[str, ...]]] = {
    "flux": {
        "double_blocks.0.img_attn.qkv": tuple(
            f"transformer_blocks.0.attn.to_{one}" for one in "qkv"
        ),
        "double_blocks.0.txt_attn.qkv": tuple(
            f"transformer_blocks.0.attn.add_{one}_proj" for one in "qkv"
        ),
        "double_blocks.0.img_mlp.0": ("transformer_blocks.0.ff.net.0.proj",),
        "single_blocks.0.linear1": (
            *(f"single_transformer_blocks.0.attn.to_{one}" for one in "qkv"),
            "single_transformer_blocks.0.proj_mlp",
        ),
        "single_blocks.0.linear2": ("single_transformer_blocks.0.proj_out",),
    },
    "zimage": {
        "layers.0.attention.qkv": tuple(f"layers.0.attention.to_{one}" for one in "qkv"),
        "layers.0.attention.out": ("layers.0.attention.to_out.0",),
        "context_refiner.1.attention.qkv": tuple(
            f"context_refiner.1.attention.to_{one}" for one in "qkv"
        ),
    },
    "sd3": {
        "joint_blocks.0.x_block.attn.qkv": tuple(
            f"transformer_blocks.0.attn.to_{one}" for one in "qkv"
        ),
    },
    "qwen21": {
        "transformer_blocks.0.img_mlp.gate_up": tuple(
            f"transformer_blocks.0.img_mlp.{one}" for one in ("gate_layer", "proj")
        ),
    },
    "krea2": {
        "blocks.0.attn.wq": ("transformer_blocks.0.attn.to_q",),
        "blocks.1.mlp.down": ("transformer_blocks.1.ff.down",),
        "txtfusion.layerwise_blocks.1.attn.wo": ("text_fusion.layerwise_blocks.1.attn.to_out.0",),
        "tproj.1": ("time_mod_proj",),
    },
    "lumina": {
        "layers.0.attention.qkv": tuple(f"layers.0.attn.to_{one}" for one in "qkv"),
    },
}
"""Layers of the original code, and the modules of diffusers that have their rows in that order."""


def _weights(assembled: Assembled) -> dict[str, Array]:
    module = assembled.parts["transformer"].module
    return {name: one.detach().numpy().copy() for name, one in module.named_parameters()}


def _applied(recipe: Recipe, arrays: Mapping[str, Array], path: Path, assembler: Assembler) -> Any:
    lora = Weighted(str(write_safetensors(path, dict(arrays))), STRENGTH)
    assembled = assembler(Recipe(model=recipe.model, vae=recipe.vae, parts=recipe.parts))
    before = _weights(assembled)
    applied = apply_to(assembled, [lora])
    assert applied.notices == ()
    return assembled, before, applied


def _picture(assembled: Assembled) -> Any:
    return called(assembled.pipe, steps=2, width=SIZE, height=SIZE)


def _expect(assembled: Assembled, before: dict[str, Array], changed: Mapping[str, Array]) -> None:
    """The weights are these differences added to those before, and all others as they were."""
    after = _weights(assembled)
    for name, one in after.items():
        expected = before[name]
        difference = changed.get(name.removesuffix(".weight"))
        if difference is None or not name.endswith(".weight"):
            assert np.array_equal(one, expected), name
        else:
            assert not np.array_equal(one, expected), name
            np.testing.assert_allclose(one, expected + difference, rtol=2e-6, atol=2e-6)


def _pairs(names: Mapping[str, tuple[int, int]]) -> dict[str, tuple[Array, Array]]:
    return {
        name: (_draw(rows, RANK, seed=place), _draw(RANK, columns, seed=place + 50))
        for place, (name, (rows, columns)) in enumerate(names.items())
    }


@pytest.mark.parametrize(
    ("architecture", "layout"),
    # All layouts of one model, and of the others the two that differ most.
    [
        (architecture, layout)
        for architecture in _OWN
        for layout in LAYOUTS
        if architecture == "flux" or layout in ("diffusers", "kohya")
    ],
)
def test_a_lora_changes_the_modules_that_it_names(
    architecture: str, layout: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.recipe(architecture)
    shapes = {
        name: one.shape
        for name, one in assembler(recipe).parts["transformer"].module.state_dict().items()
    }
    pairs = _pairs({name: shapes[f"{name}.weight"] for name in _OWN[architecture]})
    form = LAYOUTS[layout]
    arrays = {
        key: one
        for name, (up, down) in pairs.items()
        for key, one in form.tensors(form.stem(name), up, down).items()
    }
    assembled, before, applied = _applied(recipe, arrays, tmp_path / "x.safetensors", assembler)
    assert applied.changed == len(pairs)
    scale = STRENGTH * ALPHA / RANK
    _expect(assembled, before, {name: scale * (up @ down) for name, (up, down) in pairs.items()})
    apply_to(assembled, ())
    _expect(assembled, before, {})


@pytest.mark.parametrize(
    ("architecture", "layout"),
    [*((architecture, "musubi") for architecture in _ORIGINAL), ("flux", "ComfyUI")],
)
def test_a_layer_of_the_original_code_is_cut_into_the_modules_that_have_its_rows(
    architecture: str, layout: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.recipe(architecture)
    layers = _ORIGINAL[architecture]
    state = assembler(recipe).parts["transformer"].module.state_dict()
    sizes = {
        name: (sum(len(state[f"{one}.weight"]) for one in modules),
               state[f"{modules[0]}.weight"].shape[1])
        for name, modules in layers.items()
    }  # fmt: skip
    form = LAYOUTS[layout]
    arrays: dict[str, Array] = {}
    changed: dict[str, Array] = {}
    for name, (up, down) in _pairs(sizes).items():
        arrays |= form.tensors(form.stem(name), up, down)
        edges = np.cumsum([len(state[f"{one}.weight"]) for one in layers[name]])[:-1]
        parts = np.split(STRENGTH * ALPHA / RANK * (up @ down), edges)
        changed |= dict(zip(layers[name], parts, strict=True))
    assembled, before, applied = _applied(recipe, arrays, tmp_path / "x.safetensors", assembler)
    assert applied.changed == len(changed)
    _expect(assembled, before, changed)


def _lokr(stem: str, rows: int, columns: int) -> tuple[dict[str, Array], Array]:
    one, other = _draw(4, 4, seed=1), _draw(rows // 4, columns // 4, seed=2)
    arrays = {f"{stem}.lokr_w1": one, f"{stem}.lokr_w2": other}
    return arrays, STRENGTH * np.kron(one, other)


def _loha(stem: str, rows: int, columns: int) -> tuple[dict[str, Array], Array]:
    ups = [_draw(rows, RANK, seed=place) for place in (1, 2)]
    downs = [_draw(RANK, columns, seed=place) for place in (3, 4)]
    arrays = {f"{stem}.hada_w{n + 1}_a": one for n, one in enumerate(ups)}
    arrays |= {f"{stem}.hada_w{n + 1}_b": one for n, one in enumerate(downs)}
    return arrays, STRENGTH * (ups[0] @ downs[0]) * (ups[1] @ downs[1])


@pytest.mark.parametrize("family", [_lokr, _loha])
@pytest.mark.parametrize(
    ("architecture", "layer", "modules"),
    [
        ("qwen", "transformer_blocks.0.attn.to_q", ("transformer_blocks.0.attn.to_q",)),
        ("flux", "double_blocks.0.img_attn.qkv", _ORIGINAL["flux"]["double_blocks.0.img_attn.qkv"]),
        ("zimage", "layers.0.attention.qkv", _ORIGINAL["zimage"]["layers.0.attention.qkv"]),
    ],
)
def test_a_lycoris_is_cut_as_a_whole(
    architecture: str, layer: str, modules: tuple[str, ...], family: Any, shelf: Shelf,
    assembler: Assembler, tmp_path: Path, torch: Any,
) -> None:  # fmt: skip
    recipe = shelf.recipe(architecture)
    state = assembler(recipe).parts["transformer"].module.state_dict()
    sizes = [len(state[f"{one}.weight"]) for one in modules]
    columns = state[f"{modules[0]}.weight"].shape[1]
    arrays, whole = family(f"lycoris_{layer.replace('.', '_')}", sum(sizes), columns)
    assembled, before, _ = _applied(recipe, arrays, tmp_path / "x.safetensors", assembler)
    parts = np.split(whole, np.cumsum(sizes)[:-1])
    _expect(assembled, before, dict(zip(modules, parts, strict=True)))


def test_the_magnitudes_of_a_dora_are_cut_with_its_rows(
    shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.recipe("flux")
    layer = "double_blocks.0.img_attn.qkv"
    modules = _ORIGINAL["flux"][layer]
    state = assembler(recipe).parts["transformer"].module.state_dict()
    own = np.concatenate([state[f"{one}.weight"].numpy() for one in modules])
    up, down = _draw(len(own), RANK, seed=1), _draw(RANK, own.shape[1], seed=2)
    magnitudes = np.abs(_draw(len(own), 1, seed=3)) + np.float32(0.5)
    arrays = _with_alpha(f"diffusion_model.{layer}", up, down)
    arrays[f"diffusion_model.{layer}.dora_scale"] = magnitudes
    assembled, before, _ = _applied(recipe, arrays, tmp_path / "x.safetensors", assembler)
    summed = own + ALPHA / RANK * (up @ down)
    made = summed * (magnitudes / np.linalg.norm(summed, axis=1, keepdims=True))
    parts = np.split(STRENGTH * (made - own), 3)
    _expect(assembled, before, dict(zip(modules, parts, strict=True)))


@pytest.mark.parametrize("architecture", ["qwen", "zimage", "flux"])
def test_the_picture_is_that_of_weights_merged_by_hand(
    architecture: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.recipe(architecture)
    plain = assembler(recipe)
    state = plain.parts["transformer"].module.state_dict()
    names = _OWN[architecture]
    pairs = _pairs({name: tuple(state[f"{name}.weight"].shape) for name in names})
    arrays = {
        key: one
        for name, (up, down) in pairs.items()
        for key, one in _diffusers(f"transformer.{name}", up, down).items()
    }
    before = _picture(plain)
    assembled, _, _ = _applied(recipe, arrays, tmp_path / "x.safetensors", assembler)
    ours = _picture(assembled)
    apply_to(assembled, ())
    other = Assembler()(recipe)
    module = other.parts["transformer"].module
    for name, (up, down) in pairs.items():
        weight = module.get_parameter(f"{name}.weight")
        difference = torch.from_numpy(STRENGTH * ALPHA / RANK * (up @ down))
        weight.data = weight.data + difference
    assert torch.allclose(ours, _picture(other), atol=1e-4)
    assert (ours - before).abs().max() > 0.01


def test_a_layer_of_another_size_is_refused(
    shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    arrays = _with_alpha(
        "diffusion_model.double_blocks.0.img_attn.qkv", _draw(60, RANK, seed=1),
        _draw(RANK, 64, seed=2),
    )  # fmt: skip
    assembled = assembler(shelf.recipe("flux"))
    before = _weights(assembled)
    path = write_safetensors(tmp_path / "x.safetensors", arrays)
    with pytest.raises(AddonMisfit, match="shapes differ"):
        apply_to(assembled, [Weighted(str(path), 1.0)])
    _expect(assembled, before, {})
