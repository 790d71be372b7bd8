"""Known breakage: lost and wrapped names, positions that are no whole numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from modelhub.convert.options import ConvertOptions, Precision
from modelhub.convert.plan import make_plan
from modelhub.convert.plan.positions import Positions
from modelhub.errors import ConversionRefused
from modelhub.formats.identity import ModelKind
from tests.convert.made import Made, MadeSource, bytes_of, made
from tests.convert.plan.sources import (
    BARE_VAE,
    CLIP_L,
    SD1_CLIP,
    SD1_UNET,
    SD1_VAE,
    UNET,
    VAE,
    sd1_pruned,
)
from tests.formats.identify.layouts import Shapes, listed

IDS = CLIP_L + "embeddings.position_ids"
AS_IT_IS = ConvertOptions(fix=False)


def renamed(shapes: Shapes, rename: Callable[[str], str]) -> Shapes:
    return {rename(name): shape for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "wrapper", ["module.", "_orig_mod.", "state_dict.", "module._orig_mod.", "params_ema."]
)
def test_what_wraps_a_whole_model_is_taken_off(wrapper: str) -> None:
    source = MadeSource(made(renamed(BARE_VAE, lambda name: wrapper + name)))
    plan = make_plan(source, ConvertOptions())
    assert {one.name for one in plan.tensors} == set(BARE_VAE)
    assert plan.identity.kind is ModelKind.VAE
    assert plan.operation == "fixed"
    assert all(notice.startswith("fixed: took ") for notice in plan.notices)


def test_what_only_some_names_begin_with_is_no_wrapper() -> None:
    source = MadeSource(made({"module.weight": (2,), "other.weight": (2,)}))
    plan = make_plan(source, ConvertOptions())
    assert [one.name for one in plan.tensors] == ["module.weight", "other.weight"]
    assert plan.notices == ()


def test_a_compiled_model_loses_the_mark_within_its_names() -> None:
    compiled = renamed(
        SD1_UNET, lambda name: name.replace("diffusion_model.", "diffusion_model._orig_mod.")
    )
    plan = make_plan(MadeSource(made(compiled, SD1_VAE, SD1_CLIP)), ConvertOptions())
    assert {one.name for one in plan.tensors} == set(sd1_pruned().tensors)
    assert plan.notices == (f"fixed: took _orig_mod out of {len(SD1_UNET)} names",)


def test_the_text_encoder_of_old_files_gets_the_level_that_its_names_lack() -> None:
    old = renamed(SD1_CLIP, lambda name: name.replace(".text_model.", "."))
    plan = make_plan(MadeSource(made(SD1_UNET, SD1_VAE, old)), ConvertOptions())
    assert {one.name for one in plan.tensors} == set(sd1_pruned().tensors)
    assert len(plan.renamed) == len(SD1_CLIP)


@pytest.mark.parametrize(
    ("part", "prefix"), [(SD1_UNET, UNET), (SD1_UNET, "model."), (SD1_VAE, VAE), (SD1_CLIP,
     "cond_stage_model.transformer.")]
)  # fmt: skip
def test_a_part_that_lost_its_prefix_gets_it_back(part: Shapes, prefix: str) -> None:
    others = [one for one in (SD1_UNET, SD1_VAE, SD1_CLIP) if one is not part]
    lost = renamed(part, lambda name: name.removeprefix(prefix))
    plan = make_plan(MadeSource(made(*others, lost)), ConvertOptions())
    assert {one.name for one in plan.tensors} == set(sd1_pruned().tensors)
    assert plan.notices == (
        f"fixed: put {prefix} before {len(part)} names that had lost it",
    )  # fmt: skip


def test_a_component_in_a_file_of_its_own_has_lost_nothing() -> None:
    plan = make_plan(MadeSource(made(BARE_VAE)), ConvertOptions())
    assert plan.renamed == ()


def test_names_are_left_alone_where_fixing_is_switched_off() -> None:
    source = MadeSource(made(renamed(BARE_VAE, lambda name: "module." + name)))
    assert make_plan(source, AS_IT_IS).renamed == ()


def test_a_mended_name_never_takes_that_of_another_tensor() -> None:
    clash = "cond_stage_model.transformer.final_layer_norm.weight"
    source = MadeSource({**sd1_pruned().tensors, clash: Made(clash, "F32", (768,))})
    names = [one.name for one in make_plan(source, ConvertOptions()).tensors]
    assert clash in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64", "I32", "U8"])
def test_positions_of_another_type_become_whole_numbers(dtype: str) -> None:
    ids = Made(IDS, dtype, (1, 77), range(77))
    source = MadeSource({**sd1_pruned().tensors, IDS: ids})
    plan = make_plan(source, ConvertOptions(dtype=Precision.FP16))
    fixed = next(one for one in plan.tensors if one.name == IDS)
    assert (fixed.dtype, fixed.values.dtype) == ("I64", "I64")
    assert np.frombuffer(bytes_of(fixed.values), "<i8").tolist() == list(range(77))
    assert plan.notices[0] == f"fixed: made whole numbers (I64) of positions in {dtype}: {IDS}"


def test_positions_of_a_merge_are_rounded_and_not_cut_off() -> None:
    merged = Positions(Made(IDS, "F32", (1, 77), [place - 0.02 for place in range(77)]))
    assert np.frombuffer(bytes_of(merged), "<i8").tolist() == list(range(77))


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        ("BOOL", [1] * 77),
        ("F32", [float("nan")] * 77),
        ("F32", [1e30] * 77),
        ("F16", [-5.0] * 77),
        ("F8_E4M3", None),
    ],
)
def test_positions_that_say_nothing_any_more_are_counted_anew(
    dtype: str, numbers: list[float] | None
) -> None:
    lost = Positions(Made(IDS, dtype, (1, 77), numbers))
    assert np.frombuffer(bytes_of(lost), "<i8").tolist() == list(range(77))


def test_positions_that_are_right_are_those_of_the_source() -> None:
    source = sd1_pruned()
    plan = make_plan(source, ConvertOptions(dtype=Precision.FP16))
    kept = next(one for one in plan.tensors if one.name == IDS)
    assert kept.values is source.tensors[IDS]
    assert kept.dtype == "I64"


def test_a_huge_tensor_called_like_positions_is_left_alone() -> None:
    source = MadeSource(made({"a.weight": (2,)}))
    huge = Made("text.position_ids", "F32", (1, 1 << 20))
    plan = make_plan(MadeSource({**source.tensors, huge.name: huge}), ConvertOptions())
    assert plan.tensors[1].values is huge


def test_an_embedding_gets_the_name_that_programs_read() -> None:
    source = MadeSource(
        made({"string_to_param.*": (4, 768)}), metadata={"name": "thing", "step": "500"}
    )
    plan = make_plan(source, ConvertOptions())
    assert [one.name for one in plan.tensors] == ["emb_params"]
    assert plan.identity.kind is ModelKind.EMBEDDING
    assert plan.metadata == {"name": "thing", "step": "500"}


def test_a_hypernetwork_is_refused_since_no_program_would_read_it() -> None:
    layers = {f"768.{half}.linear.{n}.weight": shape for half in (0, 1)
              for n, shape in ((0, (1536, 768)), (1, (768, 1536)))}  # fmt: skip
    source = MadeSource(made(layers))
    with pytest.raises(ConversionRefused, match="a hypernetwork"):
        make_plan(source, ConvertOptions())


def test_a_controlnet_stays_under_its_names() -> None:
    source = MadeSource(made(listed("ControlNet-v1-SD", "control_model.")))
    plan = make_plan(source, ConvertOptions(dtype=Precision.FP16, prune=True))
    assert plan.identity.kind is ModelKind.CONTROLNET
    assert [one.name for one in plan.tensors] == list(source.tensors)
    assert {one.dtype for one in plan.tensors} == {"F16"}
