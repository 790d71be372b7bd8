"""What is left out by ``--prune``, and what loaders would miss."""

from __future__ import annotations

import pytest

from modelhub.convert.options import ConvertOptions, Ema, Precision
from modelhub.convert.plan import make_plan
from modelhub.convert.planning import Reason
from tests.convert.made import Made, MadeBeside, MadeSource, made
from tests.convert.plan.sources import JUNK, SCHEDULE, sd1_full, sd1_pruned, sdxl
from tests.formats.identify.layouts import listed

PRUNE = ConvertOptions(prune=True)


def dropped(source: MadeSource, options: ConvertOptions = PRUNE) -> dict[str, Reason]:
    return {one.name: one.reason for one in make_plan(source, options).dropped}


def test_twin_schedule_junk_and_training_state_go() -> None:
    gone = dropped(sd1_full())
    assert {gone[name] for name in SCHEDULE} == {Reason.SCHEDULE}
    assert {gone[name] for name in JUNK} == {Reason.JUNK}
    assert gone["model_ema.diffusion_modelinput_blocks00weight"] is Reason.EMA
    assert set(gone) | set(sd1_pruned().tensors) == {
        *sd1_full().tensors, "optimizer_states.0.state.0.exp_avg",
    }  # fmt: skip


def test_a_pruned_file_loses_nothing() -> None:
    assert dropped(sd1_pruned()) == {}


def test_a_twin_that_is_asked_for_stays_in_a_pruned_file() -> None:
    gone = dropped(sd1_full(), ConvertOptions(prune=True, ema=Ema.KEEP))
    assert Reason.EMA not in {
        reason for name, reason in gone.items() if "diffusion_model" in name
    }  # fmt: skip


@pytest.mark.parametrize(
    "mark", ["v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.sigma_max", "scale_factor"]
)
def test_what_says_how_a_model_was_trained_stays(mark: str) -> None:
    source = MadeSource({**sdxl().tensors, mark: Made(mark, "F32", (1,))})
    assert dropped(source) == {}


def test_the_sigmas_of_sdxl_are_a_schedule() -> None:
    source = MadeSource(
        {**sdxl().tensors, "denoiser.sigmas": Made("denoiser.sigmas", "F32", (1000,))}
    )
    assert dropped(source) == {"denoiser.sigmas": Reason.SCHEDULE}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("embedding_manager.embedder.transformer.weight", Reason.JUNK),
        ("lora_te_text_model_encoder_layers_0.lora_up.weight", Reason.JUNK),
        ("optimizer.state.0.exp_avg", Reason.TRAINING),
        ("lr_schedulers.0.base", Reason.TRAINING),
    ],
)
def test_what_merges_and_trainers_left_in_a_checkpoint_goes(name: str, reason: Reason) -> None:
    source = MadeSource({**sd1_pruned().tensors, name: Made(name, "F32", (4,))})
    assert dropped(source) == {name: reason}


def test_a_tensor_that_nobody_knows_stays() -> None:
    source = MadeSource({**sd1_pruned().tensors, "cc_projection.weight": Made("c", "F32", (4,))})
    assert dropped(source) == {}


def test_a_lora_is_no_junk_in_its_own_file() -> None:
    source = MadeSource(made(listed("LoRA-v1-UNET"), listed("LoRA-v1-CLIP")))
    assert dropped(source) == {}


def test_a_tied_copy_goes_where_it_shares_its_values_with_the_original() -> None:
    tensors = made({"shared.weight": (8, 4), "encoder.embed_tokens.weight": (8, 4)})
    names = list(tensors)
    assert dropped(MadeSource(tensors, shared=[names])) == {names[1]: Reason.DUPLICATE}
    assert dropped(MadeSource(tensors)) == {}
    unlike = [["shared.weight", "x"], ["encoder.embed_tokens.weight", "y"]]
    assert dropped(MadeSource(tensors, shared=unlike)) == {}


def test_tensors_that_share_values_otherwise_are_all_kept() -> None:
    tensors = made({"first.weight": (8, 4), "second.weight": (8, 4)})
    source = MadeSource(tensors, shared=[list(tensors)])
    assert dropped(source) == {}
    half = ConvertOptions(dtype=Precision.FP16)
    assert make_plan(source, half).notices == (
        "tensors that share their values are written one by one: 64 bytes more",
    )


def test_copies_beside_the_model_are_told_from_training_state() -> None:
    names = {
        "ema.layer.weight": Reason.EMA,
        "params.conv.weight": Reason.NOT_EMA,
        "schema.weight": Reason.TRAINING,
        "optimizer_states.0.exp_avg": Reason.TRAINING,
    }
    source = MadeSource(sd1_pruned().tensors, beside=[MadeBeside(name, 4) for name in names])
    assert dropped(source, ConvertOptions()) == names
