from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from modelhub.convert.lora import extract_plan, merge_plan
from modelhub.convert.options import ConvertOptions, Precision
from modelhub.convert.readers import Source, open_source
from modelhub.errors import Cancelled, ConversionRefused, FormatError, UsageError

from . import made
from .conftest import Write

UNET = {
    stem: shape for stem, shape in made.SHAPES.items() if "unet" in stem and made.CONV not in stem
}
TEXT = {stem: shape for stem, shape in made.SHAPES.items() if "_te_" in stem}
CONV = {f"lora_unet_{made.CONV}": made.SHAPES[f"lora_unet_{made.CONV}"]}


class Tuner:
    """Writes checkpoints that differ from the base by LoRAs."""

    def __init__(self, base: Source, folder: Path, stack: ExitStack) -> None:
        self._base, self._folder, self._stack = base, folder, stack
        self._count = 0

    def __call__(self, tensors: made.Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Source:
        changed = made.arrays(self._base)
        for stem in shapes:
            name = f"{made.ORIGINAL[stem]}.weight"
            added = made.difference(tensors, stem).reshape(changed[name].shape)
            changed[name] = (changed[name] + added).astype("<f4")
        self._count += 1
        path = made.write(self._folder / f"tuned{self._count}.safetensors", changed)
        return self._stack.enter_context(open_source(path))


@pytest.fixture
def tuned(checkpoint: Source, tmp_path: Path) -> Iterator[Tuner]:
    with ExitStack() as stack:
        yield Tuner(checkpoint, tmp_path, stack)


def test_a_known_difference_is_found_again(checkpoint: Source, tuned: Tuner) -> None:
    shapes = UNET | TEXT
    known = made.lora(shapes, rank=4, alpha=4)
    source = tuned(known, shapes)
    plan = extract_plan(source, checkpoint, rank=4, dtype=Precision.FP32)
    found = made.computed(plan)
    assert {name.split(".")[0] for name in found} == set(shapes)
    for stem in shapes:
        np.testing.assert_allclose(
            made.difference(found, stem), made.difference(known, stem), atol=2e-6
        )
        assert found[f"{stem}.alpha"] == 4


def test_the_extracted_lora_on_the_base_gives_the_tuned_model(
    checkpoint: Source, tuned: Tuner, opened: Write, tmp_path: Path
) -> None:
    source = tuned(made.lora(UNET, rank=2, alpha=2), UNET)
    plan = extract_plan(source, checkpoint, rank=8)
    made.written(plan, tmp_path / "lora.safetensors")
    with open_source(tmp_path / "lora.safetensors") as extracted:
        whole = made.computed(merge_plan(checkpoint, [(extracted, 1.0)], ConvertOptions()))
    for name, numbers in made.arrays(source).items():
        np.testing.assert_allclose(whole[name], numbers, atol=2e-4)


def test_convolutions_come_along_when_they_have_a_rank(checkpoint: Source, tuned: Tuner) -> None:
    shapes = UNET | CONV
    known = made.lora(shapes, rank=4, alpha=4)
    source = tuned(known, shapes)
    assert not any(
        one.name.startswith(next(iter(CONV)))
        for one in extract_plan(source, checkpoint, rank=4).tensors
    )
    plan = extract_plan(source, checkpoint, rank=4, conv_rank=2)
    found = made.computed(plan)
    (stem,) = CONV
    assert found[f"{stem}.lora_down.weight"].shape == (2, 32, 3, 3)
    u, s, v = np.linalg.svd(made.difference(known, stem), full_matrices=False)
    np.testing.assert_allclose(made.difference(found, stem), (u[:, :2] * s[:2]) @ v[:2], atol=1e-5)
    assert plan.metadata["ss_network_args"] == '{"conv_dim": "2", "conv_alpha": "2.0"}'
    assert plan.identity.adapter == "locon"


def test_the_result_says_what_it_is(checkpoint: Source, tuned: Tuner) -> None:
    source = tuned(made.lora(UNET), UNET)
    plan = extract_plan(source, checkpoint, rank=4)
    assert plan.metadata == {
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "4.0",
        "ss_v2": "False",
        "ss_base_model_version": "sd_v1",
    }
    assert plan.operation == "LoRA of rank 4 from the difference to base.safetensors"
    assert (plan.identity.kind, plan.identity.adapter) == ("lora", "kohya")
    assert (plan.identity.architecture, plan.identity.rank) == ("sd1", 4)
    assert plan.identity.precision == "fp16"


def test_text_encoders_that_hardly_differ_are_left_out_and_told_of(
    checkpoint: Source, tuned: Tuner
) -> None:
    known = made.lora(UNET | TEXT)
    (stem,) = TEXT
    known[f"{stem}.lora_up.weight"] *= 0.001
    plan = extract_plan(tuned(known, UNET | TEXT), checkpoint, rank=4)
    assert not any("_te_" in one.name for one in plan.tensors)
    assert any("text encoders are left out" in notice for notice in plan.notices)
    careful = extract_plan(tuned(known, UNET | TEXT), checkpoint, rank=4, min_difference=0)
    assert any("_te_" in one.name for one in careful.tensors)


def test_a_model_has_no_difference_to_itself(checkpoint: Source) -> None:
    with pytest.raises(ConversionRefused, match="same weights"):
        extract_plan(checkpoint, checkpoint, rank=4)


def test_a_difference_is_of_two_models_of_one_architecture(
    checkpoint: Source, opened: Write
) -> None:
    with pytest.raises(ConversionRefused, match="unknown architecture"):
        extract_plan(checkpoint, opened({"weight": np.ones((2, 2), "<f4")}), rank=4)


def test_a_rank_below_1_is_a_mistake_of_the_command(checkpoint: Source) -> None:
    with pytest.raises(UsageError):
        extract_plan(checkpoint, checkpoint, rank=0)


def test_values_that_are_no_numbers_are_damage(checkpoint: Source, tuned: Tuner) -> None:
    known = made.lora(UNET)
    known[f"lora_unet_{made.CROSS}.lora_up.weight"][0, 0] = np.inf
    with pytest.raises(FormatError, match="no numbers"), np.errstate(invalid="ignore"):
        extract_plan(tuned(known, UNET), checkpoint, rank=4)


def test_comparing_tells_how_far_it_is_and_can_be_stopped(checkpoint: Source, tuned: Tuner) -> None:
    source = tuned(made.lora(UNET), UNET)
    told: list[tuple[int, int]] = []
    extract_plan(source, checkpoint, rank=4, progress=lambda done, of: told.append((done, of)))
    assert told[-1][0] == told[-1][1] == len(told)
    stop = Event()
    stop.set()
    with pytest.raises(Cancelled):
        extract_plan(source, checkpoint, rank=4, cancel=stop)
