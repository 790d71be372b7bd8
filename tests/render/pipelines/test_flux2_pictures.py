"""FLUX.2's pictures are those of diffusers' own pipelines, of the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.weights.tables import under
from modelhub.render.pipelines.assembling import Assembled
from modelhub.render.pipelines.libraries import library
from modelhub.render.request import Recipe, Settings
from tests.render.pipelines import flux2_tables
from tests.render.pipelines.conftest import SIZE, Assembler, called
from tests.render.pipelines.flow_models import VAE, Shelf
from tests.render.pipelines.flow_tables import language_model

pytestmark = pytest.mark.filterwarnings("ignore")


def _picture(pipe: Any, **options: Any) -> Any:
    return called(pipe, steps=2, width=SIZE, height=SIZE, **options)


def _in_diffusers(recipe: Recipe, ours: Assembled) -> dict[str, Any]:
    """Transformer and VAE as diffusers' own conversions name what is in the files."""
    from diffusers.loaders import single_file_utils
    from safetensors.torch import load_file

    diffusers = library("diffusers")
    transformer = diffusers.Flux2Transformer2DModel.from_config(dict(ours.pipe.transformer.config))
    convert: Any = single_file_utils.convert_flux2_transformer_checkpoint_to_diffusers
    transformer.load_state_dict(convert(load_file(recipe.model)), strict=True)
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(VAE, VAE * 2, VAE * 4, VAE * 4), norm_num_groups=VAE
    )
    tensors = load_file(str(recipe.vae))
    rename: Any = single_file_utils.convert_ldm_vae_checkpoint
    named = rename(tensors, {**vae.config})
    counted = {name: one for name, one in tensors.items() if name.startswith("bn.")}
    vae.load_state_dict({**named, **counted}, strict=True)
    return {"transformer": transformer.eval(), "vae": vae.eval()}


def _text(path: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name.removeprefix("model."): one for name, one in load_file(path).items()}


def test_klein_gives_the_picture_of_diffusers_own_pipeline(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    diffusers, transformers = library("diffusers"), library("transformers")
    recipe = shelf.recipe("klein")
    ours = assembler(recipe)
    config = transformers.Qwen3Config(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=28,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, rope_theta=1_000_000.0,
        pad_token_id=None,
    )  # fmt: skip
    encoder: Any = transformers.Qwen3ForCausalLM(config).eval()
    encoder.model.load_state_dict(_text(recipe.parts["text_encoder"]), strict=True)
    theirs = diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        text_encoder=encoder,
        tokenizer=ours.pipe.tokenizer,
        **_in_diffusers(recipe, ours),
    )
    theirs.set_progress_bar_config(disable=True)
    for guidance in (1.0, 4.0):
        made = _picture(ours.pipe, guidance_scale=guidance)
        assert made.shape == (1, 3, SIZE, SIZE)
        assert made.std() > 0.01
        assert torch.allclose(made, _picture(theirs, guidance_scale=guidance), atol=1e-5)
    assert len(ours.pipe.text_encoder.layers) == 27


def _seeing_mistral(layers: int) -> Any:
    """The whole model that can see, with numbers at random."""
    import torch

    transformers = library("transformers")

    config = transformers.Mistral3Config(
        text_config={
            "model_type": "mistral", "vocab_size": 300, "hidden_size": 32,
            "intermediate_size": 64, "num_hidden_layers": layers, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 128, "rms_norm_eps": 1e-5,
            "rope_theta": 1_000_000_000.0, "sliding_window": None,
        },
        vision_config={
            "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
        },
        image_token_index=10,
    )  # fmt: skip
    torch.manual_seed(5)
    whole: Any = transformers.Mistral3ForConditionalGeneration(config)
    return whole.eval().requires_grad_(requires_grad=False)


def test_dev_gives_the_picture_of_diffusers_own_pipeline_with_the_model_that_can_see(
    shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    from safetensors.torch import save_file

    diffusers = library("diffusers")
    whole = _seeing_mistral(33)
    named = {
        name: one.clone()
        for name, one in whole.state_dict().items()
        if name.startswith(("model.language_model.", "model.vision_tower."))
    }
    save_file(named, tmp_path / "whole.safetensors")
    cut = {
        f"model.{rest}": one
        for name, one in named.items()
        if (rest := name.removeprefix("model.language_model.")).startswith("embed_tokens.")
        or (rest.startswith("layers.") and int(rest.split(".")[1]) < 30)
    }
    save_file(cut, tmp_path / "mistral_3_small_flux2.safetensors")
    recipe = shelf.recipe("flux2")
    pictures = []
    for name in ("whole", "mistral_3_small_flux2"):
        parts = {**recipe.parts, "text_encoder": str(tmp_path / f"{name}.safetensors")}
        ours = assembler(Recipe(model=recipe.model, vae=recipe.vae, parts=parts))
        assert len(ours.pipe.text_encoder.layers) == 30
        pictures.append(_picture(ours.pipe, guidance_scale=4.0))
    theirs = diffusers.Flux2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        text_encoder=whole,
        tokenizer=ours.pipe.tokenizer,
        **_in_diffusers(recipe, ours),
    )
    theirs.set_progress_bar_config(disable=True)
    expected = _picture(theirs, guidance_scale=4.0)
    assert expected.std() > 0.01
    assert torch.equal(*pictures)
    assert torch.allclose(pictures[0], expected, atol=1e-5)
    assert not torch.equal(_picture(ours.pipe, guidance_scale=9.0), pictures[0])


@pytest.mark.parametrize("kind", ["klein", "flux2"])
def test_the_latents_are_decoded_to_the_picture_of_the_pipeline(
    kind: str, shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    from modelhub.render.worker.decoding import decode, finished, unpacked

    pipe = assembler(shelf.recipe(kind)).pipe
    width, height = SIZE, SIZE * 2
    steps: list[Any] = []

    def ended(_: Any, number: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.append(unpacked(pipe, tensors["latents"], width, height))
        return tensors

    given: dict[str, Any] = {
        "prompt": "a cat", "width": width, "height": height, "num_inference_steps": 2,
    }  # fmt: skip
    last = pipe(
        **given, generator=torch.Generator().manual_seed(3), output_type="latent",
        callback_on_step_end=ended,
    ).images  # fmt: skip
    last = finished(pipe, last, width, height)
    assert last.shape == steps[-1].shape == (1, 32, height // 8, width // 8)
    counted = pipe.vae.bn
    patches = pipe._patchify_latents(steps[-1])
    spread = torch.sqrt(counted.running_var + pipe.vae.config.batch_norm_eps)
    scaled = patches * spread.view(1, -1, 1, 1) + counted.running_mean.view(1, -1, 1, 1)
    assert torch.allclose(pipe._unpatchify_latents(scaled), last, atol=1e-5)
    picture = pipe(**given, generator=torch.Generator().manual_seed(3), output_type="np").images[0]
    assert picture.shape == (height, width, 3)
    assert torch.allclose(*(torch.from_numpy(one) for one in (decode(pipe.vae, last), picture)))


def test_the_vae_of_its_makers_is_the_same_one(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    moved = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}
    table = [
        replace(one, name=f"{moved.get(stem, stem)}.{leaf}")
        for one in flux2_tables.autoencoder(VAE)
        for stem, _, leaf in [one.name.rpartition(".")]
        if leaf != "num_batches_tracked"
    ]
    recipe = shelf.recipe("klein")
    made = assembler(
        Recipe(model=recipe.model, vae=shelf.file("ae of flux2", table), parts=recipe.parts)
    )
    usual = assembler(recipe)
    assert made.pipe.vae.state_dict().keys() == usual.pipe.vae.state_dict().keys()
    assert made.pipe.vae.config == usual.pipe.vae.config
    assert _picture(made.pipe).std() > 0.01


def test_klein_in_one_file_gives_the_picture_of_its_parts(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    recipe = shelf.recipe("klein")
    tables = {
        "model.diffusion_model.": flux2_tables.transformer(
            replace(flux2_tables.TINY, guided=False)
        ),
        "vae.": flux2_tables.autoencoder(VAE),
        "text_encoders.qwen3_4b.transformer.": language_model(32, 16, gemma=False, layers=27),
    }
    whole = shelf.file(
        "klein whole",
        [one for prefix, table in tables.items() for one in under(prefix, table)],
        {"modelspec.architecture": "flux-2-klein-4b"},
    )
    made = assembler(Recipe(model=whole, parts={"tokenizer": recipe.parts["tokenizer"]}))
    assert {name: one.model_class[1] for name, one in made.parts.items()} == {
        "transformer": "Flux2Transformer2DModel",
        "vae": "AutoencoderKLFlux2",
        "text_encoder": "Qwen3Model",
    }
    assert _picture(made.pipe).std() > 0.01


def test_klein_is_guided_by_what_it_shall_not_show(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    from modelhub.render.worker.drawing import conditioning

    pipe = assembler(shelf.recipe("klein")).pipe

    def given(cfg: float, negative: str) -> Any:
        settings = Settings(prompt="a cat", negative=negative, cfg=cfg)
        return conditioning(pipe, settings, (), lambda: None, "cpu").arguments

    assert given(4.0, "").keys() == given(1.0, "a dog").keys() == {"prompt"}
    numbers = given(4.0, "a dog")["negative_prompt_embeds"]
    assert torch.equal(numbers, pipe.encode_prompt("a dog")[0])
    assert not torch.equal(
        _picture(pipe, guidance_scale=4.0),
        _picture(pipe, guidance_scale=4.0, negative_prompt_embeds=numbers),
    )
