"""Wan: a model of video that makes one picture, of published layouts and for real on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.weights.tables import under
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.identity import Identity
from modelhub.render.answers import Loading, Stepped, Told
from modelhub.render.pipelines.assembling import Assembled
from modelhub.render.pipelines.blank import blank_inputs
from modelhub.render.pipelines.flow.autoencoders import autoencoder_of
from modelhub.render.pipelines.flow.configs import transformer_config
from modelhub.render.pipelines.flow.encoders import encoder_of
from modelhub.render.pipelines.flow.names import rules_for
from modelhub.render.pipelines.flow.renaming import renamed
from modelhub.render.pipelines.libraries import library
from modelhub.render.request import Recipe, Request, Settings
from modelhub.render.samplers import make_scheduler, sampling
from modelhub.render.worker.decoding import decode
from tests.formats.identify.real_headers import descriptions, shapes_of
from tests.render.pipelines import qwen_tables, wan_models, wan_tables
from tests.render.pipelines.conftest import SIZE, Assembler
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.shapes import planned
from tests.render.pipelines.wan_models import OF_5B
from tests.render.pipelines.wan_tables import TINY, Widths

pytestmark = pytest.mark.filterwarnings("ignore")
_STEPS = 4
"""So many that the noise falls under the boundary of Wan 2.2."""


@pytest.fixture(name="both")
def _both(shelf: Shelf) -> Recipe:
    return wan_models.both(shelf)


def _latents(pipe: Any, **options: Any) -> Any:
    import torch

    return pipe(
        "a photo of a cat",
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=_STEPS,
        output_type="latent",
        **blank_inputs("WanPipeline", SIZE, SIZE),
        **options,
    )[0]


_PUBLISHED: dict[str, dict[str, Any]] = {
    "wan21-t2v-1.3b": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "wan21-t2v-14b": {},
    "wan21-t2v-14b-diffusers": {},
    "wan22-ti2v-5b": {
        "num_attention_heads": 24,
        "ffn_dim": 14336,
        "num_layers": 30,
        "in_channels": 48,
        "out_channels": 48,
    },
}
"""Settings of the published models that are not the defaults of the class."""


@pytest.mark.parametrize("model", _PUBLISHED)
def test_a_published_header_makes_the_published_module(model: str, torch: Any) -> None:
    from modelhub.render.pipelines.modules import empty_module

    tensors = planned(shapes_of(descriptions()[model]))
    made = {one.name: one.values.shape for one in renamed(rules_for("wan", tensors), tensors, 0)}
    module = empty_module(
        ("diffusers", "WanTransformer3DModel"), transformer_config("wan", PartShapes(made))
    )
    assert {name: tuple(one.shape) for name, one in module.state_dict().items()} == made
    with torch.device("meta"):
        expected = library("diffusers").WanTransformer3DModel(**_PUBLISHED[model]).config
    for name, value in expected.items():
        if not name.startswith("_"):
            assert module.config[name] == (list(value) if isinstance(value, tuple) else value), name


@pytest.mark.parametrize(
    ("model", "published"),
    [
        ("wan21-vae", {}),
        (
            "wan22-vae",
            {
                "base_dim": 160,
                "decoder_base_dim": 256,
                "z_dim": 48,
                "is_residual": True,
                "in_channels": 12,
                "out_channels": 12,
                "patch_size": 2,
                "scale_factor_spatial": 16,
            },
        ),
    ],
)
def test_a_published_vae_makes_the_published_module(
    model: str, published: dict[str, Any], torch: Any
) -> None:
    from modelhub.render.pipelines.modules import empty_module

    made = autoencoder_of("wan", planned(shapes_of(descriptions()[model])), Identity())
    assert made.model_class == "AutoencoderKLWan"
    shapes = {one.name: one.values.shape for one in made.tensors}
    module = empty_module(("diffusers", made.model_class), made.config)
    assert {name: tuple(one.shape) for name, one in module.state_dict().items()} == shapes
    with torch.device("meta"):
        expected = library("diffusers").AutoencoderKLWan(**published).config
    for name in ("base_dim", "decoder_base_dim", "z_dim", "num_res_blocks", *published):
        assert module.config[name] == expected[name], name
    assert len(module.config["latents_mean"]) == len(module.config["latents_std"]) == made.channels
    again = autoencoder_of("wan", planned(shapes), Identity())
    assert again.config == made.config


def test_umt5_under_wans_own_names_makes_the_module_of_transformers(torch: Any) -> None:
    from modelhub.render.pipelines.modules import empty_module

    made = encoder_of(planned(shapes_of(descriptions()["wan-umt5-xxl"])))
    assert (made.model_class, made.width) == ("UMT5EncoderModel", 4096)
    module = empty_module(("transformers", made.model_class), made.config)
    shapes = {one.name: one.values.shape for one in made.tensors}
    assert {
        name: tuple(one.shape)
        for name, one in module.state_dict().items()
        if name != "encoder.embed_tokens.weight"
    } == shapes
    published = {"d_ff": 10240, "d_kv": 64, "num_heads": 64, "num_layers": 24, "vocab_size": 256384}
    for name, value in published.items():
        assert getattr(module.config, name) == value, name


def _plain_pipeline(recipe: Recipe, ours: Assembled) -> Any:
    """The pipeline as diffusers' own conversions make it of the files."""
    from diffusers.loaders import single_file_utils as converting
    from safetensors.torch import load_file

    of_transformer: Any = converting.convert_wan_transformer_to_diffusers
    of_vae: Any = converting.convert_wan_vae_to_diffusers
    modules: dict[str, Any] = {}
    for name, path, convert in (
        ("transformer", recipe.model, of_transformer),
        ("transformer_2", recipe.parts.get("transformer_2"), of_transformer),
        ("vae", recipe.vae, of_vae),
    ):
        if path is not None:
            part = ours.parts[name].module
            modules[name] = type(part).from_config(dict(part.config))
            modules[name].load_state_dict(convert(load_file(path)), strict=True)
    text = library("transformers").UMT5EncoderModel(ours.parts["text_encoder"].module.config)
    text.load_state_dict(load_file(recipe.parts["text_encoder"]), strict=False)
    both = "transformer_2" in modules
    pipe = library("diffusers").WanPipeline(
        tokenizer=ours.pipe.tokenizer,
        text_encoder=text.eval(),
        scheduler=library("diffusers").UniPCMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=12.0 if both else 5.0,
        ),
        boundary_ratio=0.875 if both else None,
        **modules,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _is_picture_of(recipe: Recipe, assembled: Assembled, torch: Any) -> None:
    chosen = sampling("UniPC bh2", "simple")
    assembled.pipe.scheduler = make_scheduler(chosen, assembled.scheduler)
    latents = _latents(assembled.pipe)
    made = decode(assembled.pipe.vae, latents)
    theirs = _plain_pipeline(recipe, assembled)
    assert torch.equal(_latents(theirs), latents)
    frames = theirs(
        "a photo of a cat",
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=_STEPS,
        output_type="pt",
        width=SIZE,
        height=SIZE,
        num_frames=1,
    ).frames
    assert made.shape == (SIZE, SIZE, 3)
    assert made.std() > 0.01
    assert torch.allclose(frames[0, 0].permute(1, 2, 0), torch.from_numpy(made), atol=1e-6)


def test_wan_gives_the_picture_of_plain_diffusers(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    recipe = wan_models.recipe(shelf)
    _is_picture_of(recipe, assembler(recipe), torch)
    assert assembler.warnings == []


def test_both_transformers_of_2_2_give_the_picture_of_plain_diffusers(
    both: Recipe, assembler: Assembler, torch: Any
) -> None:
    assembled = assembler(both)
    _is_picture_of(both, assembled, torch)
    assert assembler.warnings == []
    modules = [assembled.parts[name].module for name in ("transformer", "transformer_2")]
    assert not torch.equal(*(one.patch_embedding.weight for one in modules))
    used: list[str] = []
    for name in ("transformer", "transformer_2"):
        module = assembled.parts[name].module
        module.register_forward_pre_hook(lambda *_, name=name: used.append(name))
    _latents(assembled.pipe, guidance_scale=1.0)
    assert used == ["transformer", "transformer", "transformer", "transformer_2"]


def test_a_folder_of_2_2_has_both_transformers(
    both: Recipe, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    assembled = assembler(both)
    assembled.pipe.save_pretrained(tmp_path / "folder")
    of_folder = Assembler()(Recipe(model=str(tmp_path / "folder")))
    assert of_folder.parts.keys() == assembled.parts.keys()
    assert torch.equal(_latents(of_folder.pipe), _latents(assembled.pipe))


def test_one_file_has_all_parts_and_umt5_may_have_wans_own_names(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    whole = shelf.file(
        "wan whole",
        [
            *under("model.diffusion_model.", wan_tables.transformer(TINY)),
            *under("vae.", qwen_tables.autoencoder(8)),
            *under("text_encoders.umt5xxl.transformer.", wan_tables.text_encoder()),
        ],
    )
    parts = {"tokenizer": shelf.tokenizer}
    made = assembler(Recipe(model=whole, parts=parts))
    assert made.parts["transformer"].model_class[1] == "WanTransformer3DModel"
    assert made.parts["text_encoder"].model_class[1] == "UMT5EncoderModel"
    own = shelf.file("umt5 of wan", wan_tables.text_encoder_of_wan())
    of_comfy = shelf.file("umt5", wan_tables.text_encoder())
    named, again = (
        assembler(Recipe(model=whole, parts={**parts, "text_encoder": path}))
        .parts["text_encoder"]
        .module.state_dict()
        for path in (of_comfy, own)
    )
    assert named.keys() == again.keys()
    for name, one in again.items():
        assert torch.equal(one, named[name]), name


@pytest.mark.parametrize("widths", [TINY, OF_5B], ids=["2.1", "5B"])
@pytest.mark.parametrize("sampler", [None, "Euler", "Heun", "DPM++ 2M"])
def test_the_worker_renders_one_picture_of_plain_text(
    widths: Widths, sampler: str | None, shelf: Shelf, torch: Any
) -> None:
    from modelhub.render.worker.run import Renderer

    settings = Settings(
        prompt="a (cat:1.4)", negative="a dog", seed=3, steps=2, width=SIZE, height=SIZE,
        sampler=sampler,
    )  # fmt: skip
    told: list[Told | Stepped | Loading] = []
    recipe = wan_models.recipe(shelf, f"wan of {widths.given}", widths)
    made = Renderer(1 << 30).render(
        Request(id="1", recipe=recipe, settings=settings, preview=True),
        told.append,
        threading.Event(),
    )
    assert (made.width, made.height, made.faults) == (SIZE, SIZE, ())
    assert made.settings.sampler == (sampler or "UniPC bh2")
    steps = [one for one in told if isinstance(one, Stepped)]
    assert steps[-1].done == 2
    # Colours are known of the latents of 2.1 alone.
    assert bool(steps[-1].preview) is (widths is TINY)
