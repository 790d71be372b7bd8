from __future__ import annotations

import time
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import UsageError
from modelhub.render.prompts import Piece, parse_prompt, plain_text

_MARKS = st.lists(st.sampled_from([*"ab ,()[]\\:.15|", "BREAK", " BREAK "]), max_size=60).map(
    "".join
)


def _pairs(prompt: str) -> list[tuple[str, float]]:
    return [(one.text, round(one.weight, 9)) for one in parse_prompt(prompt)]


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    # The examples of A1111's own documentation of its parser.
    [
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [("a ", 1.0), ("house", 1.573), (" ", 1.1), ("on", 1.0), (" a ", 1.1), ("hill", 0.55),
             (", sun, ", 1.1), ("sky", 1.4641), (".", 1.1)],
        ),
    ],
)  # fmt: skip
def test_a1111s_own_examples_are_read_as_a1111_does(
    prompt: str, pieces: list[tuple[str, float]]
) -> None:
    assert _pairs(prompt) == pieces


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("", []),
        ("[less]", [("less", 0.909090909)]),
        ("(a:0)", [("a", 0.0)]),
        ("(a:-1.5)", [("a", -1.5)]),
        ("(a : 1.2 )", [("a ", 1.2)]),
        ("a:1.2)", [("a:1.2)", 1.0)]),
        ("(a:b:1.2)", [("a:b", 1.2)]),
        ("(a:1.2.3)", [("a:1.2.3)", 1.1)]),
        (r"1girl \(solo\)", [("1girl (solo)", 1.0)]),
        ("a))", [("a))", 1.0)]),
        ("😀 (猫:1.2)", [("😀 ", 1.0), ("猫", 1.2)]),
        ("a BREAK b", [("a", 1.0), ("", 1.0), ("b", 1.0)]),
        ("(a BREAK b:1.2)", [("a", 1.2), ("", 1.0), ("b", 1.2)]),
        ("BREAKFAST", [("BREAKFAST", 1.0)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c", 0.909090909)]),
        ("()[](a)", [("a", 1.1)]),
        ("(" * 5000 + "a" + ")" * 5000, [("a", 1000.0)]),
    ],
)
def test_prompts_are_read(prompt: str, pieces: list[tuple[str, float]]) -> None:
    assert _pairs(prompt) == pieces


@given(_MARKS)
def test_any_row_of_marks_is_read_or_refused(prompt: str) -> None:
    try:
        pieces = parse_prompt(prompt)
    except UsageError:
        return
    assert all(abs(piece.weight) <= 1000 for piece in pieces)
    assert all(one.is_break or other.is_break or one.weight != other.weight
               for one, other in pairwise(pieces))  # fmt: skip


def _weights_by_definition(prompt: str) -> list[tuple[str, float]]:
    """Each letter with its weight: a bracket multiplies all that came since its other half."""
    found: list[tuple[str, float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    factors = {"(": 1.1, "[": 1 / 1.1}

    def multiply(kind: str, start: int) -> None:
        found[start:] = [(one, weight * factors[kind]) for one, weight in found[start:]]

    for mark in prompt:
        kind = {")": "(", "]": "["}.get(mark, "")
        if mark in opened:
            opened[mark].append(len(found))
        elif kind and opened[kind]:
            multiply(kind, opened[kind].pop())
        else:
            found.append((mark, 1.0))
    for kind, starts in opened.items():
        for start in starts:
            multiply(kind, start)
    return found


@given(st.text(st.sampled_from("ab([)]"), max_size=40))
def test_brackets_weigh_what_their_definition_says_however_they_cross(prompt: str) -> None:
    letters = [(one, piece.weight) for piece in parse_prompt(prompt) for one in piece.text]
    expected = _weights_by_definition(prompt)
    assert [one for one, _ in letters] == [one for one, _ in expected]
    assert [weight for _, weight in letters] == pytest.approx([weight for _, weight in expected])


@given(st.text(st.characters(exclude_characters="()[]\\:")))
def test_text_without_marks_comes_out_as_it_went_in(prompt: str) -> None:
    if "BREAK" not in prompt and "AND" not in prompt:
        assert parse_prompt(prompt) == ((Piece(prompt),) if prompt else ())


@given(st.text(st.sampled_from("ab()[]:\\ 1."), max_size=40))
def test_escaped_marks_are_text(text: str) -> None:
    escaped = "".join(f"\\{one}" if one in "()[]\\" else one for one in text)
    assert parse_prompt(escaped) == ((Piece(text),) if text else ())


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a cat AND a dog", "joined by AND"),
        ("a [cat:dog:0.5]", r"step to step cannot be rendered: \[cat:dog:0.5\]"),
        ("a [cat|dog]", "step to step"),
        ("[dog:10]", "step to step"),
        ("x" * 200_001, "200,001 characters"),
    ],
)
def test_what_is_not_done_is_refused(prompt: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_prompt(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "(a)" * 60_000,
        "[" * 9000 + "[a]" * 60_000,
        " " * 200_000,
        ":" * 200_000,
        "[a:" * 60_000,
        "(a" * 90_000,
        "(a" * 60_000 + ")" * 60_000,
        "\\" * 200_000,
        " BREAK" * 30_000,
        "(" * 30_000 + "a:1)" * 40_000,
        "[" + "|" * 190_000,
    ],
)
def test_prompts_that_are_made_to_be_slow_are_not(prompt: str) -> None:
    begun = time.process_time()
    with suppress(UsageError):
        parse_prompt(prompt)
    assert time.process_time() - begun < 3


def test_weights_are_left_out_of_plain_text() -> None:
    assert plain_text("a (red:1.2) [cat] BREAK on a mat") == "a red cat on a mat"
