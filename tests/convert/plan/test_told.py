"""What a plan tells: metadata of the result, its numbers, and what loads it."""

from __future__ import annotations

import json

import pytest

from modelhub import __version__
from modelhub.convert.options import ConvertOptions, Extract, Precision, Target
from modelhub.convert.plan import loads_in, make_plan, summarize, with_provenance
from modelhub.convert.plan.loaders import loaders_of
from modelhub.convert.planning import Reason
from modelhub.errors import ConversionRefused
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import FileFormat
from tests.convert.made import Made, MadeSource, made
from tests.convert.plan.sources import sd1_full, sd1_pruned, sdxl, vae_file
from tests.formats.identify.layouts import listed

FP16 = ConvertOptions(dtype=Precision.FP16)
SHA = "ab" * 32


def safetensors(source: MadeSource, metadata: dict[str, str]) -> MadeSource:
    return MadeSource(source.tensors, format=FileFormat.SAFETENSORS, metadata=metadata)


def result(source: MadeSource, options: ConvertOptions = FP16) -> dict[str, str]:
    return dict(with_provenance(make_plan(source, options), SHA, title="my model").metadata)


def test_a_result_says_what_it_was_made_of_and_how() -> None:
    assert result(sd1_full()) == {
        "epoch": "12",
        "global_step": "470000",
        "format": "pt",
        "modelhub.source_sha256": SHA,
        "modelhub.origin_sha256": SHA,
        "modelhub.operation": "fp16",
        "modelhub.version": __version__,
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": "my model",
    }


def test_metadata_of_the_source_are_kept_but_for_hashes_of_its_bytes() -> None:
    kept = {"ss_tag_frequency": '{"x": {}}' * 2_000, "modelspec.title": "Theirs", "anything": "é"}
    stale = {
        "sshs_model_hash": "1" * 64, "sshs_legacy_hash": "2" * 8, "modelspec.hash_sha256": "0x3",
        "modelspec.unet_dtype": "fp32",
    }  # fmt: skip
    metadata = result(safetensors(sd1_pruned(), kept | stale))
    assert kept.items() <= metadata.items()
    assert not stale.keys() & metadata.keys()


def test_a_specification_that_is_there_stays_as_it_is() -> None:
    theirs = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "sgm",
        "modelspec.title": "Theirs",
        "modelspec.author": "Them",
        "modelspec.date": "2023-07-16",
    }
    assert theirs.items() <= result(safetensors(sd1_pruned(), theirs)).items()


def test_a_conversion_of_a_conversion_names_both_files() -> None:
    before = {"modelhub.source_sha256": "cd" * 32, "modelhub.origin_sha256": "ef" * 32,
              "modelhub.operation": "ema, pruned"}  # fmt: skip
    metadata = result(safetensors(sd1_pruned(), before))
    assert metadata["modelhub.source_sha256"] == SHA
    assert metadata["modelhub.origin_sha256"] == "ef" * 32
    assert metadata["modelhub.operation"] == "fp16"


def test_the_source_is_left_out_where_its_hash_is_not_known() -> None:
    metadata = with_provenance(make_plan(sd1_pruned(), FP16), None).metadata
    assert not any(key.endswith("_sha256") for key in metadata)


def test_an_architecture_that_modelspec_has_no_name_for_is_not_specified() -> None:
    source = MadeSource(made({"conv_first.weight": (64, 3, 3, 3)}))
    assert not any(key.startswith("modelspec.") for key in result(source))


@pytest.mark.parametrize(
    ("source", "options", "architecture"),
    [
        (sdxl(), FP16, "stable-diffusion-xl-v1-base"),
        (sdxl(), ConvertOptions(extract=Extract.UNET), "stable-diffusion-xl-v1-base"),
        (sdxl(), ConvertOptions(extract=Extract.VAE), "stable-diffusion-xl-v1-base/vae"),
        (MadeSource(made({"emb_params": (4, 768)})), FP16, "stable-diffusion-v1/textual-inversion"),
        (MadeSource(made(listed("LoRA-v1-UNET"))), FP16, "stable-diffusion-v1/lora"),
    ],
)
def test_architectures_have_the_names_of_modelspec(
    source: MadeSource, options: ConvertOptions, architecture: str
) -> None:
    assert result(source, options)["modelspec.architecture"] == architecture


def test_v_prediction_is_said_in_the_metadata_too() -> None:
    source = MadeSource({**sdxl().tensors, "v_pred": Made("v_pred", "F32", (0,))})
    assert result(source)["modelspec.prediction_type"] == "v"


def test_what_is_beside_the_tensors_of_a_pickle_is_kept_where_it_is_short() -> None:
    source = MadeSource(
        sd1_pruned().tensors, metadata={"note": "n" * 1_000, "log": "l" * 1_001, "k" * 300: ""}
    )
    metadata = make_plan(source, FP16).metadata
    assert set(metadata) == {"note"}


def test_metadata_without_end_are_cut_at_a_bound() -> None:
    source = safetensors(sd1_pruned(), {f"key{n}": "x" * (1 << 20) for n in range(40)})
    assert 10 < len(make_plan(source, FP16).metadata) < 17


def test_the_numbers_of_a_plan_are_those_of_its_tensors() -> None:
    summary = summarize(make_plan(sd1_full(), FP16))
    assert summary.before.tensors == len(sd1_full().tensors) + 1
    assert summary.dropped == {Reason.TRAINING.value: summary.dropped["training state"]}
    [cast] = summary.casts
    assert (cast.dtype, cast.into) == ("F32", "F16")
    assert cast.after * 2 == cast.before
    assert summary.after.nbytes == summary.before.nbytes - 5_000 - cast.after
    assert (summary.kind, summary.architecture, summary.precision) == ("checkpoint", "sd1", "fp16")


def test_the_numbers_of_a_plan_can_be_written_as_json() -> None:
    summary = summarize(make_plan(sd1_pruned(), FP16, vae=vae_file()))
    data = json.loads(json.dumps(summary.as_json()))
    assert data["dropped"]["replaced"] == {"tensors": 248, "nbytes": summary.added.nbytes}
    assert data["operation"] == "fp16, vae of made.ckpt"


def test_a_checkpoint_of_sdxl_is_for_comfyui_a1111_and_diffusers() -> None:
    assert loads_in(make_plan(sdxl(), FP16)) == (
        "ComfyUI: Load Checkpoint (models/checkpoints)",
        "A1111: models/Stable-diffusion",
        "Forge: models/Stable-diffusion",
        "diffusers: StableDiffusionXLPipeline.from_single_file",
    )


def test_a_folder_is_for_diffusers() -> None:
    lines = loads_in(make_plan(sdxl(), ConvertOptions(target=Target.DIFFUSERS)))
    assert lines[0] == "diffusers: DiffusionPipeline.from_pretrained"
    assert not any("from_single_file" in line for line in lines)


def test_an_extracted_vae_goes_into_the_folders_of_vaes() -> None:
    lines = loads_in(make_plan(sdxl(), ConvertOptions(extract=Extract.VAE)))
    assert lines[:2] == ("ComfyUI: Load VAE (models/vae)", "A1111 and Forge: models/VAE")


def test_a_checkpoint_without_a_vae_is_said_to_need_one() -> None:
    without = {n: v for n, v in sdxl().tensors.items() if not n.startswith("first_stage")}
    assert loads_in(make_plan(MadeSource(without), FP16))[0].endswith(", with a VAE beside")


@pytest.mark.parametrize("kind", [
    ModelKind.CHECKPOINT, ModelKind.DIFFUSION_MODEL, ModelKind.VAE, ModelKind.TEXT_ENCODER,
    ModelKind.CLIP_VISION, ModelKind.LORA, ModelKind.EMBEDDING, ModelKind.CONTROLNET,
    ModelKind.T2I_ADAPTER, ModelKind.IP_ADAPTER, ModelKind.UPSCALER, ModelKind.MOTION_MODULE,
])  # fmt: skip
def test_every_kind_that_is_converted_has_a_program_that_loads_it(kind: ModelKind) -> None:
    assert loaders_of(Identity(kind=kind, architecture="sd1"), Target.SAFETENSORS)
    assert loaders_of(Identity(kind=kind), Target.CKPT)


def test_what_nobody_knows_is_said_to_load_nowhere() -> None:
    assert loads_in(make_plan(MadeSource(made({"a.weight": (2,)})), FP16)) == ()


def test_names_out_of_a_file_cannot_write_to_the_terminal_or_fill_it() -> None:
    name = "a\x1b[2Jb\n" * 100
    source = MadeSource({n: Made(n, "F32", (1, 4)) for n in (f"{name}.position_ids", "b.weight")})
    [notice] = make_plan(source, FP16).notices
    assert notice.isprintable()
    assert len(notice) < 200


def test_a_notice_names_some_of_many_tensors_and_counts_the_others() -> None:
    names = [f"encoders.{n}.position_ids" for n in range(500)]
    source = MadeSource({name: Made(name, "F16", (1, 4)) for name in names})
    [notice] = make_plan(source, FP16).notices
    assert notice.endswith("encoders.2.position_ids and 497 more")


def test_a_file_of_endless_text_encoders_is_refused_at_once() -> None:
    names = [f"conditioner.embedders.{n}.weight" for n in range(3_000)]
    source = MadeSource({name: Made(name, "F32", (2,)) for name in names})
    with pytest.raises(ConversionRefused, match="3,000 text encoders"):
        make_plan(source, ConvertOptions(extract=Extract.CLIP_L))
