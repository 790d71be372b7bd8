from __future__ import annotations

import pytest

from modelhub.errors import UsageError
from modelhub.render.prompts import LoraTag, with_words, without_tags


def test_loras_are_taken_out_of_the_prompt_with_their_weights() -> None:
    found = without_tags("a cat <lora:style_v2:0.8>, on a mat <lora:detail> <lyco:x:0.5>")
    assert found.prompt == "a cat , on a mat"
    assert found.loras == (LoraTag("style_v2", 0.8, 0.8), LoraTag("detail"), LoraTag("x", 0.5, 0.5))


@pytest.mark.parametrize("tag", ["<lora:a:0.3:0.7>", "<lora:a:te=0.3:unet=0.7>"])
def test_the_text_encoder_may_have_a_weight_of_its_own(tag: str) -> None:
    assert without_tags(tag).loras == (LoraTag("a", weight=0.7, text_weight=0.3),)


def test_what_only_looks_like_a_tag_stays() -> None:
    prompt = "<cat-toy> a < b > c <lora> <other:x:1>  two spaces"
    assert without_tags(prompt).prompt == prompt


def test_a_hypernetwork_is_left_out_and_told() -> None:
    found = without_tags("a <hypernet:old:1> cat")
    assert found.prompt == "a cat"
    assert found.notices == ("<hypernet:old:1> was left out: hypernetworks are not rendered",)


@pytest.mark.parametrize("tag", ["<lora:a:b>", "<lora:a:nan>", "<lora:a:1e9>", "<lora:a:>"])
def test_a_weight_that_is_no_number_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="is no weight"):
        without_tags(tag)


def test_a_tag_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="names no LoRA"):
        without_tags("<lora: :1>")


def test_trigger_words_are_put_first_unless_they_are_there() -> None:
    assert with_words("a cat in Style-X", ["style-x", "sks  cat", "sks cat"]) == (
        "sks cat, a cat in Style-X"
    )
    assert with_words("", ["one", "two"]) == "one, two"
    assert with_words("a cat", []) == "a cat"


def test_endless_trigger_words_are_cut() -> None:
    assert len(with_words("a cat", (f"word{number}" for number in range(100_000)))) < 2000
