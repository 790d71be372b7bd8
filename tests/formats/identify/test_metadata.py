from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.formats.identify.metadata import MetadataFacts, read
from modelhub.formats.identity import ModelKind


def guessed(facts: MetadataFacts, field: str) -> bool:
    found = [one for one in facts.evidence if one.field == field]
    assert found, field
    return not found[0].certain


def frequency(
    tags: dict[str, dict[str, int]], images: dict[str, int] | None = None
) -> dict[str, str]:
    folders = {folder: {"img_count": count} for folder, count in (images or {}).items()}
    return {"ss_tag_frequency": json.dumps(tags), "ss_dataset_dirs": json.dumps(folders)}


@pytest.mark.parametrize(
    ("named", "architecture", "edition", "kind"),
    [
        ("stable-diffusion-v1", "sd1", None, None),
        ("stable-diffusion-v1/lora", "sd1", None, ModelKind.LORA),
        ("stable-diffusion-v1/textual-inversion", "sd1", None, ModelKind.EMBEDDING),
        ("stable-diffusion-v2-768-v", "sd2", "768-v", None),
        ("stable-diffusion-v2-512/lora", "sd2", "512-base", ModelKind.LORA),
        ("stable-diffusion-xl-v1-base/lora", "sdxl", None, ModelKind.LORA),
        ("stable-diffusion-xl-v1-base/controlnet", "sdxl", None, ModelKind.CONTROLNET),
        ("stable-diffusion-xl-v1-refiner", "sdxl", "refiner", None),
        ("stable-diffusion-3-m", "sd3", "3 medium", None),
        ("stable-diffusion-v3.5-large/lora", "sd3", "3.5 large", ModelKind.LORA),
        ("flux-1-dev/lora", "flux", "dev", ModelKind.LORA),
        ("Flux.1-schnell", "flux", "schnell", None),
        ("Flux.1-dev/kontext", "flux", "kontext", None),
        ("Flux.2-klein-9b/lora", "flux2", "klein 9B", ModelKind.LORA),
        ("chroma/lora", "chroma", None, ModelKind.LORA),
        ("lumina-2/lora", "lumina", None, ModelKind.LORA),
        ("hunyuan-video/lora", "hunyuanvideo", None, ModelKind.LORA),
        ("wan2.1/lora", "wan", None, ModelKind.LORA),
        ("Qwen-Image-Edit/lora", "qwen", "edit", ModelKind.LORA),
        ("Z-Image/lora", "zimage", None, ModelKind.LORA),
        ("anima-preview", "anima", None, None),
        ("genmo-mochi-1/vae", "mochi", None, ModelKind.VAE),
        ("nobody-knows-this-1", None, None, None),
    ],
)
def test_the_architectures_of_modelspec_are_understood(
    named: str, architecture: str | None, edition: str | None, kind: ModelKind | None
) -> None:
    facts = read({"modelspec.architecture": named})
    assert (facts.architecture, facts.edition, facts.kind) == (architecture, edition, kind)


@pytest.mark.parametrize(
    ("version", "architecture"),
    [
        ("sd_v1", "sd1"), ("sd_v2", "sd2"), ("sdxl_base_v1-0", "sdxl"), ("flux1", "flux"),
        ("sd3", "sd3"), ("chroma", "chroma"), ("hunyuan_video", "hunyuanvideo"), ("wan", "wan"),
        ("qwen_image", "qwen"), ("z_image", "zimage"), ("framepack", "hunyuanvideo"),
        ("flux_kontext", "flux"), ("lumina2", "lumina"),
    ],
)  # fmt: skip
def test_the_base_of_the_trainers_is_understood(version: str, architecture: str) -> None:
    assert read({"ss_base_model_version": version}).architecture == architecture


@pytest.mark.parametrize(
    ("key", "value", "family"),
    [
        ("ss_sd_model_name", "ponyDiffusionV6XL_v6StartWithThisOne.safetensors", "pony"),
        ("ss_sd_model_name", "Illustrious-XL-v0.1.safetensors", "illustrious"),
        ("ss_sd_model_name", "noobaiXLNAIXL_epsilonPred10Version.safetensors", "noobai"),
        ("modelspec.title", "my_animagine_style", "animagine"),
        ("ss_base_model_version", "sdxl_pony", "pony"),
    ],
)
def test_a_family_told_by_a_name_is_a_guess(key: str, value: str, family: str) -> None:
    facts = read({key: value})
    assert facts.family == family
    assert guessed(facts, "family")


def test_a_family_named_as_the_architecture_is_no_guess() -> None:
    facts = read({"modelspec.architecture": "illustrious-xl-v1/lora"})
    assert (facts.architecture, facts.family) == ("sdxl", "illustrious")
    assert not guessed(facts, "family")


def test_other_architectures_have_no_family_of_sdxl() -> None:
    assert read({"ss_base_model_version": "flux1", "ss_output_name": "pony"}).family is None


@pytest.mark.parametrize(
    ("title", "variants"),
    [
        ("SDXL_lightning_4step", ("lightning",)),
        ("LCM-LoRA for SD 1.5", ("lcm",)),
        ("myModelTurboV2", ("turbo",)),
        ("Hyper-SD15-8steps", ("hyper",)),
        ("Deliberate inpainting", ("inpainting",)),
        ("hyperrealism", ()),
        ("welcome", ()),
    ],
)
def test_variants_told_by_the_title_are_guesses(title: str, variants: tuple[str, ...]) -> None:
    facts = read({"modelspec.title": title})
    assert facts.variants == variants
    assert facts.title == title
    if variants:
        assert guessed(facts, "variants")


def test_v_prediction_is_a_variant_of_stable_diffusion_only() -> None:
    sdxl = read({"modelspec.prediction_type": "v", "ss_base_model_version": "sdxl_base_v1-0"})
    assert (sdxl.prediction_type, sdxl.variants) == ("v", ("v-prediction",))
    flux = read({"modelspec.prediction_type": "v", "ss_base_model_version": "flux1"})
    assert flux.variants == ()


@pytest.mark.parametrize(
    ("module", "arguments", "adapter"),
    [
        ("networks.lora", "{}", "kohya"),
        ("lycoris.kohya", '{"algo": "lokr", "factor": "8"}', "lokr"),
        ("lycoris.kohya", '{"conv_dim": "4", "algo": "lora"}', "locon"),
        ("lycoris.kohya", "{}", "locon"),
        ("lycoris.kohya", '{"algo": "diag-oft"}', "oft"),
        ("networks.oft", "", "oft"),
        ("my.own.module", "", None),
    ],
)
def test_the_adapter_is_told_by_its_module(
    module: str, arguments: str, adapter: str | None
) -> None:
    facts = read({"ss_network_module": module, "ss_network_args": arguments})
    assert facts.kind is ModelKind.LORA
    assert facts.adapter == adapter


def test_tags_at_nearly_all_images_of_a_folder_are_trigger_words() -> None:
    facts = read(
        frequency({"10_mychar": {"mychar": 20, "red dress": 19, "1girl": 20, "beach": 3}},
                  {"10_mychar": 20})
    )  # fmt: skip
    assert facts.trigger_words == ("mychar", "red dress")


def test_the_folder_gives_the_words_where_there_were_no_captions() -> None:
    assert read(frequency({"10_sks dog": {}}, {"10_sks dog": 12})).trigger_words == ("sks dog",)
    assert read(frequency({"images": {}})).trigger_words == ()


def test_every_folder_has_its_own_words() -> None:
    facts = read(
        frequency({"5_a": {"outfit a": 10, "smile": 10}, "5_b": {"outfit b": 4, "hat": 1}})
    )
    assert facts.trigger_words == ("outfit a", "outfit b")


def test_the_published_phrase_comes_before_any_count() -> None:
    facts = read(
        {"modelspec.trigger_phrase": "mypetcat, fluffy", **frequency({"1_x": {"other": 3}})}
    )
    assert facts.trigger_words == ("mypetcat", "fluffy")


def test_training_is_told_in_words_and_dates_in_utc() -> None:
    facts = read(
        {
            "ss_sd_model_name": "v1-5-pruned.safetensors",
            "ss_network_dim": "32",
            "ss_network_alpha": "16.0",
            "ss_num_epochs": "10",
            "ss_num_train_images": "240",
            "ss_num_reg_images": "0",
            "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit",
            "ss_training_started_at": "1690000000.12",
            "ss_training_finished_at": "1e400",
            "ss_vae_name": "None",
        }
    )
    assert facts.rank == 32
    assert facts.training == {
        "base model": "v1-5-pruned.safetensors",
        "rank": "32",
        "alpha": "16.0",
        "epochs": "10",
        "images": "240",
        "optimizer": "bitsandbytes.optim.adamw.AdamW8bit",
        "started": "2023-07-22T04:26:40+00:00",
    }


@pytest.mark.parametrize(
    ("text", "resolution"),
    [
        ("1024x1024", "1024x1024"), ("(512, 768)", "512x768"), ("512,512", "512x512"),
        ("768", "768x768"), ("None", None), ("big", None),
    ],
)  # fmt: skip
def test_resolutions_are_read_however_they_are_written(text: str, resolution: str | None) -> None:
    assert read({"ss_resolution": text}).resolution == resolution


def test_claimed_hashes_are_kept_as_hex_and_only_as_hex() -> None:
    facts = read(
        {
            "sshs_model_hash": "AB" * 32,
            "sshs_legacy_hash": "deadbeef",
            "modelspec.hash_sha256": "0x" + "cd" * 32,
        }
    )
    assert facts.claims == {
        "sshs_model_hash": "ab" * 32,
        "sshs_legacy_hash": "deadbeef",
        "modelspec.hash_sha256": "cd" * 32,
    }
    assert read({"sshs_model_hash": "../../etc/passwd"}).claims == {}


def test_a_merge_names_what_it_was_made_from() -> None:
    a1111 = {"sd_merge_models": json.dumps({"ab": {"name": "one"}, "cd": {"name": "two"}}),
             "sd_merge_recipe": "{}"}  # fmt: skip
    assert read(a1111).training["merged from"] == "one, two"
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "2": {"class_type": "UNETLoader", "inputs": {"unet_name": ["3", 0]}},
        "4": {"class_type": "KSampler", "inputs": {"seed": 1}},
    }
    comfy = {"prompt": json.dumps(graph), "workflow": "{}"}
    assert read(comfy).training == {"merged from": "a.safetensors", "made with": "ComfyUI"}


def test_gguf_and_diffusers_speak_too() -> None:
    gguf = read({"general.architecture": "flux", "general.name": "Flux.1 dev Q4"})
    assert (gguf.architecture, gguf.title) == ("flux", "Flux.1 dev Q4")
    assert read({"_class_name": "FluxControlNetModel"}).kind is ModelKind.CONTROLNET
    assert read({"_class_name": "UNet2DConditionModel"}).kind is ModelKind.DIFFUSION_MODEL


def test_a_thumbnail_is_kept_out_and_texts_are_cut() -> None:
    facts = read(
        {
            "modelspec.thumbnail": "data:image/png;base64," + "A" * 100_000,
            "modelspec.title": "T\x1b[31m" + "x" * 1000,
            "modelspec.description": "word " * 10_000,
        }
    )
    assert "base64" not in repr(facts)
    assert facts.title is not None
    assert "\x1b" not in facts.title
    assert len(facts.title) <= 200
    assert facts.description is not None
    assert len(facts.description) <= 4000


_DEEP = "[" * 100_000
_DEEP_TAGS = '{"a":' * 5_000


@pytest.mark.parametrize("text", [_DEEP, _DEEP_TAGS, "{}", "null", '{"a": {"b": -1e999}}',
                                  '{"a": {"b": 99999999999999999999999999}}', '{"a": 1}',
                                  '{"a": {"": 5, "b": -3}}', "\ud800"])  # fmt: skip
def test_hostile_json_is_passed_over(text: str) -> None:
    keys = ("ss_tag_frequency", "ss_dataset_dirs", "sd_merge_models", "prompt", "software")
    facts = read(dict.fromkeys(keys, text))
    assert facts.trigger_words in ((), ("b",))


def test_counts_too_long_to_parse_are_passed_over() -> None:
    tags = {"1_x": {f"tag {number}": 1 for number in range(400_000)}}
    text = json.dumps(tags)
    assert len(text) > 4 << 20
    started = time.thread_time()
    assert read({"ss_tag_frequency": text}).trigger_words == ()
    assert time.thread_time() - started < 0.05


def test_nothing_said_is_nothing() -> None:
    assert read({}) == read({"format": "pt"}) == MetadataFacts()


_KEYS = st.sampled_from(
    [
        *("modelspec.architecture", "modelspec.title", "modelspec.resolution", "ss_resolution"),
        *("ss_network_module", "ss_network_args", "ss_network_dim", "ss_tag_frequency", "prompt"),
        *("ss_dataset_dirs", "ss_training_started_at", "sshs_model_hash", "sd_merge_models"),
        *("modelspec.trigger_phrase", "ss_sd_model_name", "software", "_class_name"),
        *("modelspec.prediction_type", "general.architecture", "ss_base_model_version"),
    ]
)
_JSON = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
).map(json.dumps)
_VALUES = st.text(max_size=60) | _JSON | st.integers().map(str) | st.floats().map(str)


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=8))
def test_no_metadata_make_it_raise(metadata: dict[str, str]) -> None:
    facts = read(metadata)
    assert all(isinstance(one.because, str) for one in facts.evidence)
