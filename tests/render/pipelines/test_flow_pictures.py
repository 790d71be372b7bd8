"""Small models of flow matching, each rendered for real on the CPU, of one file or of several."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.weights import flux, sd3
from modelhub.demo.weights.tables import under
from modelhub.render.answers import Loading, Stepped, Told
from modelhub.render.pipelines.assembling import Assembled
from modelhub.render.pipelines.cache import Part
from modelhub.render.request import Recipe, Request, Settings
from modelhub.render.samplers import SAMPLERS, make_scheduler, sampling
from tests.render.pipelines.conftest import SIZE, Assembler, called
from tests.render.pipelines.flow_models import SD3, T5, VAE, Shelf
from tests.render.pipelines.seeing import whole_qwen3_vl
from tests.render.pipelines.tokenizer_folder import write_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")


def _picture(assembled: Assembled, **options: Any) -> Any:
    return called(assembled.pipe, steps=2, width=SIZE, height=SIZE, **options)


def _plain_sd3(path: str, ours: Assembled, folder: Path) -> Any:
    """The pipeline that diffusers itself makes of the file."""
    import diffusers

    index: dict[str, Any] = {"_class_name": "StableDiffusion3Pipeline"}
    for name, part in ours.parts.items():
        library, kind = part.model_class
        index[name] = [library, kind]
        (folder / name).mkdir(parents=True)
        config = part.module.config
        text = config.to_json_string() if library == "transformers" else json.dumps(dict(config))
        (folder / name / "config.json").write_text(text)
    for name in ("tokenizer", "tokenizer_2"):
        index[name] = ["transformers", "CLIPTokenizer"]
        getattr(ours.pipe, name).save_pretrained(folder / name)
    index["scheduler"] = ["diffusers", "FlowMatchEulerDiscreteScheduler"]
    ours.pipe.scheduler.save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index))
    pipe = diffusers.StableDiffusion3Pipeline.from_single_file(
        path, config=str(folder), local_files_only=True, text_encoder_3=None, tokenizer_3=None
    )
    pipe.set_progress_bar_config(disable=True)
    for name in ours.parts:
        for tensor in getattr(pipe, name).parameters():
            tensor.data = tensor.data.clone()
    return pipe


def test_sd3_of_one_file_gives_bit_for_bit_the_picture_of_plain_diffusers(
    shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    path = shelf.file("sd3", SD3)
    ours = assembler(Recipe(model=path))
    made = _picture(ours)
    assert made.shape == (1, 3, SIZE, SIZE)
    assert made.std() > 0.01
    theirs = _plain_sd3(path, ours, tmp_path / "folder")
    assert torch.equal(made, called(theirs, steps=2, width=SIZE, height=SIZE))
    assert any("without the text encoder T5-XXL" in one for one in assembler.warnings)


def test_sd3_5_with_its_normed_heads_and_second_attention_renders(
    shelf: Shelf, assembler: Assembler
) -> None:
    medium = replace(sd3.TINY, head=64, twice=1)
    made = _picture(assembler(Recipe(model=shelf.file("sd35", sd3.checkpoint(medium)))))
    assert made.std() > 0.01


def test_sd3_reads_t5_where_it_is_given_with_its_tokenizer(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    widths = replace(flux.T5_TINY, width=sd3.TINY.joint)
    parts = {
        "text_encoder_3": shelf.file("t5 for sd3", flux.t5_encoder(widths)),
        "tokenizer_3": shelf.tokenizer,
    }
    path = shelf.file("sd3", SD3)
    with_it = assembler(Recipe(model=path, parts=parts))
    assert "text_encoder_3" in with_it.parts
    assert assembler.warnings == []
    assert not torch.equal(_picture(with_it), _picture(assembler(Recipe(model=path))))


@pytest.mark.parametrize("guided", [True, False])
def test_flux_and_its_parts_in_files_of_their_own_make_a_picture(
    guided: bool, shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    assembled = assembler(shelf.flux(guided=guided))
    assert assembled.pipe.scheduler.config.use_dynamic_shifting is guided
    strong, weak = (_picture(assembled, guidance_scale=one) for one in (9.0, 1.0))
    assert strong.shape == (1, 3, SIZE, SIZE)
    assert strong.std() > 0.01
    assert torch.equal(strong, weak) is not guided


def test_flux_in_one_file_gives_the_picture_of_its_parts(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    whole = shelf.file(
        "flux whole",
        [
            *under("model.diffusion_model.", flux.transformer(flux.TINY)),
            *under("vae.", sd3.autoencoder(VAE)),
            *under("text_encoders.clip_l.transformer.", sd3.text_encoder(sd3.TINY)),
            *under("text_encoders.t5xxl.transformer.", T5),
        ],
    )
    made = assembler(Recipe(model=whole, parts={"tokenizer_2": shelf.tokenizer}))
    assert {name: one.model_class[1] for name, one in made.parts.items()} == {
        "transformer": "FluxTransformer2DModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "T5EncoderModel",
    }
    assert _picture(made).std() > 0.01


def test_a_tokenizer_is_a_folder_its_file_or_lies_in_the_folder_of_a_pipeline(
    shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    recipe = shelf.flux()
    expected = _picture(assembler(recipe))
    file = str(Path(shelf.tokenizer) / "tokenizer.json")
    assert torch.equal(_picture(assembler(shelf.flux({"tokenizer_2": file}))), expected)
    (tmp_path / "text_encoder_2").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    write_tokenizer(tmp_path / "tokenizer_2")
    t5 = tmp_path / "text_encoder_2" / "model.safetensors"
    t5.hardlink_to(recipe.parts["text_encoder_2"])
    parts = {**recipe.parts, "text_encoder_2": str(t5)}
    del parts["tokenizer_2"]
    beside = assembler(Recipe(model=recipe.model, vae=recipe.vae, parts=parts))
    assert torch.equal(_picture(beside), expected)


_KINDS = ("sd3", "flux", "flux2", "klein", "chroma", "zimage", "lumina", "auraflow", "qwen",
          "qwen21", "krea2")  # fmt: skip


def _plain_module(part: Part) -> Any:
    """The module made in full, as the libraries make it, with the same numbers in it."""
    import importlib

    import torch

    of, name = part.model_class
    if hasattr(part.module, "model") and name == "Qwen3VLTextModel":
        return whole_qwen3_vl(part.module)
    kind = getattr(importlib.import_module(of), name)
    config = part.module.config
    plain = kind.from_config(dict(config)) if of == "diffusers" else kind(config)
    if isinstance(getattr(part.module, "norm", None), torch.nn.Identity):
        plain.norm = torch.nn.Identity()
    plain.load_state_dict(part.module.state_dict(), strict=True)
    return plain.eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("architecture", _KINDS)
def test_every_kind_gives_the_picture_of_modules_that_were_made_in_full(
    architecture: str, shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    assembled = assembler(shelf.recipe(architecture))
    made = _picture(assembled)
    assert made.shape == (1, 4 if architecture == "qwen21" else 3, SIZE, SIZE)
    assert made.std() > 0.01
    assembled.pipe.register_modules(
        **{name: _plain_module(one) for name, one in assembled.parts.items()}
    )
    assert torch.allclose(_picture(assembled), made, atol=1e-5)


@pytest.mark.parametrize("architecture", _KINDS)
def test_the_prompt_reaches_every_kind(
    architecture: str, shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    pipe = assembler(shelf.recipe(architecture)).pipe
    cat, dog = (
        pipe(
            prompt=prompt,
            generator=torch.Generator().manual_seed(3),
            num_inference_steps=2,
            width=SIZE,
            height=SIZE,
            output_type="pt",
        ).images
        for prompt in ("a cat", "a photo of a dog")
    )
    assert torch.isfinite(cat).all()
    assert not torch.equal(cat, dog)


def test_a_precision_rounds_every_part(shelf: Shelf, assembler: Assembler, torch: Any) -> None:
    from modelhub.convert.options import Precision

    recipe = shelf.flux()
    rounded = assembler(
        Recipe(model=recipe.model, vae=recipe.vae, parts=recipe.parts, precision=Precision.BF16)
    )
    assert rounded.label == "bf16 weights, fp32 arithmetic"
    for part in rounded.parts.values():
        for name, tensor in part.tensors.items():
            assert torch.equal(tensor, tensor.bfloat16().float()), name
    assert not torch.equal(_picture(rounded), _picture(assembler(recipe)))


@pytest.mark.parametrize("model", _KINDS)
def test_the_worker_renders_every_kind_from_plain_text(
    model: str, shelf: Shelf, torch: Any
) -> None:
    from modelhub.render.worker.run import Renderer

    recipe = shelf.recipe(model)
    settings = Settings(
        prompt="a (cat:1.4)", negative="a dog", seed=3, steps=2, width=SIZE, height=SIZE
    )
    told: list[Told | Stepped | Loading] = []
    made = Renderer(1 << 30).render(
        Request(id="1", recipe=recipe, settings=settings, preview=True),
        told.append,
        threading.Event(),
    )
    assert (made.width, made.height, made.faults) == (SIZE, SIZE, ())
    assert made.settings.sampler == "Euler"
    texts = [one.text for one in told if isinstance(one, Told)]
    assert any("weights in a prompt" in one for one in texts)
    assert any("no negative prompt" in one for one in texts) is (model in ("flux", "flux2"))
    steps = [one for one in told if isinstance(one, Stepped)]
    assert [one.done for one in steps] == [0, 1, 2]
    assert all(one.preview.startswith(b"\x89PNG") for one in steps[1:])


@pytest.mark.parametrize("architecture", [one for one in _KINDS if one not in ("klein", "krea2")])
def test_every_sampler_of_flow_matching_renders_every_kind(
    architecture: str, shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    assembled = assembler(shelf.recipe(architecture))
    able = [one.name for one in SAMPLERS if one.flow is not None]
    assert len(able) > 4
    made = {}
    for name in able:
        assembled.pipe.scheduler = make_scheduler(sampling(name, "simple"), assembled.scheduler)
        made[name] = _picture(assembled)
        assert torch.isfinite(made[name]).all(), name
        assert made[name].std() > 0.01, name
    assert not torch.equal(made["Euler"], made["Heun"])


def test_samplers_move_the_noise_alike_for_a_size(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    config = assembler(shelf.flux()).scheduler
    levels = {}
    for name in ("Euler", "Heun"):
        scheduler = make_scheduler(sampling(name, "simple"), config)
        scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25], mu=0.8)
        levels[name] = scheduler.sigmas
    # Heun passes each level but the first twice, and begins and ends where it was trained to.
    assert levels["Heun"][0] == pytest.approx(float(levels["Euler"][0]), abs=1e-3)
    assert levels["Heun"].diff().max() <= 0
    unmoved = make_scheduler(sampling("Heun", "simple"), config)
    unmoved.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25], mu=0.0)
    assert (levels["Heun"][1:-2] > unmoved.sigmas[1:-2]).all()


def test_one_step_makes_a_picture_where_the_last_level_is_above_zero(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    assembled = assembler(shelf.recipe("qwen"))
    able = [one.name for one in SAMPLERS if one.flow is not None]
    for name in able:
        assembled.pipe.scheduler = make_scheduler(sampling(name, "simple"), assembled.scheduler)
        made = called(assembled.pipe, steps=1, width=SIZE, height=SIZE)
        assert torch.isfinite(made).all(), name


@pytest.mark.parametrize("architecture", ["sd3", "flux", "flux2", "auraflow"])
def test_a_folder_of_diffusers_gives_the_picture_of_the_single_files(
    architecture: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    assembled = assembler(shelf.recipe(architecture))
    assembled.pipe.save_pretrained(tmp_path / "folder")
    of_folder = Assembler()(Recipe(model=str(tmp_path / "folder")))
    assert of_folder.parts.keys() == assembled.parts.keys()
    assert torch.equal(_picture(of_folder), _picture(assembled))


def test_qwen_2_5_reads_a_text_as_the_whole_model_does_that_can_see(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    import transformers

    ours = assembler(shelf.recipe("qwen")).parts["text_encoder"].module
    seeing = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    config = transformers.Qwen2_5_VLConfig(
        text_config=ours.config.to_dict(),
        vision_config={**seeing, "out_hidden_size": ours.config.hidden_size},
    )
    whole: Any = transformers.Qwen2_5_VLForConditionalGeneration(config)
    whole.eval()
    whole.model.language_model.load_state_dict(ours.state_dict(), strict=True)
    words = {"input_ids": torch.arange(3, 40)[None], "attention_mask": torch.ones(1, 37).long()}
    with torch.no_grad():
        read = [one(**words, output_hidden_states=True).hidden_states[-1] for one in (ours, whole)]
    assert torch.allclose(*read, atol=1e-5)


def test_qwen_image_is_guided_by_what_it_shall_not_show(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    from modelhub.render.worker.drawing import conditioning

    pipe = assembler(shelf.recipe("qwen")).pipe

    def arguments(cfg: float, negative: str) -> Any:
        settings = Settings(prompt="a cat", negative=negative, cfg=cfg)
        return conditioning(pipe, settings, (), lambda: None, "cpu").arguments

    assert arguments(4.0, "a dog") == {
        "prompt": "a cat",
        "negative_prompt": "a dog",
        "true_cfg_scale": 4.0,
    }
    assert arguments(4.0, "")["negative_prompt"] == " "
    assert "negative_prompt" not in arguments(1.0, "a dog")
