"""Folders and VAEs of diffusers, and opened files: sources that are not tables of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.convert.diffusers import to_diffusers
from modelhub.convert.options import ConvertOptions, Extract, Precision, Target
from modelhub.convert.plan import make_plan, summarize, with_provenance
from modelhub.convert.planning import Reason
from modelhub.convert.readers import open_source
from modelhub.demo.weights import files, sd1
from modelhub.errors import ConversionRefused, FormatError
from modelhub.formats.identify.parts import Role
from modelhub.formats.tensors import FileFormat
from tests.convert.made import MadeBeside, MadeSource, bytes_of, made
from tests.convert.plan.sources import BARE_VAE, SDXL_CLIP_G, sd1_pruned, sdxl

FP16 = ConvertOptions(dtype=Precision.FP16)
DECODER = "first_stage_model.decoder.conv_in.weight"


def folder_of(source: MadeSource, **metadata: str) -> MadeSource:
    folder = to_diffusers(make_plan(source, ConvertOptions(target=Target.DIFFUSERS)))
    tensors = {
        f"{component.folder}/{one.name}": one.values
        for component in folder.components
        for one in component.tensors
    }
    return MadeSource(
        tensors,
        path=Path("/models/folder"),
        format=FileFormat.DIFFUSERS,
        metadata={"_class_name": "StableDiffusionPipeline"} | metadata,
        beside=[MadeBeside("optimizer.bin", 10)],
    )


@pytest.mark.parametrize("source", [sd1_pruned(), sdxl()], ids=["sd1", "sdxl"])
def test_a_folder_becomes_the_single_file_that_it_was(source: MadeSource) -> None:
    plan = make_plan(folder_of(source), FP16)
    names = {one.name for one in plan.tensors}
    assert names | {SDXL_LOGIT} == set(source.tensors) | {SDXL_LOGIT}
    assert {one.dtype for one in plan.tensors} == {"F16", "I64"}


SDXL_LOGIT = "conditioner.embedders.1.model.logit_scale"
"""No folder keeps it: it is needed for training alone."""


def test_every_tensor_of_a_folder_is_accounted_for() -> None:
    assert SDXL_LOGIT in SDXL_CLIP_G
    source = folder_of(sdxl())
    plan = make_plan(source, ConvertOptions(extract=Extract.CLIP_G))
    used = {one.old for one in plan.renamed} | {one.name for one in plan.tensors}
    gone = {one.name for one in plan.dropped}
    assert set(source.tensors) <= used | gone
    assert not used & gone
    assert {one.reason for one in plan.dropped} == {Reason.TRAINING, Reason.OTHER_PART}


def test_parts_of_a_folder_have_their_precision() -> None:
    options = ConvertOptions(dtype=Precision.FP16, part_dtypes={Role.VAE: Precision.FP32})
    plan = make_plan(folder_of(sd1_pruned()), options)
    assert plan.identity.precisions == {"unet": "fp16", "vae": "fp32", "text encoder": "fp16"}


def test_settings_of_a_folder_are_not_carried_over_but_its_prediction_type_is() -> None:
    assert make_plan(folder_of(sd1_pruned()), FP16).metadata == {}
    source = folder_of(sd1_pruned(), **{"scheduler/prediction_type": "v_prediction"})
    assert make_plan(source, FP16).metadata == {"modelspec.prediction_type": "v"}


def test_a_single_file_of_sdxl_is_marked_as_its_scheduler_was_set() -> None:
    settings = {
        "scheduler/prediction_type": "v_prediction", "scheduler/rescale_betas_zero_snr": "True",
    }  # fmt: skip
    source = folder_of(sdxl(), **settings)
    plan = make_plan(source, ConvertOptions(dtype=Precision.FP16, prune=True))
    marks = {one.name: one.nbytes for one in plan.tensors if one.name in ("v_pred", "ztsnr")}
    assert marks == {"v_pred": 0, "ztsnr": 0}
    assert plan.added == {"v_pred", "ztsnr"}
    assert {"v-prediction", "zero-terminal-snr"} <= set(plan.identity.variants)
    unmarked = make_plan(source, ConvertOptions(target=Target.DIFFUSERS))
    assert not unmarked.added


def test_a_folder_of_another_architecture_is_refused_with_its_name() -> None:
    flux = made({"transformer/x_embedder.weight": (4, 4), "text_encoder_9/a": (2,)})
    source = MadeSource(flux, path=Path("/models/flux"), format=FileFormat.DIFFUSERS)
    with pytest.raises(ConversionRefused, match="/models/flux: "):
        make_plan(source, FP16)


def test_a_folder_that_lacks_tensors_is_refused_with_its_name() -> None:
    source = folder_of(sdxl())
    lost = "text_encoder_2/text_model.encoder.layers.3.self_attn.q_proj.weight"
    cut = {name: one for name, one in source.tensors.items() if name != lost}
    with pytest.raises((FormatError, ConversionRefused), match="/models/folder"):
        make_plan(MadeSource(cut, path=source.path, format=FileFormat.DIFFUSERS), FP16)


@pytest.mark.parametrize("prefix", ["", "vae/"])
def test_a_vae_of_diffusers_is_baked_in_under_the_names_of_the_checkpoint(prefix: str) -> None:
    whole = folder_of(sd1_pruned())
    vae = {
        prefix + name.removeprefix("vae/"): one
        for name, one in whole.tensors.items()
        if name.startswith("vae/")
    }
    file = MadeSource(
        vae, path=Path("/m/vae"), format=FileFormat.DIFFUSERS if prefix else FileFormat.SAFETENSORS
    )
    source = sd1_pruned()
    plan = make_plan(source, ConvertOptions(), vae=file)
    by_name = {one.name: one.values for one in plan.tensors}
    assert set(by_name) == set(source.tensors)
    assert bytes_of(by_name[DECODER]) == bytes_of(source.tensors[DECODER])
    assert len(plan.added) == len(BARE_VAE)


def test_a_checkpoint_on_disk_is_planned_as_it_was_written(tmp_path: Path) -> None:
    table = sd1.checkpoint(sd1.TINY)
    path = tmp_path / "model.ckpt"
    files.write_torch_zip(path, table, seed=3)
    before = path.read_bytes()
    with open_source(path) as source:
        options = ConvertOptions(dtype=Precision.FP16, prune=True)
        plan = with_provenance(make_plan(source, options), "ab" * 32, title=path.stem)
        summary = summarize(plan)
    assert [one.name for one in plan.tensors] == [one.name for one in table]
    assert summary.before.nbytes == sum(one.nbytes for one in table)
    assert plan.operation == "fp16, pruned"
    assert path.read_bytes() == before
