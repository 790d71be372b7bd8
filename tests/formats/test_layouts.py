"""Headers that describe the same tensors: decoded once, and each with its own metadata."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats.identify import identify
from modelhub.formats.layouts import LONGEST, MOST_BYTES, Layouts
from modelhub.formats.safetensors import decode_safetensors
from modelhub.formats.tensors import Header, SharedTensors, Tensor

_DATA = 12 * 2 * 4 * 8


def listed(first: str = "one") -> dict[str, object]:
    """A LoRA of twelve tensors; `first` makes its list another one."""
    tensors: dict[str, object] = {}
    for number in range(12):
        part, shape = (("down", [4, 8]), ("up", [8, 4]))[number % 2]
        name = f"lora_unet_{first}_{number // 2}_attn2_to_k.lora_{part}.weight"
        place = [64 * number, 64 * number + 64]
        tensors[name] = {"dtype": "F16", "shape": shape, "data_offsets": place}
    return tensors


def header(
    tensors: dict[str, object], metadata: dict[str, str] | None = None, pad: int = 0
) -> bytes:
    content = tensors if metadata is None else {"__metadata__": metadata, **tensors}
    return json.dumps(content).encode() + b" " * pad


def read(text: bytes) -> Header:
    return decode_safetensors(text, 8 + len(text) + _DATA)


def test_a_list_that_came_again_is_shared() -> None:
    tensors = listed("shared")
    first, second, third, fourth = (
        read(header(tensors, {"number": str(number)}, pad=number)) for number in range(4)
    )
    assert not isinstance(first.tensors, SharedTensors)
    assert isinstance(second.tensors, SharedTensors)
    assert third.tensors is second.tensors
    assert fourth.tensors == first.tensors
    assert [one.metadata["number"] for one in (first, second, third, fourth)] == list("0123")
    assert third.data_start == 8 + len(header(tensors, {"number": "2"}, pad=2))


def test_a_list_is_shared_with_a_header_without_metadata() -> None:
    tensors = listed("bare")
    kept = [read(header(tensors)), read(header(tensors, {"a": "b"})), read(header(tensors))]
    assert kept[2].tensors is kept[1].tensors
    assert kept[2].metadata == {}


def test_one_letter_makes_another_list() -> None:
    """Of the same length and with the same end, which is how lists are looked up."""
    names = [list(read(header(listed(name))).tensors) for name in ("aa", "aa", "ab", "aa", "ab")]
    assert names[0] == names[1] == names[3]
    assert names[2] == names[4] != names[0]
    assert "lora_unet_ab_0_attn2_to_k.lora_down.weight" in names[2]


@pytest.mark.parametrize("behind", [b"x", b"\0", b" {}", b"}"])
def test_what_follows_a_known_list_is_refused(behind: bytes) -> None:
    tensors = listed("followed")
    for _ in range(3):
        read(header(tensors))
    with pytest.raises(FormatError):
        read(header(tensors) + behind)


def test_a_known_list_does_not_hide_a_wrong_size() -> None:
    text = header(listed("cut"))
    for _ in range(3):
        read(text)
    with pytest.raises(FormatError, match="cut off"):
        decode_safetensors(text, 8 + len(text) + _DATA - 1)
    with pytest.raises(FormatError, match="follow the last tensor"):
        decode_safetensors(text, 8 + len(text) + _DATA + 1)


def test_a_known_list_does_not_hide_bad_metadata() -> None:
    tensors = listed("metadata")
    for _ in range(3):
        read(header(tensors, {"a": "b"}))
    text = header(tensors, {"a": "b"}).replace(b'"b"', b"1.5")
    with pytest.raises(FormatError):
        read(text)


def test_what_was_made_out_of_shared_tensors_holds_of_each_file_with_its_own_claims() -> None:
    tensors = listed("down_blocks")
    alone = identify(read(header(tensors, {"ss_output_name": "0"})))
    several = [identify(read(header(tensors, {"ss_output_name": str(n)}))) for n in range(4)]
    assert several[0] == alone
    assert [one.title for one in several] == list("0123")
    assert {one.kind for one in several} == {alone.kind}
    assert {one.parameters for one in several} == {12 * 32}


def test_lists_are_kept_within_bounds() -> None:
    layouts = Layouts()
    tensor = {"a": Tensor("F16", (1,), (0, 2))}
    texts = [str(number).encode().rjust(LONGEST, b"x") for number in range(20)]
    for text in texts:
        assert layouts.find(text, 0, len(text)) is None
        layouts.learn(text, 0, len(text), tensor, 2)
        layouts.learn(text, 0, len(text), tensor, 2)
    kept = [text for text in texts if layouts.find(text, 0, len(text)) is not None]
    assert kept == texts[-(MOST_BYTES // LONGEST) :]
    too_long = b"x" * (LONGEST + 1)
    assert layouts.learn(too_long, 0, len(too_long), tensor, 2) is tensor


def test_what_was_asked_for_last_is_kept() -> None:
    layouts = Layouts()
    tensor = {"a": Tensor("F16", (1,), (0, 2))}
    texts = [str(number).encode().rjust(LONGEST, b"x") for number in range(20)]
    for text in texts:
        layouts.learn(text, 0, len(text), tensor, 2)
        layouts.learn(text, 0, len(text), tensor, 2)
        assert layouts.find(texts[0], 0, LONGEST) is not None


names = st.text(st.characters(codec="utf-8"), max_size=6).filter(lambda n: n != "__metadata__")
claimed = st.none() | st.dictionaries(names, names, max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    tensors=st.dictionaries(names, st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=4),
    claims=st.lists(claimed, min_size=3, max_size=3),
    ascii_only=st.booleans(),
)
def test_whatever_came_before_the_answer_is_the_same(
    tensors: dict[str, tuple[int, int]], claims: list[dict[str, str] | None], ascii_only: bool
) -> None:
    content: dict[str, object] = {}
    end = 0
    for name, (rows, columns) in tensors.items():
        begin, end = end, end + rows * columns
        content[name] = {"dtype": "U8", "shape": [rows, columns], "data_offsets": [begin, end]}
    for claim in claims:
        whole = content if claim is None else {"__metadata__": claim, **content}
        text = json.dumps(whole, ensure_ascii=ascii_only).encode()
        found = decode_safetensors(text, 8 + len(text) + end)
        assert dict(found.metadata) == (claim or {})
        assert {name: one.shape for name, one in found.tensors.items()} == tensors
