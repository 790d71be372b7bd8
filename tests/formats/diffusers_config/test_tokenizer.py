from __future__ import annotations

import json

from modelhub.formats.diffusers_config import tokenizer_files


def _vocabulary() -> dict[str, int]:
    found: dict[str, int] = json.loads(tokenizer_files()["vocab.json"])
    return found


def test_the_vocabulary_has_exactly_the_49408_entries_of_clip() -> None:
    vocabulary = _vocabulary()
    assert len(vocabulary) == 49_408
    assert sorted(vocabulary.values()) == list(range(49_408))


def test_known_words_have_the_numbers_that_clip_gives_them() -> None:
    vocabulary = _vocabulary()
    words = {
        "!": 0, "a</w>": 320, "photo</w>": 1125, "of</w>": 539, "cat</w>": 2368,
        "<|startoftext|>": 49406, "<|endoftext|>": 49407,
    }  # fmt: skip
    assert {word: vocabulary[word] for word in words} == words


def test_the_list_of_merges_starts_with_its_version_and_has_48894_lines_more() -> None:
    lines = tokenizer_files()["merges.txt"].decode().splitlines()
    assert lines[:3] == ["#version: 0.2", "i n", "t h"]
    assert len(lines) == 1 + 48_894
    assert all(len(line.split(" ")) == 2 for line in lines)
