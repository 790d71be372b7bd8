from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelhub.render.addons import with_triggers


@pytest.mark.parametrize(
    ("prompt", "words", "expected"),
    [
        ("a cat", ["ohwx"], "ohwx, a cat"),
        ("a cat", ["ohwx", "blue hair"], "ohwx, blue hair, a cat"),
        ("", ["ohwx"], "ohwx"),
        ("  ", ["ohwx"], "ohwx"),
        ("a cat", [], "a cat"),
        ("a photo of ohwx man", ["OHWX"], "a photo of ohwx man"),
        ("(ohwx:1.2), a cat", ["ohwx"], "(ohwx:1.2), a cat"),
        ("ohwxy", ["ohwx"], "ohwx, ohwxy"),
        ("blue_hair", ["blue hair"], "blue_hair"),
        ("red", ["one, red,  two ,"], "one, two, red"),
        ("cat", ["one", "one, ONE"], "one, cat"),
        ("saber \\(fate\\)", ["saber (fate)"], "saber \\(fate\\)"),
        ("cat", ["saber (fate)", "\\[x\\]"], "saber \\(fate\\), \\[x\\], cat"),
        ("cat", ["(glow:1.3)"], "(glow:1.3), cat"),
        ("cat <lora:ohwx:0.8>", ["ohwx"], "ohwx, cat <lora:ohwx:0.8>"),
        ("cat", ["", " , ", "猫耳"], "猫耳, cat"),
    ],
)
def test_words_that_the_prompt_lacks_are_put_before_it(
    prompt: str, words: list[str], expected: str
) -> None:
    assert with_triggers(prompt, words) == expected


def test_no_more_words_are_taken_than_asked_for() -> None:
    assert with_triggers("cat", ["a", "b", "c", "d"], limit=2) == "a, b, cat"
    assert with_triggers("cat", ["a"], limit=0) == "cat"


def test_descriptions_as_long_as_a_page_are_left_out() -> None:
    assert with_triggers("cat", ["x" * 5000, "short"]) == "short, cat"


@example(">", ["<"])
@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=4))
def test_words_once_in_the_prompt_are_not_put_there_again(prompt: str, words: list[str]) -> None:
    once = with_triggers(prompt, words)
    assert once.endswith(prompt if prompt.strip() else "")
    assert with_triggers(once, words) == once
