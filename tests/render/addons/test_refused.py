"""LoRAs that do not fit, are damaged or made to mislead are refused in words, and leave nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from modelhub.demo.weights.files import system_call, write_torch_zip
from modelhub.errors import (
    AddonMisfit,
    Cancelled,
    CannotRender,
    FileUnreadable,
    FormatError,
    UsageError,
)
from modelhub.render.addons import apply_loras
from modelhub.render.request import Weighted

from . import models as made
from .models import Models

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_lora_for_another_model_is_refused_and_both_are_named(pipe: Any, models: Models) -> None:
    lora, checkpoint = models.lora("sdxl"), models.checkpoint("sd1")
    before = made.bits(pipe)
    with pytest.raises(AddonMisfit) as caught:
        apply_loras(pipe, [Weighted(str(lora), 1.0)], model=checkpoint)
    assert str(lora) in caught.value.message
    assert str(checkpoint) in caught.value.message
    assert made.bits(pipe) == before


def test_what_is_no_lora_is_refused(pipe: Any, models: Models, tmp_path: Path) -> None:
    checkpoint = models.checkpoint("sd1")
    with pytest.raises(AddonMisfit, match="checkpoint is no add-on"):
        apply_loras(pipe, [Weighted(str(models.checkpoint("sd2")), 1.0)], model=checkpoint)
    path = made.write(tmp_path / "table.safetensors", {"numbers": made.draw(3, 3)})
    with pytest.raises(CannotRender, match="no LoRA"):
        apply_loras(pipe, [Weighted(str(path), 1.0)], model=checkpoint)
    with pytest.raises(FileUnreadable):
        apply_loras(pipe, [Weighted(str(tmp_path / "none"), 1.0)], model=checkpoint)
    endless = Weighted(str(models.lora("sd1")), float("nan"))
    with pytest.raises(UsageError, match="no strength"):
        apply_loras(pipe, [endless], model=checkpoint)


def test_a_family_that_is_not_merged_is_refused_as_such(
    pipe: Any, models: Models, tmp_path: Path
) -> None:
    arrays = made.family("locon") | {f"{made.CROSS}.oft_blocks": made.draw(4, 4, 4)}
    del arrays[f"{made.CROSS}.lora_up.weight"], arrays[f"{made.CROSS}.lora_down.weight"]
    path = made.write(tmp_path / "oft.safetensors", arrays)
    with pytest.raises(CannotRender, match="oft_blocks is of a family") as caught:
        apply_loras(pipe, [Weighted(str(path), 1.0)], model=models.checkpoint("sd1"))
    assert not isinstance(caught.value, AddonMisfit)


def test_keys_that_fit_nothing_are_told(pipe: Any, models: Models, tmp_path: Path) -> None:
    arrays = made.family("locon")
    arrays["lora_unet_down_blocks_7_nothing.lora_down.weight"] = made.draw(4, 16)
    arrays["lora_unet_down_blocks_7_nothing.lora_up.weight"] = made.draw(16, 4)
    arrays["bundle_emb.cat.string_to_param"] = made.draw(1, 32)
    path = made.write(tmp_path / "odd.safetensors", arrays)
    found = apply_loras(pipe, [Weighted(str(path), 1.0)], model=models.checkpoint("sd1"))
    assert found.changed == len(made.SHAPES)
    missing, beside = found.notices
    assert "1 of 4 layers" in missing
    assert "down_blocks_7_nothing" in missing
    assert "bundle_emb.cat.string_to_param" in beside


def _with_a_nan(arrays: made.Arrays) -> None:
    arrays[f"{made.TEXT}.lora_up.weight"][3, 1] = np.nan


def _with_factors_that_do_not_multiply(arrays: made.Arrays) -> None:
    arrays[f"{made.TEXT}.lora_up.weight"] = made.draw(128, 5)


@pytest.mark.parametrize("damage", [_with_a_nan, _with_factors_that_do_not_multiply])
def test_a_damaged_lora_takes_away_nothing_but_itself(
    damage: Callable[[made.Arrays], None], pipe: Any, models: Models, tmp_path: Path
) -> None:
    checkpoint = models.checkpoint("sd1")
    before = made.bits(pipe)
    apply_loras(pipe, [Weighted(str(models.lora("sd1")), 1.0)], model=checkpoint)
    arrays = made.family("locon")
    damage(arrays)
    path = made.write(tmp_path / "damaged.safetensors", arrays)
    with pytest.raises(FormatError, match=made.TEXT):
        apply_loras(pipe, [Weighted(str(path), 1.0)], model=checkpoint)
    assert made.bits(pipe) == before


def test_cancelling_midway_leaves_the_checkpoint(pipe: Any, models: Models) -> None:
    before = made.bits(pipe)
    cancel = Event()
    done = []

    def progress(number: int, total: int) -> None:
        done.append(number)
        if len(done) == 20:
            cancel.set()

    lora, checkpoint = [Weighted(str(models.lora("sd1")), 1.0)], models.checkpoint("sd1")
    with pytest.raises(Cancelled):
        apply_loras(pipe, lora, model=checkpoint, progress=progress, cancel=cancel)
    assert len(done) == 20
    assert made.bits(pipe) == before


def test_a_lora_that_is_written_to_while_it_is_read_is_refused(
    pipe: Any, models: Models, tmp_path: Path
) -> None:
    before = made.bits(pipe)
    path = made.write(tmp_path / "mine.safetensors", made.family("locon"))

    def progress(done: int, total: int) -> None:
        if done == total:
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)
            os.utime(path, (1, 1))

    with pytest.raises(FileUnreadable, match=r"mine\.safetensors"):
        apply_loras(
            pipe, [Weighted(str(path), 1.0)], model=models.checkpoint("sd1"), progress=progress
        )
    assert made.bits(pipe) == before


def test_a_pickled_lora_is_applied_and_what_it_would_run_is_not_run(
    pipe: Any, models: Models, tmp_path: Path
) -> None:
    proof = tmp_path / "was run"
    path, table = tmp_path / "evil.pt", made.LORAS["sd1"]
    write_torch_zip(path, table, seed=11, before=system_call(f"touch '{proof}'"))
    checkpoint = models.checkpoint("sd1")
    apply_loras(pipe, [Weighted(str(path), 1.0)], model=checkpoint)
    found = made.bits(pipe)
    apply_loras(pipe, [Weighted(str(models.lora("sd1")), 1.0)], model=checkpoint)
    assert made.bits(pipe) == found
    assert not proof.exists()
