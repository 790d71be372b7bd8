"""HiDream-I1: of the published layout, and for real on the CPU."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from modelhub.demo.weights import flux, sd3
from modelhub.demo.weights.tables import Table, Tensor
from modelhub.errors import AddonMisfit, CannotRender, FormatError, PartsMissing, UsageError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.formats.tensors import FileFormat, Header
from modelhub.formats.tensors import Tensor as Entry
from modelhub.render.answers import Loading, Stepped, Told
from modelhub.render.defaults import resolve
from modelhub.render.pipelines.blank import set_size
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.flow import hidream
from modelhub.render.pipelines.flow.configs import transformer_config
from modelhub.render.pipelines.flow.encoders import encoder_of
from modelhub.render.pipelines.libraries import library
from modelhub.render.request import Recipe, Request, Settings
from modelhub.render.worker.decoding import decode
from tests.render.pipelines.conftest import SIZE, Assembler
from tests.render.pipelines.flow_models import T5, Shelf
from tests.render.pipelines.flow_tables import language_model
from tests.render.pipelines.shapes import planned

pytestmark = pytest.mark.filterwarnings("ignore")

_PUBLISHED: dict[str, Any] = {
    "attention_head_dim": 128,
    "axes_dims_rope": [64, 32, 32],
    "caption_channels": [4096, 4096],
    "in_channels": 16,
    "llama_layers": [*range(32), *[31] * 16],
    "max_resolution": [128, 128],
    "num_activated_experts": 2,
    "num_attention_heads": 20,
    "num_layers": 16,
    "num_routed_experts": 4,
    "num_single_layers": 32,
    "out_channels": 16,
    "patch_size": 2,
    "text_emb_dim": 2048,
}
"""``HiDream-ai/HiDream-I1-Full`` ``transformer/config.json``."""
_LLAMA = 128
_TINY: dict[str, Any] = {
    **_PUBLISHED,
    "caption_channels": [flux.T5_TINY.width, _LLAMA],
    "llama_layers": [0, 1],
    "num_attention_heads": 1,
    "num_layers": 1,
    "num_single_layers": 1,
    "text_emb_dim": sd3.TINY.pooled,
}


def _shapes(**config: Any) -> dict[str, tuple[int, ...]]:
    """Of the class of diffusers, whose names the published files have."""
    with library("torch").device("meta"):
        module = library("diffusers").HiDreamImageTransformer2DModel(**config)
    return {name: tuple(one.shape) for name, one in module.state_dict().items()}


def _clip(table: Table, positions: int) -> Table:
    """With that many places for tokens, and a projection of its own."""
    name = next(one.name for one in table if one.name.endswith("position_embedding.weight"))
    width = next(one.shape[1] for one in table if one.name == name)
    resized = [
        Tensor(name, (positions, width)) if one.name == name else one
        for one in table
        if "text_projection" not in one.name
    ]
    return [*resized, Tensor("text_projection.weight", (width, width))]


def _llama() -> Table:
    """With two layers, as ComfyUI has it in one file."""
    whole = language_model(_LLAMA, 128, gemma=False)
    return [one for one in whole if "q_norm" not in one.name and "k_norm" not in one.name]


def _recipe(shelf: Shelf, *, positions: int = 248, model: str = "hidream") -> Recipe:
    table = [Tensor(name, shape) for name, shape in _shapes(**_TINY).items()]
    clips = {"text_encoder": sd3.text_encoder, "text_encoder_2": sd3.large_text_encoder}
    return Recipe(
        model=shelf.file(model, table),
        vae=shelf.vae,
        parts={
            **{
                part: shelf.file(f"{part} {positions}", _clip(make(sd3.TINY), positions))
                for part, make in clips.items()
            },
            "text_encoder_3": shelf.file("t5xxl", T5),
            "text_encoder_4": shelf.file("llama", _llama()),
            "tokenizer_3": shelf.tokenizer,
            "tokenizer_4": shelf.tokenizer,
        },
    )


def test_the_shapes_tell_the_published_settings(torch: Any) -> None:
    assert transformer_config("hidream", PartShapes(_shapes(**_PUBLISHED))) == _PUBLISHED


def test_a_transformer_that_is_not_whole_is_refused(torch: Any) -> None:
    shapes = _shapes(**_TINY)
    gone = ("x_embedder.proj.weight", "final_layer.linear.weight",
            "p_embedder.pooled_embedder.linear_1.weight")  # fmt: skip
    for name in gone:
        rest = {key: shape for key, shape in shapes.items() if key != name}
        with pytest.raises(FormatError, match="is missing"):
            transformer_config("hidream", PartShapes(rest))
    rest = {key: one for key, one in shapes.items() if not key.startswith("caption_projection.2.")}
    with pytest.raises(FormatError, match="2 projections of captions for 2 blocks"):
        transformer_config("hidream", PartShapes(rest))


def test_llama_is_told_by_the_part_that_it_is_for() -> None:
    tensors = planned({one.name: one.shape for one in _llama()})
    made = encoder_of(tensors, plain="llama")
    assert (made.model_class, made.width) == ("LlamaModel", _LLAMA)
    with pytest.raises(FormatError, match="of another kind"):
        encoder_of(tensors)


def _plain_pipeline(recipe: Recipe, ours: Any) -> Any:
    from safetensors.torch import load_file

    transformers, modules = library("transformers"), {}
    for name, path in (("transformer", recipe.model), ("vae", str(recipe.vae))):
        kind = ours.parts[name].module
        modules[name] = type(kind).from_config(dict(kind.config))
        state = load_file(path) if name == "transformer" else kind.state_dict()
        modules[name].load_state_dict(state, strict=True)
    for name, kind in (
        ("text_encoder", "CLIPTextModelWithProjection"),
        ("text_encoder_2", "CLIPTextModelWithProjection"),
        ("text_encoder_3", "T5EncoderModel"),
        ("text_encoder_4", "LlamaForCausalLM"),
    ):
        modules[name] = getattr(transformers, kind)(ours.parts[name].module.config)
        missing = modules[name].load_state_dict(load_file(recipe.parts[name]), strict=False)
        # What is not in the file is a second name of what is, or gives words, which nobody reads.
        assert set(missing.missing_keys) <= {"lm_head.weight", "encoder.embed_tokens.weight"}
    tokenizers = {f"tokenizer{end}": getattr(ours.pipe, f"tokenizer{end}")
                  for end in ("", "_2", "_3", "_4")}  # fmt: skip
    made = library("diffusers").HiDreamImagePipeline(
        scheduler=ours.pipe.scheduler,
        **tokenizers,
        **{name: one.eval() for name, one in modules.items()},
    )
    made.set_progress_bar_config(disable=True)
    return made


def test_hidream_gives_the_picture_of_plain_diffusers(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    recipe = _recipe(shelf)
    ours = assembler(recipe)

    def made(pipe: Any, kind: str) -> Any:
        set_size(pipe, SIZE, SIZE)
        return pipe(
            "a photo of a cat",
            generator=torch.Generator().manual_seed(3),
            num_inference_steps=2,
            output_type=kind,
            width=SIZE,
            height=SIZE,
        ).images

    theirs = _plain_pipeline(recipe, ours)
    latents = made(ours.pipe, "latent")
    assert torch.allclose(made(theirs, "latent"), latents, atol=1e-5)
    picture = torch.from_numpy(decode(ours.pipe.vae, latents))
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.std() > 0.01
    assert torch.allclose(made(theirs, "pt")[0].permute(1, 2, 0), picture, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "sampler", "size"),
    [("hidream i1 full", "UniPC bh2", (SIZE, SIZE)), ("hidream i1 dev", "LCM", (96, SIZE))],
)
def test_the_worker_renders_hidream_in_the_size_that_was_asked_for(
    name: str, sampler: str, size: tuple[int, int], shelf: Shelf, torch: Any
) -> None:
    from modelhub.render.worker.run import Renderer

    settings = Settings(
        prompt="a (cat:1.4)", negative="a dog", seed=3, steps=1, width=size[0], height=size[1]
    )
    told: list[Told | Stepped | Loading] = []
    made = Renderer(1 << 30).render(
        Request(id="1", recipe=_recipe(shelf, model=name), settings=settings, preview=True),
        told.append,
        threading.Event(),
    )
    assert (made.width, made.height, made.faults) == (*size, ())
    assert made.settings.sampler == sampler
    assert [one.preview for one in told if isinstance(one, Stepped)][-1]


def test_a_clip_with_few_places_is_refused(shelf: Shelf) -> None:
    with (
        pytest.raises(AddonMisfit, match="reads 77 tokens"),
        blueprint_of(_recipe(shelf, positions=77)),
    ):
        pass


def test_what_hidream_lacks_and_its_sizes_are_told(shelf: Shelf) -> None:
    recipe = _recipe(shelf)
    with pytest.raises(PartsMissing) as caught, blueprint_of(Recipe(model=recipe.model)):
        pass
    for word in ("CLIP-L", "OpenCLIP-bigG", "T5-XXL", "Llama-3-8B", "the tokenizer of Llama 3"):
        assert word in caught.value.message
    assert "clip_l_hidream.safetensors" in caught.value.hint
    with blueprint_of(recipe) as blueprint:
        blueprint.check_size(2048, 2048)
        blueprint.check_size(1360, 768)
        with pytest.raises(UsageError, match="not square"):
            blueprint.check_size(2048, 1024)


def test_the_one_that_edits_pictures_is_refused_by_its_name(shelf: Shelf) -> None:
    recipe = _recipe(shelf, model="hidream_e1_full")
    with pytest.raises(CannotRender, match="hidream e1"), blueprint_of(recipe):
        pass


@pytest.mark.parametrize(
    ("name", "edition", "settings", "shift"),
    [
        ("hidream_i1_full_fp16.safetensors", "full", (50, 5.0, "UniPC bh2"), 3.0),
        ("hidream_i1_dev_bf16.safetensors", "dev", (28, 1.0, "LCM"), 6.0),
        ("hidream_i1_fast_fp8.safetensors", "fast", (16, 1.0, "LCM"), 3.0),
    ],
)
def test_the_name_tells_the_steps(
    name: str, edition: str, settings: tuple[int, float, str], shift: float, torch: Any
) -> None:
    tensors = {key: Entry("F16", shape, (0, 2)) for key, shape in _shapes(**_TINY).items()}
    identity: Identity = identify(Header(format=FileFormat.SAFETENSORS, tensors=tensors), name=name)
    assert (identity.architecture, identity.edition) == ("hidream", edition)
    made = resolve(Settings(), identity).settings
    assert (made.steps, made.cfg, made.sampler) == settings
    assert hidream.scheduler_config(identity)["shift"] == shift
