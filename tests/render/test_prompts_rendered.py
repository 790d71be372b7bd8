"""Prompts that nobody should write, and somebody does: a picture comes of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.render import tiny
from tests.render.conftest import Bench

_WORDS = " ".join(f"word{number}" for number in range(10_000))


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "   \n\t ",
        "🐈🦀👩‍👩‍👧‍👦🏳️‍🌈" * 30,
        "猫の写真、水彩画",
        "\u202egnp.tac\u202c \x00\x07 \ufeff",
        "((((((((((cat",
        "cat))))))))))",
        "[[[[cat:",
        "(cat:)",
        "(cat:nan) (cat:inf) (cat:1e400)",
        "(cat:99999999999999999999)",
        "(cat:-5)",
        r"\(cat\) \[dog\] \\",
        "a BREAK BREAK b BREAK",
        "(" * 5000 + "cat" + ")" * 5000,
        "a" * 100_000,
    ],
    ids=lambda prompt: repr(prompt[:24]),
)
def test_a_strange_prompt_gives_a_picture(prompt: str, bench: Bench, models: Path) -> None:
    image = bench.render(tiny.asked(models / "sd1.safetensors", prompt=prompt, negative=prompt))
    assert not image.faults


def test_ten_thousand_words_take_their_time_and_are_told(bench: Bench, models: Path) -> None:
    image = bench.render(tiny.asked(models / "sd1.safetensors", prompt=_WORDS))
    assert not image.faults
    assert any("chunk" in one or "token" in one for one in image.notices), image.notices


def test_weights_move_the_picture_and_a_weight_of_one_does_not(bench: Bench, models: Path) -> None:
    model = models / "sd1.safetensors"
    plain = bench.render(tiny.asked(model, prompt="a red cat"))
    same = bench.render(tiny.asked(model, prompt="a (red:1.0) cat"))
    more = bench.render(tiny.asked(model, prompt="a (red:1.6) cat"))
    assert plain.png == same.png != more.png
