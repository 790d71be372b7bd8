"""Diffusers loads the small models by itself, and they do in it what such models do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from modelhub.demo.weights import adapters, sd1, sd2, sdxl
from modelhub.demo.weights.files import write_safetensors, write_torch_zip
from modelhub.demo.weights.tables import Table
from tests.plain_diffusers import (
    Libraries,
    load_single_file,
    picture,
    plain_diffusers,
    write_settings,
)

pytestmark = pytest.mark.filterwarnings("ignore")

_SD1 = replace(sd1.TINY, text_layers=2)
_MODELS: dict[str, Table] = {
    "sd1": sd1.checkpoint(_SD1),
    "sd2": sd2.checkpoint(sd2.TINY),
    "sdxl": sdxl.checkpoint(sdxl.TINY),
}
_BROKEN = 0.02
"""Of the range of a pixel: what is no more than that is no change of the image."""


class Loaded(NamedTuple):
    """A model as a file, its settings beside it, and its pipeline."""

    path: Path
    settings: Path
    pipeline: Any


@pytest.fixture(scope="module", name="libraries")
def _libraries() -> Iterator[Libraries]:
    with plain_diffusers() as found:
        yield found


@pytest.fixture(scope="module", name="model")
def _model(
    libraries: Libraries, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Loaded]:
    folder, made = tmp_path_factory.mktemp("models"), {}

    def of(name: str) -> Loaded:
        if name not in made:
            path = folder / f"{name}.safetensors"
            write_safetensors(path, _MODELS[name], 7, {})
            settings = write_settings(path, folder / name)
            made[name] = Loaded(path, settings, load_single_file(libraries, path, settings))
        return made[name]

    return of


def _written(path: Path, table: Table, seed: int = 5) -> Path:
    write_safetensors(path, table, seed, {})
    return path


@pytest.mark.parametrize("name", _MODELS)
def test_it_renders_an_image_that_follows_the_prompt(
    name: str, model: Callable[[str], Loaded], libraries: Libraries
) -> None:
    pipeline = model(name).pipeline
    cat = picture(libraries, pipeline)
    assert cat.shape == (64, 64, 3)
    assert np.isfinite(cat).all()
    assert cat.std() > 0.05
    assert np.array_equal(cat, picture(libraries, pipeline))
    other = picture(libraries, pipeline, prompt="an oil painting of a lighthouse in a storm")
    assert np.abs(cat - other).max() > _BROKEN


def test_each_precision_of_the_weights_shows_in_the_image(
    model: Callable[[str], Loaded], libraries: Libraries
) -> None:
    """bf16 keeps three bits less than fp16 does, and is further from fp32."""
    sd1_model = model("sd1")
    exact = picture(libraries, sd1_model.pipeline)

    def error(dtype: str) -> float:
        rounded = load_single_file(libraries, sd1_model.path, sd1_model.settings, dtype)
        return float(np.square(picture(libraries, rounded) - exact).mean())

    assert 0 < error("F16") * 4 < error("BF16") < 0.01


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("sd1", adapters.lora(_SD1, 4)),
        ("sd1", adapters.peft_lora(_SD1, 4)),
        ("sdxl", adapters.xl_lora(sdxl.TINY, 4)),
    ],
    ids=["kohya", "peft", "kohya for sdxl"],
)
def test_diffusers_finds_a_layer_for_every_one_of_a_lora(
    name: str, table: Table, model: Callable[[str], Loaded], tmp_path: Path
) -> None:
    pipeline = model(name).pipeline
    _written(tmp_path / "style.safetensors", table)
    options = {"unet_config": pipeline.unet.config} if name == "sdxl" else {}
    found = pipeline.lora_state_dict(
        str(tmp_path), weight_name="style.safetensors", local_files_only=True, **options
    )[0]
    layers = _in_peft_names(found)
    downs = {key.removesuffix(_DOWN): one for key, one in layers.items() if key.endswith(_DOWN)}
    pairs = sum(".lora_down." in one.name or ".lora_A." in one.name for one in table)
    assert len(downs) == pairs > 200
    for path, down in downs.items():
        part, _, rest = path.partition(".")
        layer = _layer(getattr(pipeline, part), rest)
        up = layers[f"{path}.lora_B.weight"]
        inputs = getattr(layer, "in_features", None) or layer.in_channels
        assert down.shape[:2] == (4, inputs), path
        assert up.shape[:2] == (layer.weight.shape[0], 4), path


_DOWN = ".lora_A.weight"


def _layer(part: Any, path: str) -> Any:
    """A module; since transformers 5, that of a text encoder has one level less."""
    if not hasattr(part, path.partition(".")[0]):
        path = path.removeprefix("text_model.")
    return part.get_submodule(path)


def _in_peft_names(found: dict[str, Any]) -> dict[str, Any]:
    """Diffusers' own second step, before it gives the layers to the model."""
    utils: Any = import_module("diffusers.utils.state_dict_utils")
    if any(key.endswith(_DOWN) for key in found):
        return found
    named: dict[str, Any] = {}
    for part in dict.fromkeys(key.partition(".")[0] for key in found):
        prefix = f"{part}."
        own = {key.removeprefix(prefix): v for key, v in found.items() if key.startswith(prefix)}
        convert = utils.convert_unet_state_dict_to_peft
        if part != "unet":
            own = utils.convert_state_dict_to_diffusers(own)
            convert = utils.convert_state_dict_to_peft
        named |= {prefix + key: one for key, one in convert(own).items()}
    return named


def test_a_vae_of_its_own_is_loaded_and_changes_the_image(
    model: Callable[[str], Loaded], libraries: Libraries, tmp_path: Path
) -> None:
    sd1_model = model("sd1")
    path = _written(tmp_path / "other.vae.safetensors", sd1.autoencoder(_SD1), seed=11)
    vae = libraries.diffusers.AutoencoderKL.from_single_file(
        str(path), config=str(sd1_model.settings), subfolder="vae", local_files_only=True
    )
    before = picture(libraries, sd1_model.pipeline)
    baked, sd1_model.pipeline.vae = sd1_model.pipeline.vae, vae
    after = picture(libraries, sd1_model.pipeline)
    sd1_model.pipeline.vae = baked
    assert np.isfinite(after).all()
    assert np.abs(before - after).max() > _BROKEN


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_an_embedding_is_a_word_of_its_model(
    suffix: str, model: Callable[[str], Loaded], libraries: Libraries, tmp_path: Path
) -> None:
    pipeline, path = model("sd1").pipeline, tmp_path / f"word{suffix}"
    write = write_torch_zip if suffix == ".pt" else _written
    write(path, adapters.embedding(_SD1, 3), 5)
    token = f"<word{suffix[1:]}>"
    given = (
        {"string_to_param": {"*": libraries.torch.load(path)["emb_params"]}, "name": token}
        if suffix == ".pt"
        else str(path)
    )
    before = picture(libraries, pipeline, prompt="a cat")
    pipeline.load_textual_inversion(given, token=token, local_files_only=True)
    after = picture(libraries, pipeline, prompt=f"a cat {token}")
    assert np.abs(before - after).max() > _BROKEN
    assert len(pipeline.tokenizer(token).input_ids) == 3, "start, the first vector, end"


def test_an_embedding_for_sdxl_has_vectors_for_both_of_its_text_encoders(
    model: Callable[[str], Loaded], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    pipeline = model("sdxl").pipeline
    vectors = load_file(_written(tmp_path / "w.safetensors", adapters.xl_embedding(sdxl.TINY, 2)))
    for name, second in (("clip_l", ""), ("clip_g", "_2")):
        pipeline.load_textual_inversion(
            vectors[name],
            token="<both>",
            text_encoder=getattr(pipeline, f"text_encoder{second}"),
            tokenizer=getattr(pipeline, f"tokenizer{second}"),
        )
    assert pipeline.tokenizer("<both>").input_ids[1] == 49_408
    assert pipeline.tokenizer_2("<both>").input_ids[1] == 49_408
