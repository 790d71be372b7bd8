"""Vocabularies in GGUF files, and what is made to mislead their readers."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats.gguf_vocabulary import has_vocabulary, read_vocabulary
from modelhub.formats.reading import read_header
from tests.formats.vocabularies import Words, bytewise, charsmap, ranked
from tests.formats.written import GgufWriter


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_vocabulary_is_read_as_it_was_written(order: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    for words in (bytewise(), ranked()):
        path.write_bytes(words.write(GgufWriter(order=order)).file())
        assert has_vocabulary(read_header(path))
        found = read_vocabulary(path)
        assert (found.model, found.tokens) == (words.model, words.tokens)
        assert (found.merges, found.scores) == (list(words.merges), list(words.scores))
        assert found.kinds == [words.kinds.get(one, 1) for one in words.tokens]
        named = words.settings["eos_token_id"]
        assert found.token("eos_token_id") == (words.tokens[int(named)], named)
        assert found.token("nothing") is None


def test_what_has_no_vocabulary_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(GgufWriter().string("general.architecture", "flux").file())
    assert not has_vocabulary(read_header(path))
    with pytest.raises(FormatError, match=r"a\.gguf.*no tokenizer"):
        read_vocabulary(path)


def _written(path: Path, table: bytes) -> None:
    path.write_bytes(Words("t5", ["a"], charsmap=table).write(GgufWriter()).file())


def test_a_table_of_characters_that_points_out_of_itself_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.gguf", charsmap({"ﬁ": "fi", "½": "é"})
    _written(path, whole)
    assert read_vocabulary(path).charsmap == whole
    size = struct.unpack_from("<I", whole)[0]
    spoilt = [
        whole[: size // 2],
        struct.pack("<I", size + 400) + whole[4:],
        struct.pack("<I", size - 1) + whole[4:],
        # A child far away, a text behind the last, a text that begins within a letter.
        whole[:4] + struct.pack("<I", 0x3FFF << 10) + whole[8:],
        whole[:8] + struct.pack("<I", 1 << 31 | 1000) + whole[12:],
        whole[:8] + struct.pack("<I", 1 << 31 | whole[4 + size :].index(0xA9)) + whole[12:],
    ]
    for table in spoilt:
        _written(path, table)
        with pytest.raises(FormatError, match="table of characters"):
            read_vocabulary(path)


@given(
    st.dictionaries(
        # Where units are that the search comes by.
        st.sampled_from(
            [
                *range(12),
                *(
                    4 + 4 * (256 + place) + byte
                    for place in (0, 0xC2, 0xEF, 0x65)
                    for byte in range(4)
                ),
            ]
        ),
        st.integers(0, 255),
        max_size=4,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_table_is_refused_or_harmless(tmp_path: Path, damage: dict[int, int]) -> None:
    from tokenizers import normalizers

    table = bytearray(charsmap({"ﬁ": "fi", "½": "é", "e\u0301": "é"}))
    for place, byte in damage.items():
        table[place] = byte
    path = tmp_path / "a.gguf"
    _written(path, bytes(table))
    with suppress(FormatError):
        made = normalizers.Precompiled(read_vocabulary(path).charsmap)
        assert isinstance(made.normalize_str("ﬁ½ e\u0301 plain \U0001f525 ￿ ﬀ"), str)
