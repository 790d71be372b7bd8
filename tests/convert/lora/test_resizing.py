from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.convert.lora import Keep, LoraKeys, RankRule, lora_plan
from modelhub.convert.lora.lowrank import of_matrix, of_product
from modelhub.errors import Cancelled

from . import made
from .conftest import Write

STEM = f"lora_unet_{made.CROSS}"
UNET = {stem: shape for stem, shape in made.SHAPES.items() if "unet" in stem}


def with_singular_values(*values: float) -> made.Arrays:
    """A layer whose difference has these singular values."""
    draw = np.random.default_rng(7)
    left, _ = np.linalg.qr(draw.standard_normal((32, len(values))))
    right, _ = np.linalg.qr(draw.standard_normal((768, len(values))))
    mixed, _ = np.linalg.qr(draw.standard_normal((len(values), len(values))))
    return {
        f"{STEM}.lora_down.weight": (mixed @ right.T).astype("<f4"),
        f"{STEM}.lora_up.weight": ((left * np.array(values)) @ mixed.T).astype("<f4"),
        f"{STEM}.alpha": np.array(len(values), "<f4"),
    }


def test_a_higher_rank_than_it_has_leaves_every_byte(opened: Write, tmp_path: Path) -> None:
    before = made.lora(alpha=2.0, dtype="<f2")
    plan = lora_plan(opened(before), rank=RankRule(64))
    after = made.written(plan, tmp_path / "same.safetensors")
    assert all(after[name].tobytes() == numbers.tobytes() for name, numbers in before.items())
    assert any("all keep theirs" in notice for notice in plan.notices)


def test_a_rank_that_is_not_needed_is_taken_away_without_loss(opened: Write) -> None:
    before = with_singular_values(3, 2, 1, 0, 0, 0)
    plan = lora_plan(opened(before), rank=RankRule(3))
    after = made.computed(plan)
    assert after[f"{STEM}.lora_down.weight"].shape == (3, 768)
    assert after[f"{STEM}.alpha"] == 3
    np.testing.assert_allclose(
        made.difference(after, STEM), made.difference(before, STEM), atol=1e-5
    )


def test_the_best_product_of_the_new_rank_remains_at_the_same_strength(opened: Write) -> None:
    before = made.lora(UNET, rank=8, alpha=2.0)
    after = made.computed(lora_plan(opened(before), rank=RankRule(3)))
    for stem in UNET:
        whole = made.difference(before, stem)
        u, s, v = np.linalg.svd(whole, full_matrices=False)
        best = (u[:, :3] * s[:3]) @ v[:3]
        np.testing.assert_allclose(made.difference(after, stem), best, atol=1e-5)
        assert after[f"{stem}.alpha"] == 0.75


def test_wide_convolutions_have_a_rank_of_their_own(opened: Write) -> None:
    plan = lora_plan(opened(made.lora(rank=8, alpha=8)), rank=RankRule(4, conv_rank=2))
    after = made.computed(plan)
    assert after[f"lora_unet_{made.CONV}.lora_down.weight"].shape == (2, 32, 3, 3)
    assert after[f"lora_unet_{made.PROJ}.lora_up.weight"].shape == (128, 4, 1, 1)
    assert plan.metadata["ss_network_dim"] == "Dynamic"


@pytest.mark.parametrize(
    ("keep", "amount", "rank"),
    [
        (Keep.RATIO, 3.0, 2),
        (Keep.RATIO, 5.0, 3),
        (Keep.SUM, 8 / 15, 1),
        (Keep.SUM, 0.79, 2),
        (Keep.SUM, 0.9, 3),
        (Keep.ENERGY, 0.75, 1),
        (Keep.ENERGY, 0.9, 2),
        (Keep.ENERGY, 0.98, 3),
        (Keep.FROBENIUS, 0.86, 1),
        (Keep.FROBENIUS, 0.9, 2),
        (Keep.ENERGY, 1.0, 4),
    ],
)
def test_the_rank_goes_by_the_singular_values(
    keep: Keep, amount: float, rank: int, opened: Write
) -> None:
    source = opened(with_singular_values(8, 4, 2, 1))
    amount -= 1e-6 if keep is Keep.SUM else 0
    plan = lora_plan(source, rank=RankRule(64, keep=keep, amount=amount))
    assert plan.identity.rank == rank


def test_the_chosen_rank_is_never_above_the_highest(opened: Write) -> None:
    source = opened(with_singular_values(4, 3, 2, 1))
    plan = lora_plan(source, rank=RankRule(2, keep=Keep.ENERGY, amount=0.999))
    assert plan.identity.rank == 2


def test_a_layer_of_zeroes_gets_rank_1(opened: Write) -> None:
    source = opened(with_singular_values(0, 0, 0))
    assert lora_plan(source, rank=RankRule(4, keep=Keep.RATIO, amount=2)).identity.rank == 1


def test_rank_and_names_change_together(opened: Write) -> None:
    before = made.lora(rank=8, alpha=4)
    plan = lora_plan(opened(before), key_format=LoraKeys.DIFFUSERS, rank=RankRule(8, conv_rank=2))
    after = made.computed(plan)
    conv = "unet.down_blocks.1.resnets.0.conv1"
    product = after[f"{conv}.lora_B.weight"].reshape(64, -1) @ after[
        f"{conv}.lora_A.weight"
    ].reshape(2, -1)
    u, s, v = np.linalg.svd(made.difference(before, f"lora_unet_{made.CONV}"), full_matrices=False)
    np.testing.assert_allclose(product, (u[:, :2] * s[:2]) @ v[:2], atol=1e-5)


def test_the_metadata_tell_of_the_new_rank_and_claim_no_old_hash(opened: Write) -> None:
    metadata = {
        "ss_network_dim": "8",
        "ss_network_alpha": "8.0",
        "ss_network_module": "networks.lora",
        "ss_training_comment": "mine",
        "ss_base_model_version": "sd_v1",
        "sshs_model_hash": "ab" * 32,
        "sshs_legacy_hash": "abcdef12",
    }
    plan = lora_plan(opened(made.lora(rank=8, alpha=8), metadata), rank=RankRule(4))
    assert plan.metadata == {
        "ss_network_dim": "4",
        "ss_network_alpha": "4.0",
        "ss_network_module": "networks.lora",
        "ss_training_comment": "dimension is resized from 8 to 4; mine",
        "ss_base_model_version": "sd_v1",
    }
    assert plan.identity.rank == 4
    assert plan.identity.architecture == "sd1"
    assert plan.operation == "rank 4"


def test_the_result_is_written_and_verified_like_any_other(opened: Write, tmp_path: Path) -> None:
    before = made.lora(UNET, rank=8, alpha=8, dtype="<f2")
    after = made.written(lora_plan(opened(before), rank=RankRule(4)), tmp_path / "r.safetensors")
    for stem in UNET:
        u, s, v = np.linalg.svd(made.difference(before, stem), full_matrices=False)
        error = made.difference(after, stem) - (u[:, :4] * s[:4]) @ v[:4]
        assert np.abs(error).max() < 1e-3


def test_planning_tells_how_far_it_is_and_can_be_stopped(opened: Write) -> None:
    source = opened(made.lora())
    told: list[tuple[int, int]] = []
    lora_plan(source, rank=RankRule(2), progress=lambda done, of: told.append((done, of)))
    assert told == [(number, 6) for number in range(1, 7)]
    stop = Event()
    stop.set()
    with pytest.raises(Cancelled):
        lora_plan(source, rank=RankRule(2), cancel=stop)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 24),
    columns=st.integers(1, 24),
    rank=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_decomposition_of_any_product_is_that_of_the_matrix(
    rows: int, columns: int, rank: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    up, down = draw.standard_normal((rows, rank)), draw.standard_normal((rank, columns))
    found = of_product(up, down)
    last, first = found.factors(len(found.singular))
    np.testing.assert_allclose(last @ first, up @ down, atol=1e-9)
    exact = np.linalg.svd(up @ down, compute_uv=False)
    count = min(len(exact), len(found.singular))
    np.testing.assert_allclose(found.singular[:count], exact[:count], atol=1e-9)


def test_a_large_matrix_is_decomposed_nearly_as_well_as_can_be_and_always_the_same() -> None:
    draw = np.random.default_rng(1)
    spectrum = 0.9 ** np.arange(256)
    left, _ = np.linalg.qr(draw.standard_normal((512, 256)))
    right, _ = np.linalg.qr(draw.standard_normal((256, 256)))
    matrix = ((left * spectrum) @ right).astype("<f4")
    found = of_matrix(matrix, 16)
    last, first = found.factors(16)
    best = np.sqrt(np.sum(spectrum[16:] ** 2))
    assert np.linalg.norm(matrix - last @ first) < best * 1.001
    again = of_matrix(matrix, 16)
    assert again.left.tobytes() == found.left.tobytes()
