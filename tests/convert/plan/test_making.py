"""A plan as a whole: what is kept by default, and that nothing gets lost on the way."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.convert.options import ConvertOptions, Ema, Extract, Precision, Target
from modelhub.convert.plan import make_plan, summarize
from modelhub.convert.planning import Plan, Reason
from modelhub.errors import ConversionRefused, FormatError, ModelhubError
from modelhub.formats.identify.parts import Role
from modelhub.formats.identity import ModelKind
from modelhub.formats.tensors import FileFormat
from tests.convert.made import Made, MadeSource, made
from tests.convert.plan.sources import sd1_full, sd1_pruned, sdxl, vae_file

FULL, PRUNED, XL, VAE_FILE = sd1_full(), sd1_pruned(), sdxl("F16"), vae_file()


def reasons(plan: Plan) -> dict[Reason, int]:
    found: dict[Reason, int] = {}
    for one in plan.dropped:
        found[one.reason] = found.get(one.reason, 0) + 1
    return found


def test_without_options_all_weights_stay_as_they_are() -> None:
    plan = make_plan(FULL, ConvertOptions())
    assert [one.name for one in plan.tensors] == list(FULL.tensors)
    assert all(one.dtype == one.values.dtype for one in plan.tensors)
    assert plan.renamed == ()
    assert plan.operation == "to safetensors"


def test_training_state_is_never_carried_over() -> None:
    plan = make_plan(FULL, ConvertOptions())
    assert reasons(plan) == {Reason.TRAINING: 1}
    assert plan.dropped[0].name == "optimizer_states.0.state.0.exp_avg"
    assert plan.dropped[0].nbytes == 5_000


def test_a_full_checkpoint_becomes_what_is_published_as_pruned_fp16() -> None:
    options = ConvertOptions(
        dtype=Precision.FP16, part_dtypes={Role.VAE: Precision.FP32}, ema=Ema.SWAP, prune=True
    )
    plan = make_plan(FULL, options)
    assert {one.name for one in plan.tensors} == set(PRUNED.tensors)
    assert plan.operation == "fp16, vae fp32, ema, pruned"
    assert plan.identity.kind is ModelKind.CHECKPOINT
    assert plan.identity.ema is False
    assert plan.identity.precisions == {"unet": "fp16", "vae": "fp32", "text encoder": "fp16"}
    assert reasons(plan) == {
        Reason.TRAINING: 1, Reason.NOT_EMA: 686, Reason.EMA: 2, Reason.SCHEDULE: 3, Reason.JUNK: 1,
    }  # fmt: skip


def test_planning_reads_no_data() -> None:
    class Unread(Made):
        def pieces(self):  # type: ignore[no-untyped-def]
            raise AssertionError(self.name)

    source = MadeSource(
        {name: Unread(name, one.dtype, one.shape) for name, one in FULL.tensors.items()}
    )
    make_plan(source, ConvertOptions(dtype=Precision.FP16, prune=True), vae=VAE_FILE)


OPTIONS = st.builds(
    ConvertOptions,
    dtype=st.none() | st.sampled_from(Precision),
    part_dtypes=st.dictionaries(st.sampled_from(Role), st.sampled_from(Precision), max_size=3),
    ema=st.none() | st.sampled_from(Ema),
    prune=st.booleans(),
    extract=st.none() | st.sampled_from(Extract),
    target=st.sampled_from(Target),
    fix=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    source=st.sampled_from([FULL, PRUNED, XL, VAE_FILE]),
    options=OPTIONS,
    vae=st.none() | st.just(VAE_FILE),
)
def test_no_plan_loses_a_tensor_or_makes_one_up(
    source: MadeSource, options: ConvertOptions, vae: MadeSource | None
) -> None:
    try:
        plan = make_plan(source, options, vae=vae)
    except ConversionRefused:
        return
    old_names = {one.new: one.old for one in plan.renamed}
    kept = [old_names.get(one.name, one.name) for one in plan.tensors if one.name not in plan.added]
    gone = [one.name for one in plan.dropped]
    assert sorted(kept + gone) == sorted([*source.tensors, *(one.name for one in source.beside)])
    assert len({one.name for one in plan.tensors}) == len(plan.tensors)
    summary = summarize(plan)
    there = sum(one.nbytes for one in source.tensors.values())
    assert summary.before.nbytes == there + sum(one.nbytes for one in source.beside)
    dropped = sum(one.nbytes for one in summary.dropped.values())
    assert summary.kept.nbytes + dropped == summary.before.nbytes
    grown = sum(one.after - one.before for one in summary.casts)
    assert summary.after.nbytes == summary.kept.nbytes + summary.added.nbytes + grown


NAMES = st.lists(
    st.text(alphabet="abm.d_e/0", min_size=1, max_size=12)
    | st.sampled_from(["module.a", "model_ema.x", "model.x", "state_dict.b", "params.c", "v_pred"]),
    min_size=1,
    max_size=20,
    unique=True,
)


@settings(max_examples=150, deadline=None)
@given(names=NAMES, options=OPTIONS, format=st.sampled_from(FileFormat))
def test_hostile_names_give_a_plan_or_a_refusal(
    names: list[str], options: ConvertOptions, format: FileFormat
) -> None:
    source = MadeSource({name: Made(name, "F32", (2, 2)) for name in names}, format=format)
    refusal: ModelhubError | None = None
    try:
        plan = make_plan(source, options)
    except (ConversionRefused, FormatError) as error:
        refusal = error
    if refusal is None:
        assert len(plan.tensors) + len(plan.dropped) == len(names)
    else:
        assert str(source.path) in refusal.message


def test_a_file_of_which_nothing_is_left_is_refused() -> None:
    source = MadeSource(made({"betas": (1000,), "alphas_cumprod": (1000,)}))
    with pytest.raises(ConversionRefused, match="nothing would be left"):
        make_plan(source, ConvertOptions(prune=True))


def test_the_name_that_safetensors_keeps_for_itself_is_refused() -> None:
    with pytest.raises(ConversionRefused, match="__metadata__"):
        make_plan(MadeSource(made({"__metadata__": (1,)})), ConvertOptions())


def test_planning_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, modelhub.convert.plan; "
        "print(sorted({'torch', 'numpy', 'diffusers', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
