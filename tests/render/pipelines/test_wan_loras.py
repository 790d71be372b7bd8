"""LoRAs of Wan, under the names of its makers, of kohya's trainer and of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.tables import Tensor
from modelhub.render.addons import apply_to
from modelhub.render.pipelines.flow.wan import TRANSFORMER
from modelhub.render.request import Weighted
from tests.render.pipelines import wan_models
from tests.render.pipelines.conftest import Assembler
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.wan_tables import TINY

pytestmark = pytest.mark.filterwarnings("ignore")

_RANK = 2
_LAYERS = {
    "blocks.0.self_attn.q": ("blocks.0.attn1.to_q", TINY.width, TINY.width),
    "blocks.1.cross_attn.o": ("blocks.1.attn2.to_out.0", TINY.width, TINY.width),
    "blocks.1.ffn.0": ("blocks.1.ffn.net.0.proj", TINY.inner, TINY.width),
    "time_projection.1": ("condition_embedder.time_proj", TINY.width * 6, TINY.width),
}
"""By the names of the makers: what diffusers calls them, rows and columns."""


def _named(style: str, name: str) -> tuple[str, str, str]:
    if style == "kohya":
        return f"lora_unet_{name.replace('.', '_')}", "lora_down.weight", "lora_up.weight"
    if style == "diffusers":
        return f"transformer.{_LAYERS[name][0]}", "lora_A.weight", "lora_B.weight"
    return f"diffusion_model.{name}", "lora_A.weight", "lora_B.weight"


@pytest.mark.parametrize("style", ["makers", "kohya", "diffusers"])
def test_a_lora_changes_the_layers_that_it_names(
    style: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    from safetensors.torch import load_file

    table = []
    for name, (_, rows, columns) in _LAYERS.items():
        stem, down, up = _named(style, name)
        table += [Tensor(f"{stem}.{down}", (_RANK, columns)), Tensor(f"{stem}.{up}", (rows, _RANK))]
    write_safetensors(tmp_path / "lora.safetensors", table, 5, {})
    loras = (Weighted(str(tmp_path / "lora.safetensors"), 0.5),)
    assembled = assembler(replace(wan_models.recipe(shelf), loras=loras))
    state = assembled.parts["transformer"].module.state_dict
    before = {name: one.clone() for name, one in state().items()}
    applied = apply_to(assembled)
    assert (applied.changed, applied.notices) == (len(_LAYERS), ())
    factors = load_file(tmp_path / "lora.safetensors")
    for name, (path, *_) in _LAYERS.items():
        stem, down, up = _named(style, name)
        change = 0.5 * factors[f"{stem}.{up}"] @ factors[f"{stem}.{down}"]
        expected = before.pop(f"{path}.weight") + change
        assert torch.allclose(state()[f"{path}.weight"], expected, atol=1e-5), name
    for name, one in before.items():
        assert torch.equal(state()[name], one), name


def test_the_names_for_loras_are_those_of_the_files() -> None:
    for name, (path, *_) in _LAYERS.items():
        block, _, rest = name.partition(".")[2].partition(".")
        key = f"blocks.#.{rest}" if name.startswith("blocks.") else name
        assert TRANSFORMER[key].names == (path.replace(f"blocks.{block}.", "blocks.#."),)
