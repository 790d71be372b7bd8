"""The header reader of GGUF, of every version and byte order, and what is made to mislead it."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats.gguf import MAX_PAIRS, read_gguf
from modelhub.formats.gguf_types import TYPES
from modelhub.formats.safetensors import MAX_TENSORS
from modelhub.formats.tensors import FileFormat, Header, Tensor
from tests.formats.written import GgufWriter

Q4_K = 12


def read(data: bytes) -> Header:
    return read_gguf(io.BytesIO(data), len(data))


def refused(data: bytes) -> FormatError:
    with pytest.raises(FormatError) as caught:
        read(data)
    return caught.value


def a_flux(writer: GgufWriter) -> bytes:
    writer.string("general.architecture", "flux").scalar("general.file_type", "I", 15)
    writer.numbers("general.sizes", "I", range(100)).strings("tokens", ["a", "", "é"])
    writer.scalar("flux.eps", "f", 0.1).scalar("flux.yes", "?", True)
    writer.tensor("img_in.weight", [256, 3], Q4_K, 0).tensor("img_in.bias", [3], 0, 448)
    return writer.file(448 + 12)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_version_in_both_byte_orders_is_read_the_same(version: int, order: str) -> None:
    data = a_flux(GgufWriter(version, order))
    header = read(data)
    assert header.format is FileFormat.GGUF
    assert header.tensors == {
        "img_in.weight": Tensor("Q4_K", (3, 256), (0, 432)),
        "img_in.bias": Tensor("F32", (3,), (448, 460)),
    }
    assert header.data_start == len(data) - 460
    assert header.size == len(data)
    assert header.notices == (("big-endian",) if order == ">" else ())
    assert header.metadata == {
        "gguf.version": str(version),
        "general.architecture": "flux",
        "general.file_type": "15",
        "general.sizes": "[0, 1, 2, 3, 4, 5, 6, 7, … 100 in all]",
        "tokens": "[a, , é]",
        "flux.eps": "0.100000001",
        "flux.yes": "true",
    }


def test_a_shape_that_the_converter_changed_is_given_as_it_was() -> None:
    writer = GgufWriter().numbers("comfy.gguf.orig_shape.proj.weight", "i", [320, 4, 3, 3])
    header = read(writer.tensor("proj.weight", [256, 45], Q4_K, 0).file(45 * 144))
    assert header.tensors["proj.weight"].shape == (320, 4, 3, 3)


@pytest.mark.parametrize("shape", [[320, 4, 3], [-320, -36], [0]])
def test_an_original_shape_that_does_not_fit_is_not_believed(shape: list[int]) -> None:
    writer = GgufWriter().numbers("comfy.gguf.orig_shape.proj.weight", "i", shape)
    header = read(writer.tensor("proj.weight", [256, 45], Q4_K, 0).file(45 * 144))
    assert header.tensors["proj.weight"].shape == (45, 256)


def test_a_long_vocabulary_is_passed_over() -> None:
    writer = GgufWriter().strings("tokenizer.ggml.tokens", [f"token {n}" for n in range(150_000)])
    header = read(writer.string("general.name", "after it").file())
    assert header.metadata["general.name"] == "after it"
    assert header.metadata["tokenizer.ggml.tokens"].endswith("… 150,000 in all]")


def test_a_long_text_is_cut() -> None:
    header = read(GgufWriter().string("tokenizer.chat_template", "x" * 3_000_000).file())
    assert header.metadata["tokenizer.chat_template"].endswith("x… (3,000,000 bytes)")


def test_an_alignment_of_its_own_is_obeyed() -> None:
    writer = GgufWriter().scalar("general.alignment", "I", 128).tensor("a", [4], 0, 128)
    assert read(writer.file(128 + 16, alignment=128)).data_start % 128 == 0


def test_every_type_takes_the_bytes_of_its_blocks() -> None:
    for number, (name, block, size) in TYPES.items():
        header = read(GgufWriter().tensor("a", [block * 2, 3], number, 0).file(size * 6))
        assert header.tensors["a"] == Tensor(name, (3, block * 2), (0, size * 6))


@pytest.mark.parametrize("version", [1, 3])
def test_a_file_cut_off_at_any_byte_is_refused_with_the_offset(version: int) -> None:
    data = a_flux(GgufWriter(version))
    for length in range(len(data)):
        assert 0 <= refused(data[:length]).offset <= length


def counts(tensors: int, pairs: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs)


def pair(key: bytes, rest: bytes) -> bytes:
    return counts(0, 1) + struct.pack("<Q", len(key)) + key + rest + bytes(64)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"GGUF" + struct.pack("<I", 4) + bytes(16), "version 4", id="version 4"),
        pytest.param(b"GGUF" + bytes(20), "version 0", id="version 0"),
        pytest.param(counts(1 << 63, 0), "9,223,372,036,854,775,808 tensors", id="2^63 tensors"),
        pytest.param(counts(MAX_TENSORS + 1, 0), "tensors", id="a tensor too many"),
        pytest.param(counts(0, MAX_PAIRS + 1), "pairs", id="a pair too many"),
        pytest.param(counts(0, 1) + struct.pack("<Q", 1 << 62), "a key", id="endless key"),
        pytest.param(pair(b"", struct.pack("<IB", 0, 1)), "empty or too long", id="empty key"),
        pytest.param(pair(b"k" * 5000, b""), "empty or too long", id="long key"),
        pytest.param(pair(b"k", struct.pack("<I", 13)), "unknown type 13", id="type of a value"),
        pytest.param(
            pair(b"k", struct.pack("<IIQ", 9, 9, 1)), "unknown type 9", id="array of arrays"
        ),
        pytest.param(
            pair(b"k", struct.pack("<IIQ", 9, 8, 1 << 61)), "the array", id="2^61 strings"
        ),
        pytest.param(
            pair(b"k", struct.pack("<IIQ", 9, 12, (1 << 64) - 1)), "the array", id="2^64 numbers"
        ),
        pytest.param(
            GgufWriter().scalar("general.alignment", "I", 0).file(),
            "power of two",
            id="alignment 0",
        ),
        pytest.param(
            GgufWriter().scalar("general.alignment", "I", 48).file(), "power of two", id="48"
        ),
        pytest.param(
            GgufWriter().string("general.alignment", "32").file(), "power of two", id="text"
        ),
        pytest.param(
            GgufWriter().string("k", "1").string("k", "2").file(), "twice", id="a key twice"
        ),
        pytest.param(
            GgufWriter().tensor("a", [1], 0, 0).tensor("a", [1], 0, 32).file(64),
            "twice",
            id="a tensor twice",
        ),
        pytest.param(GgufWriter().tensor("a", [1] * 9, 0, 0).file(64), "9 dimensions", id="9-D"),
        pytest.param(GgufWriter().tensor("a", [1], 200, 0).file(64), "not known", id="type 200"),
        pytest.param(
            GgufWriter().tensor("a", [255], Q4_K, 0).file(999), "whole Q4_K blocks", id="half block"
        ),
        pytest.param(
            GgufWriter().tensor("a", [1 << 40, 1 << 40], 0, 0).file(64), "overflows", id="overflow"
        ),
        pytest.param(
            GgufWriter().tensor("a", [(1 << 64) - 1, 0], 0, 0).file(64),
            "overflows",
            id="overflow hidden by a zero",
        ),
        pytest.param(GgufWriter().tensor("a", [1], 0, 7).file(64), "not aligned", id="unaligned"),
        pytest.param(
            GgufWriter().tensor("a", [16], 0, 0).tensor("b", [1], 0, 32).file(64),
            "overlaps",
            id="overlap",
        ),
        pytest.param(
            GgufWriter().tensor("a", [1], 0, (1 << 64) - 32).file(64), "cut off", id="far offset"
        ),
    ],
)
def test_what_breaks_the_rules_is_refused_with_its_reason(data: bytes, words: str) -> None:
    assert words in refused(data).message


GOOD = [a_flux(GgufWriter(version, order)) for version in (1, 2, 3) for order in "<>"]


@settings(max_examples=800, deadline=None)
@given(
    data=st.sampled_from(GOOD),
    changes=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=4),
    end=st.integers(0, 900),
)
def test_any_damage_gets_an_answer_or_a_format_error(
    data: bytes, changes: list[tuple[int, bytes]], end: int
) -> None:
    damaged = bytearray(data)
    for start, piece in changes:
        damaged[start : start + len(piece)] = piece
    try:
        header = read(bytes(damaged[:end]))
    except FormatError:
        return
    assert header.format is FileFormat.GGUF
