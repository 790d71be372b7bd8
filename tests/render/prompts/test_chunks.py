from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from modelhub.render.prompts import parse_prompt
from modelhub.render.prompts.chunks import (
    CHUNK,
    COMMA,
    END,
    MOST_CHUNKS,
    START,
    Inserted,
    Word,
    chunked,
)

_TOY = Word("toy", (900, 901), 3)


def _tokenize(text: str) -> Sequence[int]:
    """A token for each word; ``cat-toy`` has two."""
    numbers = {",": [COMMA], "cat-toy": [900, 901], "cat": [900]}
    return [one for word in text.split() for one in numbers.get(word, [len(word)])]


def _of(prompt: str, *words: Word) -> list[list[int]]:
    return [one.tokens for one in chunked(parse_prompt(prompt), _tokenize, words).chunks]


def test_an_empty_prompt_is_one_empty_chunk() -> None:
    (chunk,) = chunked((), _tokenize).chunks
    assert chunk.numbers(END) == [START, *[END] * 76]
    assert chunk.all_weights == [1.0] * 77


def test_short_texts_are_filled_up_with_the_encoders_own_token() -> None:
    (chunk,) = chunked(parse_prompt("a bb"), _tokenize).chunks
    assert chunk.numbers(0) == [START, 1, 2, END, *[0] * 73]


def test_the_76th_token_begins_another_chunk() -> None:
    assert [len(one) for one in _of("a " * 75)] == [75]
    assert [len(one) for one in _of("a " * 76)] == [75, 1]


def test_a_full_chunk_ends_at_a_comma_near_its_end() -> None:
    assert [len(one) for one in _of("a " * 60 + ", " + "b " * 20)] == [61, 20]
    assert [len(one) for one in _of("a " * 50 + ", " + "b " * 30)] == [75, 6]


def test_a_comma_that_would_begin_a_chunk_does_so_as_in_a1111() -> None:
    assert _of("a " * 75 + ", b") == [[1] * 75, [COMMA, 1]]


def test_break_begins_another_chunk_and_one_at_the_end_does_not() -> None:
    assert _of("a BREAK bb") == [[1], [2]]
    assert _of("a BREAK") == [[1]]
    assert _of("a BREAK BREAK bb") == [[1], [], [2]]


def test_weights_go_along_with_their_tokens() -> None:
    chunks = chunked(parse_prompt("a " * 60 + ", (" + "b " * 20 + ":1.5)"), _tokenize).chunks
    assert [one.weights for one in chunks] == [[1.0] * 61, [1.5] * 20]


def test_an_embedding_takes_the_place_of_its_word() -> None:
    found = chunked(parse_prompt("a cat-toy bb cat"), _tokenize, [_TOY])
    (chunk,) = found.chunks
    assert chunk.tokens == [1, 0, 0, 0, 2, 900]
    assert chunk.inserted == [Inserted(2, "toy")]
    assert found.used == {"toy"}


def test_the_longest_word_counts_when_one_begins_another() -> None:
    found = chunked(parse_prompt("cat-toy"), _tokenize, [Word("cat", (900,), 1), _TOY])
    assert found.used == {"toy"}


def test_an_embedding_is_never_cut_in_two() -> None:
    found = chunked(parse_prompt("a " * 73 + "cat-toy"), _tokenize, [_TOY])
    assert [len(one.tokens) for one in found.chunks] == [73, 3]
    assert found.chunks[1].inserted == [Inserted(1, "toy")]


def test_an_embedding_after_the_last_comma_moves_on_with_its_vectors() -> None:
    prompt = "a " * 60 + ", cat-toy " + "b " * 30
    first, second = chunked(parse_prompt(prompt), _tokenize, [_TOY]).chunks
    assert (len(first.tokens), first.inserted) == (61, [])
    assert second.inserted == [Inserted(1, "toy")]
    assert second.tokens[:4] == [0, 0, 0, 1]


def test_ten_thousand_words_are_cut_and_told() -> None:
    found = chunked(parse_prompt("word " * 10_000), _tokenize)
    assert len(found.chunks) == MOST_CHUNKS
    assert found.notices == (
        "the prompt has 10,000 tokens in 134 chunks; the first 40 chunks are used",
    )


def test_several_chunks_are_told() -> None:
    notices = chunked(parse_prompt("word " * 80), _tokenize).notices
    assert notices == ("the prompt has 80 tokens: 2 chunks of 75",)


@given(st.lists(st.sampled_from(["a", ",", "cat-toy", "BREAK", "(b:1.2)"]), max_size=400))
def test_no_token_is_lost_and_no_chunk_too_long(words: list[str]) -> None:
    found = chunked(parse_prompt(" ".join(words)), _tokenize, [_TOY])
    lengths = {"BREAK": 0, "cat-toy": 3}
    tokens = [one for chunk in found.chunks for one in chunk.tokens]
    assert len(tokens) == found.tokens == sum(lengths.get(word, 1) for word in words)
    for chunk in found.chunks:
        assert len(chunk.tokens) == len(chunk.weights) <= CHUNK
        assert len(chunk.numbers(END)) == len(chunk.all_weights) == CHUNK + 2
        for one in chunk.inserted:
            assert chunk.tokens[one.position - 1 : one.position + 2] == [0, 0, 0]
    assert sum(len(chunk.inserted) for chunk in found.chunks) == words.count("cat-toy")
