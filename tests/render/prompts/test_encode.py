from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modelhub.errors import Cancelled, UsageError
from modelhub.render.prompts import Embedding, can_embed, embed
from tests.render.prompts import tiny

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROMPTS = ["a photo of a cat", "", "café 😀 猫, \\(literal\\)", "a, " * 37 + "b"]


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("diffusers")
    return tiny.sd(tmp_path_factory.mktemp("sd1"))


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("diffusers")
    return tiny.sdxl(tmp_path_factory.mktemp("sdxl"))


def _plain(prompt: str) -> str:
    return prompt.replace("\\", "")


def _same(one: Any, other: Any) -> bool:
    import torch

    return torch.equal(one, other)


def _vectors(count: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


@pytest.mark.parametrize("prompt", _PROMPTS)
def test_a_short_plain_prompt_is_bit_for_bit_that_of_diffusers(sd1: Any, prompt: str) -> None:
    ours = embed(sd1, prompt, "blurry")
    positive, negative = sd1.encode_prompt(_plain(prompt), "cpu", 1, True, negative_prompt="blurry")
    assert _same(ours.positive, positive)
    assert _same(ours.negative, negative)
    assert (ours.pooled, ours.chunks, ours.notices) == (None, 1, ())


@pytest.mark.parametrize("prompt", _PROMPTS)
@pytest.mark.parametrize("negative", ["blurry", ""])
def test_both_encoders_of_sdxl_are_bit_for_bit_those_of_diffusers(
    sdxl: Any, prompt: str, negative: str
) -> None:
    ours = embed(sdxl, prompt, negative, clip_skip=2)
    theirs = sdxl.encode_prompt(
        _plain(prompt), device="cpu", negative_prompt=negative or None,
        do_classifier_free_guidance=True,
    )  # fmt: skip
    expected = dict(zip(("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds",
                         "negative_pooled_prompt_embeds"), theirs, strict=True))  # fmt: skip
    assert ours.arguments.keys() == expected.keys()
    assert all(_same(ours.arguments[name], expected[name]) for name in expected)
    assert ours.positive.shape == (1, 77, 32 + 64)


def test_the_refiner_has_the_larger_encoder_alone(sdxl: Any) -> None:
    both, larger = embed(sdxl, "a cat", "x"), embed(tiny.refiner(sdxl), "a cat", "x")
    assert _same(both.positive[..., 32:], larger.positive)
    assert both.pooled is not None
    assert _same(both.pooled, larger.pooled)


def test_clip_skip_2_of_sd1_is_the_layer_before_the_last_normed(sd1: Any) -> None:
    import torch

    inputs = sd1.tokenizer("a cat", padding="max_length", max_length=77, return_tensors="pt")
    with torch.no_grad():
        states = sd1.text_encoder(inputs.input_ids, output_hidden_states=True).hidden_states
        norm = getattr(sd1.text_encoder, "text_model", sd1.text_encoder).final_layer_norm
        expected = [norm(states[-back]) for back in (2, 3, tiny.LAYERS)]
    for skip, one in zip((2, 3, tiny.LAYERS), expected, strict=True):
        assert _same(embed(sd1, "a cat", clip_skip=skip).positive, one)


def test_the_last_layer_that_sd2_has_is_already_the_penultimate(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    sd2 = tiny.sd(tmp_path, open_clip=True)
    first, second, third = (embed(sd2, "a", clip_skip=skip).positive for skip in (1, 2, 3))
    assert _same(first, second)
    assert not _same(second, third)
    assert _same(first, sd2.encode_prompt("a", "cpu", 1, False)[0])


def test_clip_skip_counts_on_for_sdxl_as_diffusers_does(sdxl: Any) -> None:
    theirs = sdxl.encode_prompt("a", device="cpu", clip_skip=1, do_classifier_free_guidance=False)
    assert _same(embed(sdxl, "a", clip_skip=3).positive, theirs[0])


def test_more_clip_skip_than_there_are_layers_takes_the_first_and_says_so(sd1: Any) -> None:
    found = embed(sd1, "a", clip_skip=12)
    assert _same(found.positive, embed(sd1, "a", clip_skip=tiny.LAYERS).positive)
    assert found.notices == ("clip skip 12: the text encoder has 4 layers, the first is taken",)


def test_weights_multiply_their_tokens_and_the_mean_stays(sd1: Any) -> None:
    plain, weighted = embed(sd1, "a red cat").positive, embed(sd1, "a (red:1.5) cat").positive
    assert float(weighted.mean()) == pytest.approx(float(plain.mean()), rel=1e-4)
    ratios = (weighted / plain).mean(dim=-1)[0]
    assert float(ratios[2] / ratios[1]) == pytest.approx(1.5, rel=1e-4)
    assert float(ratios[3] / ratios[1]) == pytest.approx(1.0, rel=1e-4)


def test_a_weight_of_one_changes_nothing_at_all(sd1: Any) -> None:
    assert _same(embed(sd1, "a (red:1.0) cat").positive, embed(sd1, "a red cat").positive)


def test_weights_that_leave_no_mean_give_numbers_nevertheless(sd1: Any) -> None:
    assert bool(embed(sd1, "(" + "a " * 75 + ":0)").positive.isfinite().all())


def test_where_there_is_no_mean_the_tokens_are_only_multiplied(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    sd2 = tiny.sd(tmp_path, open_clip=True)
    plain, weighted = embed(sd2, "a red cat").positive, embed(sd2, "a (red:2) cat").positive
    assert _same(weighted[0, 2], plain[0, 2] * 2)
    assert _same(weighted[0, 3:], plain[0, 3:])


def test_a_long_prompt_is_its_chunks_one_after_the_other(sd1: Any) -> None:
    found = embed(sd1, "cat " * 75 + "dog", "blurry")
    assert found.chunks == 2
    assert found.positive.shape == found.negative.shape == (1, 154, 32)
    assert _same(found.positive[:, 77:], embed(sd1, "dog").positive)
    assert _same(found.negative[:, 77:], embed(sd1, "").positive)
    assert found.notices == ("the prompt has 76 tokens: 2 chunks of 75",)


def test_ten_thousand_words_are_bounded_and_told(sd1: Any) -> None:
    found = embed(sd1, "a cat", "word " * 10_000)
    assert found.chunks == 40
    assert found.notices[0].startswith("negative prompt: the prompt has 10,000 tokens in 134")


def test_the_pooled_text_of_a_long_prompt_is_that_of_its_first_chunk(sdxl: Any) -> None:
    long, short = embed(sdxl, "cat " * 75 + "dog", "x"), embed(sdxl, "cat " * 75, "x")
    assert long.pooled is not None
    assert _same(long.pooled, short.pooled)


def test_vectors_of_a_known_word_are_that_word(sd1: Any) -> None:
    """An embedding that holds the vectors of `red cat` does what these words do."""
    numbers = tiny.tokens_of(sd1, "red cat")
    table = sd1.text_encoder.get_input_embeddings().weight
    toy = Embedding("my-toy", ("my-toy",), {"": table[list(numbers)].detach().numpy()})
    found = embed(sd1, "a my-toy on a mat", embeddings=[toy])
    assert _same(found.positive, embed(sd1, "a red cat on a mat").positive)
    assert found.embeddings == ("my-toy",)
    for written in ("embedding:my-toy", "embedding:my-toy.safetensors", "My-Toy"):
        again = embed(sd1, f"a {written} on a mat", embeddings=[toy])
        assert _same(again.positive, found.positive)
    assert _same(embed(sd1, "a red cat on a mat").positive, found.positive)


def test_an_embedding_that_is_not_called_changes_nothing(sd1: Any) -> None:
    toy = Embedding("toy", ("toy",), {"": _vectors(2, 32)})
    found = embed(sd1, "a cat", embeddings=[toy])
    assert _same(found.positive, embed(sd1, "a cat").positive)
    assert found.embeddings == ()


def test_an_embedding_of_sdxl_goes_to_both_encoders(sdxl: Any) -> None:
    toy = Embedding("toy", ("toy",), {"clip_l": _vectors(2, 32), "clip_g": _vectors(2, 64)})
    plain, found = embed(sdxl, "a ! !"), embed(sdxl, "a toy", embeddings=[toy])
    assert not _same(plain.positive[..., :32], found.positive[..., :32])
    assert not _same(plain.positive[..., 32:], found.positive[..., 32:])


def test_an_embedding_for_another_architecture_is_refused_by_name(sd1: Any, sdxl: Any) -> None:
    toy = Embedding("toy", ("toy",), {"": _vectors(2, 48)})
    with pytest.raises(UsageError, match=r"embedding toy does not fit this model: .* width 48"):
        embed(sd1, "a toy", embeddings=[toy])
    with pytest.raises(UsageError, match="one of the model's text encoders has 64"):
        embed(sdxl, "toy", embeddings=[Embedding("toy", ("toy",), {"": _vectors(1, 32)})])


def test_an_encoder_is_as_before_after_a_failure(sd1: Any) -> None:
    before = embed(sd1, "a toy").positive
    with pytest.raises(UsageError):
        embed(sd1, "toy", embeddings=[Embedding("toy", ("toy",), {"": _vectors(1, 5)})])
    assert _same(embed(sd1, "a toy").positive, before)


def test_a_long_encoding_can_be_stopped_between_chunks(sd1: Any) -> None:
    calls: list[None] = []

    def stop() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        embed(sd1, "word " * 1000, before_chunk=stop)
    assert len(calls) == 3


def test_pipelines_with_other_encoders_are_not_served(sd1: Any, sdxl: Any) -> None:
    assert can_embed(sd1)
    assert can_embed(sdxl)
    t5 = SimpleNamespace(**vars(tiny.refiner(sdxl)), text_encoder_3=object())
    assert not can_embed(t5)
    assert not can_embed(SimpleNamespace())
