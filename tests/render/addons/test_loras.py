"""LoRAs in the modules of real pipelines of diffusers."""

from __future__ import annotations

import gc
import weakref
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.convert.computed import numbers_of
from modelhub.convert.diffusers import to_diffusers
from modelhub.convert.lora import merge_plan
from modelhub.convert.options import ConvertOptions, Precision
from modelhub.convert.planning import Plan
from modelhub.convert.readers import open_source
from modelhub.convert.writers import write_safetensors
from modelhub.render.addons import apply_loras, originals, remove_loras
from modelhub.render.request import Weighted

from . import models as made
from .models import Models

pytestmark = pytest.mark.filterwarnings("ignore")

FAMILIES = ("locon", "loha", "lokr", "dora", "whole difference")


def merged_weights(checkpoint: Path, lora: Path, weight: float) -> dict[str, Any]:
    """What converting makes of the same files, in fp32, by the names of diffusers."""
    with open_source(checkpoint) as source, open_source(lora) as other:
        plan = merge_plan(source, [(other, weight)], ConvertOptions(dtype=Precision.FP32))
        folder = to_diffusers(plan)
        return {
            f"{part.folder}/{one.name.replace('text_model.', '')}": numbers_of(one.values)
            for part in folder.components
            for one in part.tensors
            if part.folder != "vae"
        }


def weights(pipe: Any) -> dict[str, Any]:
    return {
        f"{folder}/{name.replace('text_model.', '')}": one.detach().numpy()
        for folder in ("unet", "text_encoder", "text_encoder_2")
        if getattr(pipe, folder, None) is not None
        for name, one in getattr(pipe, folder).named_parameters()
    }


def assert_within_an_ulp(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, one in found.items():
        np.testing.assert_array_max_ulp(one, expected[name], maxulp=1)


@pytest.mark.parametrize("model", ["sd1", "sd2", "sdxl"])
def test_the_weights_are_those_that_merging_into_a_file_gives(model: str, models: Models) -> None:
    pipe = models.pipeline(model)
    before = made.bits(pipe)
    lora, checkpoint = models.lora(model), models.checkpoint(model)
    applied = apply_loras(pipe, [Weighted(str(lora), 0.7)], model=checkpoint)
    after = made.bits(pipe)
    assert applied.notices == ()
    assert applied.changed == len(made.LORAS[model]) // 3
    assert sum(after[name] != one for name, one in before.items()) == applied.changed
    assert_within_an_ulp(weights(pipe), merged_weights(checkpoint, lora, 0.7))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_that_merges_is_applied_as_it_merges(
    family: str, pipe: Any, models: Models, tmp_path: Path
) -> None:
    lora = made.write(tmp_path / f"{family}.safetensors", made.family(family))
    checkpoint = models.checkpoint("sd1")
    applied = apply_loras(pipe, [Weighted(str(lora), 0.6)], model=checkpoint)
    assert applied.changed == len(made.SHAPES)
    assert_within_an_ulp(weights(pipe), merged_weights(checkpoint, lora, 0.6))


def test_the_names_of_peft_mean_the_same_modules(pipe: Any, models: Models) -> None:
    lora, checkpoint = models.lora("sd1 in the names of PEFT"), models.checkpoint("sd1")
    applied = apply_loras(pipe, [Weighted(str(lora), 0.5)], model=checkpoint)
    assert applied.changed == len(made.LORAS["sd1 in the names of PEFT"]) // 2
    assert_within_an_ulp(weights(pipe), merged_weights(checkpoint, lora, 0.5))


def test_the_picture_is_that_of_the_merged_checkpoint(
    torch: Any, pipe: Any, models: Models, tmp_path: Path
) -> None:
    diffusers: Any = import_module("diffusers")
    lora, checkpoint = models.lora("sd1"), models.checkpoint("sd1")
    plain = made.picture(pipe)
    apply_loras(pipe, [Weighted(str(lora), 2.0)], model=checkpoint)
    ours = made.picture(pipe)
    with open_source(checkpoint) as source, open_source(lora) as other:
        plan: Plan = merge_plan(source, [(other, 2.0)], ConvertOptions(dtype=Precision.FP32))
        write_safetensors(plan, tmp_path / "merged.safetensors")
    theirs = made.with_own_memory(
        diffusers.StableDiffusionPipeline.from_single_file(
            str(tmp_path / "merged.safetensors"),
            torch_dtype=torch.float32,
            config=str(models.folder("sd1")),
            local_files_only=True,
        )
    )
    assert np.abs(ours - plain).max() > 0.01
    np.testing.assert_allclose(ours, made.picture(theirs), atol=1e-4)


def test_a_grid_of_weights_leaves_no_trace_of_the_one_before(pipe: Any, models: Models) -> None:
    lora, checkpoint = str(models.lora("sd1")), models.checkpoint("sd1")
    before = made.bits(pipe)
    first: dict[float, dict[str, bytes]] = {}
    for weight in (0.4, 0.8, 1.0, -1.0):
        apply_loras(pipe, [Weighted(lora, weight)], model=checkpoint)
        first[weight] = made.bits(pipe)
        remove_loras(pipe)
        assert made.bits(pipe) == before
    for weight in (1.0, 0.4, -1.0, 0.8):
        apply_loras(pipe, [Weighted(lora, weight)], model=checkpoint)
        assert made.bits(pipe) == first[weight]
    assert len({tuple(one.values()) for one in first.values()}) == 4


def test_weight_0_is_the_checkpoint_itself_negative_zeros_included(
    torch: Any, pipe: Any, models: Models
) -> None:
    lora, checkpoint = str(models.lora("sd1")), models.checkpoint("sd1")
    remove_loras(pipe)
    weight = pipe.unet.get_parameter("down_blocks.0.attentions.0.proj_in.weight")
    own = weight.data
    weight.data = torch.full_like(own, -0.0)
    before = made.bits(pipe)
    for strength in (0.0, 0.5, 0.0, -0.0):
        applied = apply_loras(pipe, [Weighted(lora, strength)], model=checkpoint)
        assert (made.bits(pipe) == before) == (strength == 0) == (applied.changed == 0)
    weight.data = own


def test_a_module_that_two_pipelines_share_never_keeps_the_lora_of_the_other(
    models: Models,
) -> None:
    diffusers: Any = import_module("diffusers")
    first = models.pipeline("sd1")
    parts = {**first.components, "unet": models.pipeline("sd1").unet}
    second = diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False)
    assert second.text_encoder is first.text_encoder
    lora, checkpoint = [Weighted(str(models.lora("sd1")), 1.0)], models.checkpoint("sd1")
    plain = made.bits(second)
    apply_loras(first, lora, model=checkpoint)
    with_lora = made.bits(first)
    apply_loras(second, (), model=checkpoint)
    assert made.bits(second) == plain
    apply_loras(first, lora, model=checkpoint)
    assert made.bits(first) == with_lora
    apply_loras(second, [Weighted(lora[0].path, 0.0)], model=checkpoint)
    assert made.bits(second) == plain


def test_what_is_wanted_already_is_not_done_again(pipe: Any, models: Models) -> None:
    lora, checkpoint = [Weighted(str(models.lora("sd1")), 0.5)], models.checkpoint("sd1")
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))

    first = apply_loras(pipe, lora, model=checkpoint, progress=progress)
    done, totals = zip(*steps, strict=True)
    parameters = [*pipe.unet.parameters(), *pipe.text_encoder.parameters()]
    assert len(set(totals)) == 1
    assert done == tuple(sorted(set(done)))
    assert done[-1] == totals[0] < sum(one.nbytes for one in parameters)
    places = [one.data_ptr() for one in pipe.unet.parameters()]
    assert apply_loras(pipe, lora, model=checkpoint, progress=progress) == first
    assert len(steps) == first.changed
    assert [one.data_ptr() for one in pipe.unet.parameters()] == places


def test_a_lora_that_was_replaced_on_disk_is_read_anew(
    pipe: Any, models: Models, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    seen = []
    for family in ("locon", "dora"):
        made.write(path, made.family(family))
        apply_loras(pipe, [Weighted(str(path), 0.5)], model=models.checkpoint("sd1"))
        seen.append(made.bits(pipe))
    assert seen[0] != seen[1]


def test_several_loras_are_merged_in_their_order(pipe: Any, models: Models, tmp_path: Path) -> None:
    one, other = models.lora("sd1"), made.write(tmp_path / "b.safetensors", made.family("dora"))
    checkpoint = models.checkpoint("sd1")
    both = [Weighted(str(one), 0.5), Weighted(str(other), 0.25)]
    apply_loras(pipe, both, model=checkpoint)
    found = made.bits(pipe)
    with open_source(checkpoint) as source, open_source(one) as a, open_source(other) as b:
        plan = merge_plan(source, [(a, 0.5), (b, 0.25)], ConvertOptions(dtype=Precision.FP32))
        name = "model.diffusion_model.input_blocks.4.0.in_layers.2.weight"
        expected = next(numbers_of(it.values) for it in plan.tensors if it.name == name)
    assert found["unet/down_blocks.1.resnets.0.conv1.weight"] == expected.tobytes()


def test_changed_weights_are_rounded_to_the_precision_that_is_shown(
    torch: Any, pipe: Any, models: Models
) -> None:
    lora, checkpoint = [Weighted(str(models.lora("sd1")), 0.5)], models.checkpoint("sd1")
    apply_loras(pipe, lora, model=checkpoint)
    name = "up_blocks.1.attentions.0.proj_out.weight"
    exact = pipe.unet.get_parameter(name).detach().clone()
    apply_loras(pipe, lora, model=checkpoint, precision=Precision.BF16)
    rounded = pipe.unet.get_parameter(name).detach()
    assert rounded.dtype is torch.float32
    assert torch.equal(rounded, exact.to(torch.bfloat16).float())
    assert not torch.equal(rounded, exact)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_modules_in_half_precision_get_weights_rounded_once_and_their_bits_back(
    dtype: str, torch: Any, models: Models
) -> None:
    pipe = models.pipeline("sd1", torch_dtype=getattr(torch, dtype))
    before = made.bits(pipe)
    lora, checkpoint = models.lora("sd1"), models.checkpoint("sd1")
    apply_loras(pipe, [Weighted(str(lora), 0.5)], model=checkpoint)
    weight = pipe.unet.get_parameter("mid_block.attentions.0.proj_in.weight")
    assert weight.dtype is getattr(torch, dtype)
    if dtype == "float16":
        expected = merged_weights(checkpoint, lora, 0.5)
        name = "unet/mid_block.attentions.0.proj_in.weight"
        assert np.array_equal(weight.detach().numpy(), expected[name].astype("<f2"))
    remove_loras(pipe)
    assert made.bits(pipe) == before


def test_the_tensors_of_the_base_are_put_back_themselves_and_never_written_into(
    pipe: Any, models: Models
) -> None:
    places = {name: one.data_ptr() for name, one in pipe.unet.named_parameters()}
    cached = {name: one.detach() for name, one in pipe.unet.named_parameters()}
    before = {name: one.clone() for name, one in cached.items()}
    lora, checkpoint = str(models.lora("sd1")), models.checkpoint("sd1")
    for weight in (0.5, 1.0):
        apply_loras(pipe, [Weighted(lora, weight)], model=checkpoint)
        assert all(one.equal(before[name]) for name, one in cached.items())
    changed = {n for n, one in pipe.unet.named_parameters() if one.data_ptr() != places[n]}
    assert changed == originals.originals_of(pipe.unet).changed
    remove_loras(pipe)
    assert {name: one.data_ptr() for name, one in pipe.unet.named_parameters()} == places


def test_weights_beyond_their_type_are_told(torch: Any, models: Models) -> None:
    pipe = models.pipeline("sd1", torch_dtype=torch.float16)
    lora = [Weighted(str(models.lora("sd1")), 1e6)]
    for _ in range(2):
        (told,) = apply_loras(pipe, lora, model=models.checkpoint("sd1")).notices
        assert "beyond their type" in told
        assert "bf16" in told


def test_weights_in_8_bits_are_changed_too_and_that_is_told(torch: Any, models: Models) -> None:
    pipe = models.pipeline("sd1")
    pipe.unet.enable_layerwise_casting(torch.float8_e4m3fn, torch.float32)
    before = made.bits(pipe)
    lora = [Weighted(str(models.lora("sd1")), 2.0)]
    plain = made.picture(pipe)
    (told,) = apply_loras(pipe, lora, model=models.checkpoint("sd1")).notices
    assert "kept in 8 bits" in told
    assert np.abs(made.picture(pipe) - plain).max() > 0.01
    remove_loras(pipe)
    assert made.bits(pipe) == before


def test_a_module_that_is_let_go_is_not_kept_for_its_loras(torch: Any, models: Models) -> None:
    pipe = models.pipeline("sd1")
    apply_loras(pipe, [Weighted(str(models.lora("sd1")), 1.0)], model=models.checkpoint("sd1"))
    unet = weakref.ref(pipe.unet)
    del pipe
    gc.collect()
    assert unet() is None
