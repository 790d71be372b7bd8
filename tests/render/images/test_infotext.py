from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.render.images.infotext import Infotext, parse_infotext, plain_name, written_infotext
from tests.render.images.readers import as_a1111, as_civitai

FIELDS = {
    "Steps": "20",
    "Sampler": "DPM++ 2M",
    "Schedule type": "Karras",
    "CFG scale": "7",
    "Seed": "965400086",
    "Size": "512x768",
    "Model hash": "b4703d513b",
    "Model": "sakushimixFinished_sakushimixFinal",
    "Lora hashes": "detail: 7c6bad76eb54, more-light: 0123456789ab",
    "Version": "modelhub 0.1.0",
}
PUBLISHED = (
    "girl with an artist's beret, ((eyeshadow)), detailed, intricate\n"
    "Negative prompt: ugly, fat, (((deformed))), [blurry], (ugly)\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 512x512, "
    "Model hash: 45dee52b"
)
"""The example in `AUTOMATIC1111/stable-diffusion-webui modules/infotext_utils.py`, shortened."""

prompts = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30),
        st.sampled_from(
            [
                "Negative prompt:",
                "Steps: 5, Sampler: x, Seed: 1",
                "\n",
                "\r\n",
                "\n\n",
                '"',
                "Template: ",
            ]
        ),
    ),
    max_size=6,
).map("".join)


def _blanks_as_one(text: str) -> str:
    return " ".join(text.split())


def test_the_text_is_the_one_that_a1111_writes() -> None:
    assert written_infotext(Infotext("a cat", "dog", FIELDS)) == (
        "a cat\n"
        "Negative prompt: dog\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, "
        "Size: 512x768, Model hash: b4703d513b, Model: sakushimixFinished_sakushimixFinal, "
        'Lora hashes: "detail: 7c6bad76eb54, more-light: 0123456789ab", Version: modelhub 0.1.0'
    )


def test_empty_fields_and_prompts_leave_no_line() -> None:
    text = written_infotext(Infotext("", " ", {"Steps": "1", "VAE": "", "Seed": "0"}))
    assert text == "Steps: 1, Seed: 0"


@settings(max_examples=200, deadline=None)
@given(prompts, prompts)
def test_whatever_the_prompts_hold_a1111_civitai_and_we_read_them_alike(
    prompt: str, negative: str
) -> None:
    text = written_infotext(Infotext(prompt, negative, FIELDS))
    ours = parse_infotext(text)
    a1111_prompt, a1111_negative, a1111_fields = as_a1111(text)
    civitai_prompt, civitai_negative, civitai_details = as_civitai(text)
    for found in (ours.prompt, a1111_prompt, civitai_prompt):
        assert _blanks_as_one(found) == _blanks_as_one(prompt)
    for found in (ours.negative, a1111_negative, civitai_negative):
        assert _blanks_as_one(found) == _blanks_as_one(negative)
    assert ours.fields == FIELDS
    assert a1111_fields == FIELDS
    assert civitai_details["Seed"] == "965400086"
    assert civitai_details["Lora hashes"] == {
        "detail": "7c6bad76eb54",
        "more-light": "0123456789ab",
    }


def test_the_example_of_a1111_is_read() -> None:
    found = parse_infotext(PUBLISHED)
    assert found.prompt.endswith("detailed, intricate")
    assert found.negative == "ugly, fat, (((deformed))), [blurry], (ugly)"
    assert found.fields["Sampler"] == "Euler a"
    assert found.fields["Model hash"] == "45dee52b"


@pytest.mark.parametrize(
    "text",
    [
        PUBLISHED,
        'a\nSteps: 1, Seed: 2, X y: "one, \\"two\\": 3", Size: 1x1',
        'a\nSteps: 1, Seed: 2, Open: "never closed, Size: 1x1, Last: "two"',
        "only a prompt: with a colon",
        "Steps: 1, Seed: 2, Size: 3x3",
        "a\n\nb\nNegative prompt: c\nd\nSteps: 1, Seed: 2, Size: 3x3,",
        "",
    ],
)
def test_texts_of_other_programs_are_read_as_a1111_reads_them(text: str) -> None:
    prompt, negative, fields = as_a1111(text)
    found = parse_infotext(text)
    assert (found.prompt, found.negative) == (prompt, negative)
    assert found.fields == fields


@settings(max_examples=300, deadline=None)
@given(st.text('ab :,"\\1(-', max_size=40))
def test_the_fields_are_told_as_the_grammar_of_a1111_tells_them(text: str) -> None:
    line = f"Steps: 1, Seed: 2, Size: 3, {text}"
    assert parse_infotext(line).fields == as_a1111(line)[2]


@pytest.mark.parametrize(
    "line",
    ["a" * (1 << 20), "a b:" * (1 << 18), 'a: "' * (1 << 18), "," * (1 << 20), "a:" * 400_000],
)
def test_a_text_made_to_be_slow_is_not(line: str) -> None:
    start = time.process_time()
    parse_infotext("cat\n" + line)
    assert time.process_time() - start < 2


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse_infotext(text)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("v1.5, pruned: final", "v1.5 pruned final"),
        ('he said "hi"\n', "he said hi"),
        ("模型_v2", "模型_v2"),
    ],
)
def test_names_lose_what_separates_fields(name: str, plain: str) -> None:
    assert plain_name(name) == plain
