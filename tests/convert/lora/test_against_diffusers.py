"""Our names and our arithmetic against those of diffusers and torch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.convert.lora import LoraKeys, lora_plan, merge_plan
from modelhub.convert.options import ConvertOptions
from modelhub.convert.readers import Source, open_source

from . import made

UNET_CONFIG = {"layers_per_block": 2, "class_embed_type": None, "addition_embed_type": None}
STRENGTH = 0.7


def single_files() -> Any:
    return import_module("diffusers.loaders.single_file_utils")


def names() -> Any:
    return import_module("diffusers.utils.state_dict_utils")


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def conversions() -> Any:
    pytest.importorskip("diffusers")
    return import_module("diffusers.loaders.lora_conversion_utils")


def every_layer(checkpoint: Source) -> dict[str, tuple[int, ...]]:
    """All modules of the UNet's transformers, by kohya's names, with the shapes of their weights.

    The names are those of diffusers' own conversion of the checkpoint.
    """
    shapes = {name: values.shape for name, values in checkpoint.tensors.items()}
    named: dict[str, Any] = single_files().convert_ldm_unet_checkpoint(dict(shapes), UNET_CONFIG)
    return {
        "lora_unet_" + name.removesuffix(".weight").replace(".", "_"): shape
        for name, shape in named.items()
        if name.endswith(".weight") and len(shape) > 1
    }


@pytest.fixture
def whole_lora(checkpoint: Source, conversions: Any, tmp_path: Path) -> Iterator[Source]:
    """A LoRA that changes every linear layer and convolution of the UNet, and a text encoder's."""
    (text,) = (stem for stem in made.SHAPES if "_te_" in stem)
    tensors = made.lora(every_layer(checkpoint) | {text: made.SHAPES[text]}, rank=2, alpha=1.0)
    with open_source(made.write(tmp_path / "whole.safetensors", tensors)) as source:
        yield source


def test_merging_is_what_diffusers_names_and_torch_computes(
    checkpoint: Source, whole_lora: Source, conversions: Any, torch: Any
) -> None:
    kohya = {name: torch.from_numpy(one) for name, one in made.arrays(whole_lora).items()}
    converted, alphas = conversions._convert_non_diffusers_lora_to_diffusers(dict(kohya))
    layers = names().convert_unet_state_dict_to_peft(
        {name.removeprefix("unet."): one for name, one in converted.items() if "unet." in name}
    )
    plan = merge_plan(checkpoint, [(whole_lora, STRENGTH)], ConvertOptions())
    before = single_files().convert_ldm_unet_checkpoint(made.arrays(checkpoint), UNET_CONFIG)
    after = single_files().convert_ldm_unet_checkpoint(made.computed(plan), UNET_CONFIG)
    assert set(alphas.values()) == {1.0}
    downs = {name.split(".lora_A")[0]: one for name, one in layers.items() if ".lora_A" in name}
    ups = {name.split(".lora_B")[0]: one for name, one in layers.items() if ".lora_B" in name}
    assert {name.removesuffix(".weight") for name in after} >= downs.keys()
    for module, down in downs.items():
        product = ups[module].flatten(1) @ down.flatten(1)
        base = torch.from_numpy(before[f"{module}.weight"])
        expected = base + STRENGTH * 0.5 * product.reshape(base.shape)
        np.testing.assert_allclose(after[f"{module}.weight"], expected.numpy(), atol=1e-6)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {f"{module}.weight" for module in downs}


def test_diffusers_names_every_layer_as_we_do(whole_lora: Source, conversions: Any) -> None:
    """The layers that diffusers makes of kohya's names are those that we write in its form."""
    plan = lora_plan(whole_lora, key_format=LoraKeys.DIFFUSERS)
    ours = {one.name for one in plan.tensors}
    theirs, _ = conversions._convert_non_diffusers_lora_to_diffusers(made.arrays(whole_lora))
    unet = {name.removeprefix("unet."): 0 for name in theirs if name.startswith("unet.")}
    text = {name: 0 for name in theirs if name.startswith("text_encoder.")}
    expected = {f"unet.{name}" for name in names().convert_unet_state_dict_to_peft(unet)}
    expected |= set(names().convert_state_dict_to_peft(text, names().StateDictType.DIFFUSERS_OLD))
    assert ours == expected


def test_diffusers_takes_our_form_for_its_own(whole_lora: Source, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    plan = lora_plan(whole_lora, key_format=LoraKeys.DIFFUSERS)
    made.written(plan, tmp_path / "ours.safetensors")
    found, alphas = StableDiffusionPipeline.lora_state_dict(
        str(tmp_path), weight_name="ours.safetensors", local_files_only=True
    )
    assert alphas is None
    assert found.keys() == {one.name for one in plan.tensors}


def test_sdxl_in_the_original_names_is_read_by_diffusers_as_we_write_it(
    conversions: Any, tmp_path: Path
) -> None:
    block = "1_transformer_blocks_1_attn2_to_k"
    shapes: dict[str, tuple[int, ...]] = {
        f"lora_unet_input_blocks_4_{block}": (640, 2048),
        f"lora_unet_input_blocks_8_{block}": (1280, 2048),
        "lora_unet_middle_block_1_transformer_blocks_9_ff_net_0_proj": (10240, 1280),
        f"lora_unet_output_blocks_0_{block}": (1280, 2048),
        "lora_unet_output_blocks_5_1_proj_out": (640, 640),
        "lora_unet_input_blocks_3_0_op": (320, 320, 3, 3),
        "lora_unet_output_blocks_5_2_conv": (640, 640, 3, 3),
        "lora_unet_input_blocks_7_0_skip_connection": (1280, 640, 1, 1),
    }
    path = made.write(tmp_path / "xl.safetensors", made.lora(shapes, rank=1, alpha=1))
    config = type("Config", (), {"layers_per_block": 2})
    with open_source(path) as source:
        ours = {one.name for one in lora_plan(source, key_format=LoraKeys.DIFFUSERS).tensors}
        mapped = conversions._maybe_map_sgm_blocks_to_diffusers(made.arrays(source), config)
    theirs, _ = conversions._convert_non_diffusers_lora_to_diffusers(mapped)

    unet = {name.removeprefix("unet."): 0 for name in theirs}
    assert ours == {f"unet.{name}" for name in names().convert_unet_state_dict_to_peft(unet)}
