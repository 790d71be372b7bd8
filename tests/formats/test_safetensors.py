"""The header reader of safetensors: as strict as the reference, bounded, and exact."""

from __future__ import annotations

import io
import json
import resource
import time
from typing import Any

import pytest
import safetensors
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats.safetensors import (
    DTYPE_BITS,
    MAX_HEADER,
    MAX_TENSORS,
    _cut,
    _decode_quickly,
    read_safetensors,
)
from modelhub.formats.safetensors_json import decode_strictly
from modelhub.formats.tensors import FileFormat, Header, Tensor
from tests.formats.written import around, safetensors_file, safetensors_header
from tests.patience import SOON

LORA = {
    "lora_unet_down.lora_down.weight": ("F16", (16, 320)),
    "lora_unet_down.lora_up.weight": ("F16", (320, 16)),
    "lora_unet_down.alpha": ("F16", ()),
}
KOHYA = {"ss_network_dim": "16", "ss_tag_frequency": json.dumps({"10_cat": {'a "cat"': 3}})}


def read(data: bytes) -> Header:
    return read_safetensors(io.BytesIO(data), len(data))


def refused(data: bytes) -> FormatError:
    with pytest.raises(FormatError) as caught:
        read(data)
    return caught.value


def entry(dtype: object = "U8", shape: object = (1,), offsets: object = (0, 1)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def headed(header: object, data: bytes = b"") -> bytes:
    return around(json.dumps(header).encode(), data)


def test_a_usual_file_is_read_whole() -> None:
    data = safetensors_file(LORA, KOHYA)
    header = read(data)
    assert header.format is FileFormat.SAFETENSORS
    assert header.metadata == KOHYA
    assert header.size == len(data)
    assert header.data_start == 8 + int.from_bytes(data[:8], "little")
    assert header.tensors["lora_unet_down.lora_up.weight"] == Tensor(
        "F16", (320, 16), (10_240, 20_480)
    )
    assert header.tensors["lora_unet_down.alpha"].shape == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(safetensors_header(LORA, KOHYA), id="as the reference writes it"),
        pytest.param(json.dumps(json.loads(safetensors_header(LORA, KOHYA))).encode(), id="spaced"),
        pytest.param(
            json.dumps(json.loads(safetensors_header(LORA, KOHYA)), indent=2).encode(),
            id="indented",
        ),
        pytest.param(safetensors_header(LORA, KOHYA) + b" " * 7, id="padded"),
        pytest.param(safetensors_header(LORA), id="without metadata"),
        pytest.param(safetensors_header(LORA, {}), id="with empty metadata"),
        pytest.param(
            json.dumps(
                dict(reversed(json.loads(safetensors_header(LORA, KOHYA)).items()))
            ).encode(),
            id="metadata last",
        ),
        pytest.param(
            safetensors_header(LORA, {"folder": "C:\\models\\"}), id="metadata end in a backslash"
        ),
        pytest.param(safetensors_header(LORA, {"x": '"},"'}), id="metadata look like their end"),
        pytest.param(b"{}", id="empty"),
    ],
)
def test_every_way_to_write_a_header_is_understood_the_same(text: bytes) -> None:
    plain = json.loads(text)
    header = read(around(text, bytes(20_482 if len(plain) > 1 else 0)))
    assert header.metadata == plain.pop("__metadata__", {})
    assert header.tensors == {
        name: Tensor(one["dtype"], tuple(one["shape"]), tuple(one["data_offsets"]))
        for name, one in plain.items()
    }


def test_a_header_longer_than_what_was_read_ahead_is_fetched() -> None:
    tensors = {f"layer.{number}.weight": ("F16", (2, 2)) for number in range(3000)}
    data = safetensors_file(tensors)
    header = read_safetensors(io.BytesIO(data), len(data), data[: 64 << 10])
    assert len(header.tensors) == 3000


def test_a_file_cut_off_at_any_byte_is_refused_with_the_offset() -> None:
    data = safetensors_file({"a": ("F32", (2,)), "b": ("F16", (3,))}, {"k": "v"})
    read(data)
    for length in range(len(data)):
        error = refused(data[:length])
        assert 0 <= error.offset <= length


def test_a_cut_off_download_says_how_much_is_missing() -> None:
    data = safetensors_file(LORA)
    assert "20,000 of its" in refused(data[:-20_000]).message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "too short", id="zero bytes"),
        pytest.param((1 << 63).to_bytes(8, "little") + b'{"', "9,223,372,036", id="length 2^63"),
        pytest.param((MAX_HEADER + 1).to_bytes(8, "little") + b"{}", "more than", id="100 MB + 1"),
        pytest.param((MAX_HEADER).to_bytes(8, "little") + b"{}", "cut off", id="100 MB, not there"),
        pytest.param(around(b"{"), "too short", id="length 1"),
        pytest.param(around(b" {}"), "does not begin", id="a space first"),
        pytest.param(around(b"[]"), "does not begin", id="a list"),
        pytest.param(around(b"{}\0\0"), "no JSON", id="padded with NUL"),
        pytest.param(around(b"{}{}"), "no JSON", id="two objects"),
        pytest.param(around(b'{"\xff":1}'), "not UTF-8", id="no UTF-8"),
        pytest.param(around(b'{"a":' + b"[" * 50_000), "too deep", id="deep lists"),
        pytest.param(around(b'{"a":' * 50_000), "too deep", id="deep objects"),
        pytest.param(headed({"a": entry(dtype="F24")}, b"0"), "unknown type 'F24'", id="dtype"),
        pytest.param(headed({"a": entry(dtype=7)}, b"0"), "no proper", id="dtype no text"),
        pytest.param(headed({"a": entry(shape=[1.0])}, b"0"), "no proper", id="fraction"),
        pytest.param(headed({"a": entry(shape=[True])}, b"0"), "no proper", id="boolean"),
        pytest.param(headed({"a": entry(shape=[-1])}, b"0"), "no proper", id="negative"),
        pytest.param(headed({"a": entry(shape=[-1, -1])}, b"0"), "no proper", id="two negatives"),
        pytest.param(headed({"a": entry(offsets=[0])}, b"0"), "no proper", id="one offset"),
        pytest.param(headed({"a": {"dtype": "U8"}}, b"0"), "no proper", id="keys lacking"),
        pytest.param(headed({"a": None}, b"0"), "no proper", id="null"),
        pytest.param(headed({"a": ["U8", [1], [0, 1]]}, b"0"), "no proper", id="as a list"),
        pytest.param(headed({"__metadata__": {"a": 1}}), "__metadata__", id="metadata no text"),
        pytest.param(headed({"__metadata__": "a"}), "__metadata__", id="metadata no object"),
        pytest.param(headed({"a": entry(offsets=[1, 0])}, b"0"), "ends before", id="backwards"),
        pytest.param(headed({"a": entry(offsets=[1, 2])}, b"00"), "hole", id="hole at the start"),
        pytest.param(headed({"a": entry()}, b"00"), "follow the last", id="bytes behind"),
        pytest.param(headed({"a": entry(shape=[2])}, b"0"), "takes 2", id="shape and length"),
        pytest.param(
            headed({"a": entry(), "b": entry(offsets=[2, 3])}, b"000"), "hole", id="hole between"
        ),
        pytest.param(
            headed({"a": entry(shape=[2], offsets=[0, 2]), "b": entry(offsets=[1, 2])}, b"00"),
            "overlaps",
            id="overlap",
        ),
        pytest.param(
            headed({"a": entry(shape=[1 << 33, 1 << 33, 0], offsets=[0, 0])}),
            "overflows",
            id="overflow hidden by a zero",
        ),
        pytest.param(
            headed({"a": entry(dtype="F64", shape=[1 << 61], offsets=[0, 0])}),
            "overflows",
            id="overflow by the dtype",
        ),
        pytest.param(
            headed({"a": entry(shape=[10**400], offsets=[0, 0])}), "overflows", id="huge number"
        ),
        pytest.param(
            headed({"a": entry(dtype="F4", shape=[3], offsets=[0, 1])}, b"0"), "1.5", id="half byte"
        ),
        pytest.param(
            around(b'{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
            "no proper",
            id="minus zero",
        ),
        pytest.param(
            around(rb'{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"0"),
            "no text",
            id="half a surrogate pair",
        ),
        pytest.param(around(b'{"a":NaN}'), "no JSON", id="NaN"),
    ],
)
def test_what_breaks_the_rules_is_refused_with_its_reason(data: bytes, words: str) -> None:
    assert words in refused(data).message


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":%s,"a":%s}',
        b'{"a":%s,"\\u0061":%s}',
        b'{"a":%s, "a" : %s}',
    ],
)
def test_a_tensor_that_is_there_twice_is_refused(header: bytes) -> None:
    one = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    assert "twice" in refused(around(header % (one, one), b"0")).message


def test_a_key_of_a_tensor_that_is_there_twice_is_refused() -> None:
    text = b'{"a":{"dtype":"F16","dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    assert "twice" in refused(around(text, b"0")).message


def test_a_tensor_may_have_further_keys_and_any_place_in_the_header() -> None:
    header = {
        "later": entry(offsets=[1, 2]) | {"note": "new in some version"},
        "first": entry(),
    }
    assert list(read(headed(header, b"00")).tensors) == ["later", "first"]


def test_a_million_tensors_are_refused_at_once() -> None:
    one = b'"%07d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    text = b"{" + b",".join(one % number for number in range(1_000_000)) + b"}"
    began = time.perf_counter()
    assert f"{MAX_TENSORS:,} tensors" in refused(around(text)).message
    assert time.perf_counter() - began < SOON


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"__metadata__":{"a":"' + b"x" * 60_000_000 + b'"}}', id="one long text"),
        pytest.param(b'{"__metadata__":{' + b'"a":"",' * 8_000_000 + b'"b":""}}', id="many pairs"),
        pytest.param(
            b'{"a":{"dtype":"U8","shape":[' + b"1," * 30_000_000 + b'1],"data_offsets":[0,1]}}',
            id="many dimensions",
        ),
        pytest.param(b'{"a":' + b"[" * 60_000_000, id="deep"),
        pytest.param(b'{"a":"' + b"\\u0041" * 10_000_000 + b'"}', id="escapes"),
    ],
)
def test_a_huge_header_is_answered_soon_and_within_bounded_memory(text: bytes) -> None:
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = around(text)
    we_accept(data)
    assert time.perf_counter() - began < 2 * SOON
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 900 << 10


def test_huge_numbers_of_dimensions_cost_no_time() -> None:
    shape = b",".join([b"18446744073709551615"] * 300_000)
    text = b'{"a":{"dtype":"U8","shape":[' + shape + b'],"data_offsets":[0,1]}}'
    began = time.perf_counter()
    assert "overflows" in refused(around(text, b"0")).message
    assert time.perf_counter() - began < SOON


names = st.text(st.characters(codec="utf-8"), max_size=12).filter(lambda n: n != "__metadata__")
shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
described = st.dictionaries(names, st.tuples(st.sampled_from(sorted(DTYPE_BITS)), shapes))
texts = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.text(st.characters(codec="utf-8"), max_size=20),
)


@settings(max_examples=150, deadline=None)
@given(tensors=described, metadata=st.none() | texts)
def test_both_ways_to_decode_agree(
    tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str] | None
) -> None:
    header = safetensors_header(tensors, metadata)
    strict = decode_strictly(header)
    if (cut := _cut(header)) is not None:
        claimed, start, _ = cut
        quick = _decode_quickly(header, start)
        assert quick is None or (quick, claimed) == strict


def reference_accepts(data: bytes) -> bool:
    try:
        safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError:
        return False
    return True


def we_accept(data: bytes) -> bool:
    try:
        read(data)
    except FormatError:
        return False
    return True


def stricter_on_purpose(data: bytes) -> bool:
    """Whether it is one of the three things that we refuse and the reference takes."""
    text = data[8 : 8 + int.from_bytes(data[:8], "little")]
    if text[:1] != b"{":
        return True
    found: list[bool] = []

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found.append(len(dict(pairs)) != len(pairs))
        return dict(pairs)

    root = json.loads(text, object_pairs_hook=look)
    return any(found) or any(isinstance(one, list) for one in root.values())


KNOWN = [
    safetensors_file({"a": ("F16", (2, 3)), "b-1": ("U8", (4,)), "c": ("F32", ())}, {"k": 'v"}'}),
    safetensors_file({"weight": ("BF16", (4, 1)), "empty": ("I64", (0,))}),
]
PIECES = [
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"9", b"1e3", b"1.0", b" ", b"\\", b"\n",
    b"null", b"true", b"\x00", b"\xff", b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},',
    b'"dtype":"U8",', b'"__metadata__":{},', b"\\u0061", b"\\ud83d", b"18446744073709551616",
    b"\xc3\xa9",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good file of which some bytes were replaced, taken out or put in."""
    data = bytearray(draw(st.sampled_from(KNOWN)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 6)))
        data[start:end] = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
    if draw(st.booleans()):
        # The length made true again, so that the JSON itself is put to the test.
        close = data.rfind(b"}", 8, 8 + 400)
        if close > 8:
            data[:8] = (close + 1 - 8).to_bytes(8, "little")
    return bytes(data)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=mutated())
@example(data=around(b'{"__metadata__":null}'))
@example(data=around(b'{"__metadata__":{"a":"b"},"__metadata__":{"a":"b"}}'))
def test_our_verdict_is_that_of_the_reference_reader(data: bytes) -> None:
    ours, theirs = we_accept(data), reference_accepts(data)
    if theirs and not ours:
        assume(not stricter_on_purpose(data))
    assert ours == theirs


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_get_an_answer_or_a_format_error(data: bytes) -> None:
    we_accept(data)
    we_accept(around(b"{" + data))
