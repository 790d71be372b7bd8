"""Sana 1.0 and 1.5: of published layouts, and for real on the CPU."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from modelhub.demo.weights.tables import Table, Tensor
from modelhub.errors import CannotRender, FormatError, PartsMissing, UsageError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.formats.tensors import FileFormat, Header
from modelhub.formats.tensors import Tensor as Entry
from modelhub.render.answers import Loading, Stepped, Told
from modelhub.render.defaults import resolve
from modelhub.render.pipelines.blank import blank_inputs
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.flow import sana
from modelhub.render.pipelines.flow.autoencoders import autoencoder_of
from modelhub.render.pipelines.flow.configs import transformer_config
from modelhub.render.pipelines.flow.names import rules_for
from modelhub.render.pipelines.flow.renaming import renamed
from modelhub.render.pipelines.libraries import library
from modelhub.render.request import Recipe, Request, Settings
from modelhub.render.worker.decoding import decode
from tests.render.pipelines import sana_tables
from tests.render.pipelines.conftest import SIZE, Assembler
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.flow_tables import language_model
from tests.render.pipelines.sana_tables import SMALL, TINY, Levels, Widths
from tests.render.pipelines.shapes import planned

pytestmark = pytest.mark.filterwarnings("ignore")
_NORMED = replace(TINY, normed=True)
_SPRINT = Tensor("cfg_embedder.mlp.0.weight", (64, 256))


def _shapes(table: Table) -> dict[str, tuple[int, ...]]:
    return {one.name: one.shape for one in table}


def _identity(table: Table) -> Identity:
    tensors = {one.name: Entry("F16", one.shape, (0, 2)) for one in table}
    return identify(Header(format=FileFormat.SAFETENSORS, tensors=tensors))


def _recipe(shelf: Shelf, widths: Widths = TINY) -> Recipe:
    name = f"sana {widths.places} {widths.normed}"
    return Recipe(
        model=shelf.file(name, sana_tables.transformer(widths)),
        vae=shelf.file("dc-ae", sana_tables.autoencoder(SMALL)),
        parts={
            "text_encoder": shelf.file(
                "gemma for sana", language_model(TINY.caption, 256, gemma=True)
            ),
            "tokenizer": shelf.tokenizer,
        },
    )


@pytest.mark.parametrize("normed", [False, True])
def test_the_published_shapes_make_the_published_module(normed: bool, torch: Any) -> None:
    from modelhub.render.pipelines.modules import empty_module

    table = sana_tables.transformer(Widths(normed=normed))
    tensors = planned(_shapes(table))
    made = {one.name: one.values.shape for one in renamed(rules_for("sana", tensors), tensors, 0)}
    config = transformer_config("sana", PartShapes(made)) | sana.sizes(_identity(table))
    module = empty_module(("diffusers", "SanaTransformer2DModel"), config)
    assert {name: tuple(one.shape) for name, one in module.state_dict().items()} == made
    with torch.device("meta"):
        published = library("diffusers").SanaTransformer2DModel(
            qk_norm="rms_norm_across_heads" if normed else None
        )
    expected = {key: one for key, one in published.config.items() if not key.startswith("_")}
    assert {key: module.config[key] for key in expected} == expected
    again = planned(made)
    assert rules_for("sana", again) == {}
    assert transformer_config("sana", PartShapes(made)) | {"sample_size": 32} == config


@pytest.mark.parametrize("levels", [Levels(), SMALL], ids=["true", "small"])
def test_the_vae_comes_where_diffusers_own_conversion_puts_it(levels: Levels, torch: Any) -> None:
    from diffusers.loaders import single_file_utils

    from modelhub.render.pipelines.modules import empty_module

    table = sana_tables.autoencoder(levels)
    made = autoencoder_of("sana", planned(_shapes(table)), Identity())
    shapes = {one.name: one.values.shape for one in made.tensors}
    convert: Any = single_file_utils.convert_autoencoder_dc_checkpoint_to_diffusers
    whole = {one.name: torch.empty(one.shape, device="meta") for one in table}
    assert {name: tuple(one.shape) for name, one in convert(whole).items()} == shapes
    module = empty_module(("diffusers", made.model_class), made.config)
    assert {name: tuple(one.shape) for name, one in module.state_dict().items()} == shapes
    again = autoencoder_of("sana", planned(shapes), Identity())
    assert (again.config, again.pixels) == (made.config, 2 ** (len(levels.widths) - 1))


def test_the_settings_told_of_the_vae_are_the_published_ones() -> None:
    shapes = _shapes(sana_tables.autoencoder(Levels()))
    config = autoencoder_of("sana", planned(shapes), Identity()).config
    residual, attending = ["ResBlock"] * 3, ["EfficientViTBlock"] * 3
    for side, layers in (("encoder", [2, 2, 2, 3, 3, 3]), ("decoder", [3] * 6)):
        assert config[f"{side}_block_types"] == residual + attending
        assert config[f"{side}_block_out_channels"] == [128, 256, 512, 512, 1024, 1024]
        assert config[f"{side}_layers_per_block"] == layers
        assert config[f"{side}_qkv_multiscales"] == [[], [], [], [5], [5], [5]]
    assert config["downsample_block_type"] == "Conv"
    assert config["upsample_block_type"] == "interpolate"
    assert config["scaling_factor"] == 0.41407


def test_a_vae_that_is_not_whole_is_refused() -> None:
    whole = _shapes(sana_tables.autoencoder(SMALL))
    for gone in ("decoder.project_in.main.conv.weight", "encoder.project_in.conv.weight",
                 "decoder.stages.0.op_list.1.main.conv1.conv.weight"):  # fmt: skip
        rest = {name: shape for name, shape in whole.items() if name != gone}
        with pytest.raises(FormatError, match="is missing"):
            autoencoder_of("sana", planned(rest), Identity())
    wide = "decoder.stages.1.op_list.1.context_module.main.qkv.conv.weight"
    with pytest.raises(FormatError, match="has the shape"):
        autoencoder_of("sana", planned(whole | {wide: (96, 32, 3, 3)}), Identity())


@pytest.mark.parametrize(
    ("widths", "edition", "size", "shift"),
    [
        (TINY, None, 32, 3.0),
        (_NORMED, "1.5", 32, 3.0),
        (replace(TINY, places=256), "512", 16, 3.0),
        (replace(TINY, places=4096), "2K", 64, 3.0),
        (replace(TINY, places=16384), "4K", 128, 6.0),
    ],
    ids=["1024", "1.5", "512", "2K", "4K"],
)
def test_editions_are_told_apart(
    widths: Widths, edition: str | None, size: int, shift: float
) -> None:
    identity = _identity(sana_tables.transformer(widths))
    assert (identity.architecture, identity.edition) == ("sana", edition)
    assert sana.sizes(identity)["sample_size"] == size
    assert sana.scheduler_config(identity)["shift"] == shift
    made = resolve(Settings(), identity).settings
    assert (made.width, made.height, made.steps, made.cfg) == (size * 32, size * 32, 20, 4.5)


@pytest.mark.parametrize("widths", [TINY, replace(_NORMED, places=4096)], ids=["1.0", "2K"])
def test_sana_gives_the_picture_of_plain_diffusers(
    widths: Widths, shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    from diffusers.loaders import single_file_utils as converting
    from safetensors.torch import load_file

    recipe = _recipe(shelf, widths)
    ours = assembler(recipe)
    modules = {name: one.module for name, one in ours.parts.items()}
    of_transformer: Any = converting.convert_sana_transformer_to_diffusers
    of_vae: Any = converting.convert_autoencoder_dc_checkpoint_to_diffusers
    normed = _with_norms(load_file(recipe.model))
    for name, state in (
        ("transformer", of_transformer(load_file(recipe.model)) | normed),
        ("vae", of_vae(load_file(str(recipe.vae)))),
    ):
        plain = type(modules[name]).from_config(dict(modules[name].config))
        plain.load_state_dict(state, strict=True)
        modules[name] = plain.eval()
    kind = library("diffusers").SanaPipeline
    theirs = kind(tokenizer=ours.pipe.tokenizer, scheduler=ours.pipe.scheduler, **modules)
    theirs.set_progress_bar_config(disable=True)

    def made(pipe: Any, kind: str) -> Any:
        return pipe(
            "a photo of a cat",
            generator=torch.Generator().manual_seed(3),
            num_inference_steps=2,
            output_type=kind,
            **blank_inputs("SanaPipeline", SIZE, SIZE),
        ).images

    latents = made(ours.pipe, "latent")
    assert torch.equal(made(theirs, "latent"), latents)
    picture = torch.from_numpy(decode(ours.pipe.vae, latents))
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.std() > 0.01
    assert torch.allclose(made(theirs, "pt")[0].permute(1, 2, 0), picture, atol=1e-6)


def _with_norms(tensors: dict[str, Any]) -> dict[str, Any]:
    """Those of 1.5, which this conversion of diffusers leaves out."""
    return {
        name.replace("blocks.", "transformer_blocks.")
        .replace(".cross_attn.", ".attn2.")
        .replace(".attn.", ".attn1.")
        .replace("q_norm", "norm_q")
        .replace("k_norm", "norm_k"): one
        for name, one in tensors.items()
        if "q_norm" in name or "k_norm" in name
    }


def test_the_worker_renders_sana_from_plain_text(shelf: Shelf, torch: Any) -> None:
    from modelhub.render.worker.run import Renderer

    settings = Settings(
        prompt="a (cat:1.4)", negative="a dog", seed=3, steps=2, width=96, height=SIZE
    )
    told: list[Told | Stepped | Loading] = []
    made = Renderer(1 << 30).render(
        Request(id="1", recipe=_recipe(shelf), settings=settings, preview=True),
        told.append,
        threading.Event(),
    )
    assert (made.width, made.height, made.faults) == (96, SIZE, ())
    assert (made.settings.sampler, made.settings.cfg) == ("Euler", 4.5)
    assert [one.done for one in told if isinstance(one, Stepped)][-1] == 2


def test_sprint_is_refused_by_its_edition(shelf: Shelf) -> None:
    path = shelf.file("sprint", [*sana_tables.transformer(_NORMED), _SPRINT])
    with pytest.raises(CannotRender, match="sana sprint"), blueprint_of(Recipe(model=path)):
        pass


def test_what_sana_lacks_and_its_sizes_are_told(shelf: Shelf) -> None:
    recipe = _recipe(shelf)
    with pytest.raises(PartsMissing) as caught, blueprint_of(Recipe(model=recipe.model)):
        pass
    for word in ("Sana's VAE", "Gemma-2-2B", "the tokenizer of Gemma 2"):
        assert word in caught.value.message
    assert _identity(sana_tables.autoencoder(Levels())).edition == "deep compression"
    with blueprint_of(recipe) as blueprint:
        # Of a true VAE, 32.
        assert blueprint.side == 4
        with pytest.raises(UsageError, match="multiples of 4"):
            blueprint.check_size(64, 66)
