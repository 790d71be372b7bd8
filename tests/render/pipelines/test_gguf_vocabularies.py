"""The tokenizer within a GGUF text encoder, against that of the model's own class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import CannotRender, PartsMissing
from modelhub.formats.gguf_vocabulary import Kind
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.tokenizers import tokenizer_at
from modelhub.render.request import Recipe
from tests.formats.quantised import arrays_of, write_gguf
from tests.formats.vocabularies import SENTENCES, Words, bytewise, ranked, unigram
from tests.formats.written import GgufWriter
from tests.render.pipelines.conftest import SIZE, Assembler, called
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.test_gguf_pictures import llama_cpp_names

pytestmark = pytest.mark.filterwarnings("ignore")


def _t5(words: Words) -> Any:
    from transformers import T5Tokenizer

    count = len(words.tokens) - 128
    blanks = [(f"<extra_id_{number}>", 0.0) for number in range(99, -1, -1)]
    return T5Tokenizer(
        vocab=[*zip(words.tokens[:count], words.scores, strict=False), *blanks],
        _spm_precompiled_charsmap=words.charsmap,
    )


def _qwen(words: Words) -> Any:
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    merges: Any = [tuple(one.split(" ")) for one in words.merges]
    plain = [one for one in words.tokens if one not in words.kinds]
    made: Any = Qwen2Tokenizer(vocab={one: id_ for id_, one in enumerate(plain)}, merges=merges)
    for token, kind in words.kinds.items():
        if kind == Kind.UNUSED:
            continue
        added = AddedToken(token, normalized=False, special=kind == Kind.CONTROL)
        made.add_tokens([added], special_tokens=kind == Kind.CONTROL)
    return made


def _gemma(words: Words) -> Any:
    from tokenizers import AddedToken
    from transformers import GemmaTokenizer
    from transformers.tokenization_utils_base import generate_merges

    tokens = [
        one.replace(" ", "▁") if words.kinds.get(one) == Kind.USER_DEFINED else one
        for one in words.tokens
    ]
    known = {one: id_ for id_, one in enumerate(tokens)}
    scores = dict(zip(tokens, words.scores, strict=True))
    made: Any = GemmaTokenizer(vocab=known, merges=generate_merges(known, scores))
    users = [one for one in words.tokens if words.kinds.get(one) == Kind.USER_DEFINED]
    made.add_tokens([AddedToken(one.replace(" ", "▁"), normalized=True) for one in users])
    return made


_KINDS = {"t5": (unigram, _t5), "gpt2": (bytewise, _qwen), "llama": (ranked, _gemma)}


@pytest.mark.parametrize("model", _KINDS)
def test_it_gives_the_very_ids_of_the_models_own_tokenizer(
    model: str, tmp_path: Path, torch: Any
) -> None:
    make, original = _KINDS[model]
    words = make()
    path = tmp_path / "a.gguf"
    path.write_bytes(words.write(GgufWriter()).file())
    ours, theirs = tokenizer_at(path), original(words)
    texts = [*SENTENCES, " ".join(SENTENCES), *words.kinds, "a<think>b</s> <extra_id_0>, x  y   z"]
    texts += ["<|im_start|>user\na cat<|im_end|>\n", "\n\n\n\n", "\u3000\t ", "a\0b", "1234567890"]
    for text in texts:
        # Gemma's puts its first token before every text by a setting that its class alone lacks.
        first = [2] if model == "llama" else []
        assert ours(text)["input_ids"] == [*first, *theirs(text)["input_ids"]], text
    assert len({tuple(ours(text)["input_ids"]) for text in texts}) > len(texts) - 4
    # The class of Gemma adds a word that no model has.
    assert len(ours) == len(theirs) - (model == "llama")
    assert ours.pad_token is not None
    assert ours.eos_token in ("</s>", "<|im_end|>", "<eos>")
    batch = ours(["a cat", "a photo of a cat"], padding="max_length", max_length=20,
                 truncation=True, return_tensors="pt")  # fmt: skip
    assert batch.input_ids.shape == (2, 20)


def encoder_with(words: Words, recipe: Recipe, part: str, path: Path, architecture: str) -> str:
    """The text encoder of a recipe as a GGUF file with a vocabulary."""
    write_gguf(
        path,
        {k: v for k, v in arrays_of(recipe.parts[part]).items() if not k.startswith("visual.")},
        "Q8_0",
        writer=words.write(GgufWriter()),
        named=llama_cpp_names(architecture),
    )
    return str(path)


@pytest.mark.parametrize(
    ("architecture", "encoder", "tokenizer"),
    [("flux", "text_encoder_2", "tokenizer_2"), ("zimage", "text_encoder", "tokenizer")],
)
def test_a_text_encoder_brings_its_own_tokenizer(
    architecture: str,
    encoder: str,
    tokenizer: str,
    shelf: Shelf,
    assembler: Assembler,
    tmp_path: Path,
    torch: Any,
) -> None:
    """And it makes the picture of the same tokenizer that was given apart."""
    recipe = shelf.recipe(architecture)
    # The small encoders have 300 words, which is as many as these ids reach.
    words = shortened(unigram() if architecture == "flux" else bytewise())
    path = encoder_with(words, recipe, encoder, tmp_path / "text.gguf", architecture)
    alone = tmp_path / "words.gguf"
    alone.write_bytes(words.write(GgufWriter()).file())
    parts = {name: one for name, one in recipe.parts.items() if name != tokenizer}
    without = Recipe(model=recipe.model, vae=recipe.vae, parts=parts)
    with pytest.raises(PartsMissing, match="the tokenizer"), blueprint_of(without):
        pass
    within, given = (
        assembler(Recipe(model=recipe.model, vae=recipe.vae, parts={**parts, encoder: path} | more))
        for more in ({}, {tokenizer: str(alone)})
    )
    assert getattr(within.pipe, tokenizer)("a cat").input_ids
    pictures = [called(one.pipe, width=SIZE, height=SIZE) for one in (within, given)]
    assert torch.equal(*pictures)
    assert pictures[0].std() > 0.01


def shortened(words: Words) -> Words:
    """With no more words than the small encoders have."""
    if words.model == "t5":
        words.tokens = words.tokens[:-128]
        words.scores = words.scores[: len(words.tokens)]
        return words
    special = list(words.kinds)
    words.tokens = [*words.tokens[: 299 - len(special)], *special]
    known = set(words.tokens)
    words.merges = [one for one in words.merges if one.replace(" ", "") in known]
    return words


def test_a_folder_that_is_given_goes_before_what_is_within(
    shelf: Shelf, assembler: Assembler, tmp_path: Path
) -> None:
    recipe = shelf.flux()
    words = shortened(unigram())
    path = encoder_with(words, recipe, "text_encoder_2", tmp_path / "t5.gguf", "flux")
    made = assembler(shelf.flux({"text_encoder_2": path}))
    assert made.pipe.tokenizer_2.name_or_path == shelf.tokenizer


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (Words("gpt2", ["a", "b"], merges=["a b c"], pre="qwen2"), "not of two tokens"),
        (Words("gpt2", ["a", "b"], merges=["a c"], pre="qwen2"), "no tokenizer can be made"),
        (Words("t5", ["a", "b"], scores=[1.0], charsmap=b""), "do not fit"),
        (Words("t5", ["a"], charsmap=b"\x04\0\0\0\0\xff\0\0"), "damaged"),
        (Words("gpt2", ["a"], pre="llama-bpe"), "is no tokenizer"),
        (Words("bert", ["a"]), "is no tokenizer"),
    ],
)
def test_a_vocabulary_that_makes_no_tokenizer_is_told(
    words: Words, told: str, shelf: Shelf, assembler: Assembler, tmp_path: Path
) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(words.write(GgufWriter()).file())
    with pytest.raises(CannotRender, match=told):
        assembler(shelf.flux({"tokenizer_2": str(path)}))
