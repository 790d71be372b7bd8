"""Precisions of one file side by side: rounded, computed in fp32, and read once."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest

from modelhub.convert.options import Precision
from modelhub.errors import Cancelled
from modelhub.render.pipelines.reading import rounded
from modelhub.render.request import Recipe
from tests.render.pipelines.conftest import Assembler, Files, weights_in

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])
def test_on_a_cpu_a_precision_rounds_the_weights_and_computes_in_fp32(
    precision: Precision, files: Files, assembler: Assembler, torch: Any
) -> None:
    path = str(files.of("sd1"))
    exact = assembler(Recipe(model=path))
    rounded = assembler(Recipe(model=path, precision=precision))
    assert exact.label == "fp32"
    assert rounded.label == f"{precision.value} weights, fp32 arithmetic"
    half = torch.float16 if precision is Precision.FP16 else torch.bfloat16
    changed = 0
    for part in exact.parts:
        before, after = weights_in(exact, part), weights_in(rounded, part)
        for name, tensor in before.items():
            assert after[name].dtype == torch.float32
            assert torch.equal(after[name], tensor.to(half).float()), name
            changed += int(not torch.equal(after[name], tensor))
    assert changed > 100


@pytest.mark.parametrize("first", [None, Precision.FP16])
def test_three_precisions_of_one_file_read_it_once(
    first: Precision | None, files: Files, assembler: Assembler, torch: Any
) -> None:
    path = str(files.of("sd1"))
    assembler(Recipe(model=path, precision=first))
    assert assembler.bytes_read == pytest.approx(files.of("sd1").stat().st_size, rel=0.05)
    for precision in {None, *Precision} - {first}:
        made = assembler(Recipe(model=path, precision=precision))
        assert assembler.bytes_read == 0
        if precision is Precision.BF16:
            alone = Assembler()(Recipe(model=path, precision=precision))
            for name, tensor in weights_in(made).items():
                assert torch.equal(tensor, weights_in(alone)[name]), name


def test_what_other_precisions_are_made_of_is_dropped_after_them(
    files: Files, assembler: Assembler
) -> None:
    """With room for two precisions, one of them stays that with the numbers of the file."""
    path = str(files.of("sd1"))
    exact = assembler(Recipe(model=path, precision=Precision.FP32))
    assembler.cache.most = int(exact.nbytes * 2.5)
    for precision in (Precision.FP16, Precision.BF16, Precision.FP16):
        assembler(Recipe(model=path, precision=precision))
        assert assembler.bytes_read == 0, precision
    assert assembler.cache.nbytes <= assembler.cache.most
    again = assembler(Recipe(model=path, precision=Precision.FP32))
    assert again.parts["unet"] is exact.parts["unet"]


def test_without_room_the_file_is_read_again(files: Files, assembler: Assembler) -> None:
    assembler.cache.most = 1
    path = str(files.of("sd1"))
    assembler(Recipe(model=path, precision=Precision.FP16))
    assembler(Recipe(model=path, precision=Precision.BF16))
    assert assembler.bytes_read > 1 << 20


def test_a_large_tensor_is_rounded_like_a_small_one(torch: Any) -> None:
    exact = {"large": torch.randn(700, 1001), "spoilt": torch.full((700, 1001), 0.1)}
    exact["spoilt"][-1, -1] = 1e6
    made = rounded(exact, Precision.FP16, torch.float32, cancel=Event())
    assert all(torch.equal(made.tensors[name], exact[name].half().float()) for name in exact)
    assert made.broken == made.overflowed == {"spoilt"}


def test_rounding_can_be_cancelled(torch: Any) -> None:
    cancel = Event()
    cancel.set()
    with pytest.raises(Cancelled):
        rounded({"one": torch.ones(4)}, Precision.FP16, torch.float32, cancel=cancel)


def test_a_wider_type_than_that_of_the_file_changes_nothing(
    files: Files, assembler: Assembler
) -> None:
    path = str(files.of("sd1 fp16"))
    stored = assembler(Recipe(model=path))
    wider = assembler(Recipe(model=path, precision=Precision.FP32))
    assert stored.parts["unet"] is wider.parts["unet"]
    assert stored.label == "fp16 weights, fp32 arithmetic"
    assert wider.label == "fp32"


def test_the_vae_may_have_a_precision_of_its_own(
    files: Files, assembler: Assembler, torch: Any
) -> None:
    path = str(files.of("sd1"))
    recipe = Recipe(model=path, precision=Precision.FP16, vae_precision=Precision.FP32)
    made, exact = assembler(recipe), assembler(Recipe(model=path))
    assert made.parts["vae"] is exact.parts["vae"]
    assert made.parts["unet"] is not exact.parts["unet"]
