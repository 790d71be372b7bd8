"""Query text to a tree and back, without a database."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.search.ast import FieldTerm, Operator, Phrase, Query, Value, Word
from modelhub.catalog.search.criteria import ValueRefused
from modelhub.catalog.search.fields import FIELDS
from modelhub.catalog.search.lexer import TokenKind, tokens
from modelhub.catalog.search.parser import LONGEST_QUERY, MOST_TERMS, MOST_VALUES, parse
from modelhub.catalog.search.printer import printed
from modelhub.catalog.search.quantities import read_size, read_time
from modelhub.errors import QuerySyntaxError

NOW = datetime(2024, 6, 15, 12, 30, tzinfo=UTC)
SAMPLES = (
    "type:lora", "base:sdxl,pony", "-tag:old", 'tag:"two words"', "size>2GB", "size:1GB..2GB",
    "added<30d", "rating>=4", "ema:yes", "used:never", "creator:name", "path:anime/",
    '"a phrase"', '-"a phrase"', "word", "-word", 'note:"say \\"hi\\""', "size:<=1GiB",
)  # fmt: skip
pieces = st.one_of(
    st.sampled_from(SAMPLES),
    st.sampled_from(['"', "-", ":", ",", "<", ">", "=", "\\", "..", " ", "\n", *FIELDS]),
    st.text(max_size=12),
)
queries = st.one_of(
    st.text(max_size=200), st.lists(pieces, max_size=10).map("".join),
    st.lists(pieces, max_size=10).map(" ".join),
)  # fmt: skip


@given(queries)
def test_any_text_is_a_query_or_a_mistake_with_its_place(text: str) -> None:
    mistake = None
    try:
        parse(text)
    except QuerySyntaxError as error:
        mistake = error
    if mistake is not None:
        assert 1 <= mistake.column <= len(text) + 1
        assert mistake.expected
        assert f"column {mistake.column}" in mistake.message
        assert mistake.query == text


@given(queries)
def test_a_printed_query_parses_to_the_same_tree(text: str) -> None:
    try:
        tree = parse(text)
    except QuerySyntaxError:
        return
    assert parse(printed(tree)) == tree
    assert printed(parse(printed(tree))) == printed(tree)


@given(st.text(min_size=1, max_size=40))
def test_any_text_can_be_quoted(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    found = [token.text for token in tokens(f'"{escaped}"')]
    assert found == [text]


def test_words_phrases_and_fields_with_their_columns() -> None:
    tree = parse('anime -"v 1" type:lora,"locon" -size>=2GB')
    assert tree == Query(
        (
            Word("anime"),
            Phrase("v 1", negated=True),
            FieldTerm("type", Operator.IS, (Value("lora"), Value("locon"))),
            FieldTerm("size", Operator.AT_LEAST, (Value("2GB"),), negated=True),
        )
    )
    assert [term.column for term in tree.terms] == [1, 7, 14, 32]


def test_white_space_alone_finds_everything() -> None:
    assert parse(" \t\n").terms == ()
    assert not parse("type:lora -word").has_words
    assert parse("type:lora word").has_words


def test_a_comparison_may_stand_behind_a_colon() -> None:
    assert parse("size:>2GB") == parse("size>2GB")
    assert parse("RATING:>=4") == parse("rating>=4")


def test_a_quote_inside_a_word_is_part_of_it() -> None:
    assert parse('6"disk').terms == (Word('6"disk'),)


def test_escaped_quotes_and_backslashes_stand_for_themselves() -> None:
    assert parse(r'"say \"hi\" \\ there"').terms == (Phrase(r'say "hi" \ there'),)


def test_tokens_know_where_they_start_and_end() -> None:
    kinds = [(token.kind, token.column, token.end) for token in tokens("-tag:a,b")]
    assert kinds == [
        (TokenKind.MINUS, 1, 1),
        (TokenKind.FIELD, 2, 4),
        (TokenKind.OPERATOR, 5, 5),
        (TokenKind.VALUE, 6, 6),
        (TokenKind.COMMA, 7, 7),
        (TokenKind.VALUE, 8, 8),
    ]


@pytest.mark.parametrize(
    ("query", "column", "message", "expected"),
    [
        ("tyep:lora", 1, "no field 'tyep'", "`type`"),
        ("anime ratting>3", 7, "no field 'ratting'", "`rating`"),
        ("zzzz:1", 1, "no field 'zzzz'", "one of adapter, added, arch, base"),
        ("see https://civitai.com", 5, "no field 'https'", 'or quotes: "https:..."'),
        ('anime "unclosed', 7, "never closed", 'a closing "'),
        ('tag:"unclosed', 5, "never closed", 'a closing "'),
        ("-", 2, "nothing after the minus", "leave out"),
        ("a - b", 4, "nothing after the minus", "leave out"),
        ("--old", 2, "two minus signs", "a word, a phrase or a field"),
        ("!!!", 1, "nothing to search for", "letters or digits"),
        ('""', 1, "nothing to search for", "letters or digits"),
        ("type:", 6, "a value is missing", "one of checkpoint"),
        ("type: lora", 6, "a value is missing", "one of checkpoint"),
        ("type:lora,", 11, "a value is missing", "one of checkpoint"),
        ("type:,lora", 6, "a value is missing", "one of checkpoint"),
        ('tag:""', 5, "the value is empty", "a tag"),
        ('tag:a"b"', 6, "a quote inside a value", "a comma or a space"),
        ("type>lora", 5, "type cannot be compared so", ": or ="),
        ("size>2XB", 6, "'2XB' is no size", "2GB, 1.5GiB or 800MB"),
        ("size:1,2,big", 10, "'big' is no size", "2GB"),
        ("size>1GB..2GB", 6, "is no size", "2GB"),
        ("added<soon", 7, "neither a date nor an age", "30d, 2w, 6m or 1y"),
        ("added:2024-02-30", 7, "there is no date", "2024-01-31"),
        ("added:1066", 7, "not a year", "2024-01-31"),
        ("rating:6", 8, "'6' is no rating", "1 to 5, or none"),
        ("rating<1", 8, "there is no such rating", "1 to 5"),
        ("rating>none", 8, "'none' is no rating", "1 to 5"),
        ("ema:maybe", 5, "not an answer to ema", "yes or no or unknown"),
        ("missing:unknown", 9, "not an answer to missing", "yes or no"),
        ("state:gone", 7, "not an answer to state", "quarantined"),
        ("used:always", 6, "neither a date nor an age", "never or ever or an age"),
        ("hash:xyz", 6, "'xyz' is no hash", "4 to 64 hex digits"),
        ("hash:abc", 6, "'abc' is no hash", "4 to 64 hex digits"),
        ("creator:!!", 9, "holds no words", "words of the creator"),
        ("model:--", 7, "holds no words", "or its id"),
        ("tag:" + "x" * 65, 5, "64 characters at most", "a tag"),
    ],
)
def test_every_mistake_is_answered_with_its_place_and_what_was_expected(
    query: str, column: int, message: str, expected: str
) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse(query)
    assert message in caught.value.message
    assert expected in caught.value.expected
    assert caught.value.column == column
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("a" * (LONGEST_QUERY + 1), "too long"),
        ("a " * (MOST_TERMS + 1), "too many terms"),
        ("tag:" + ",".join("a" * (MOST_VALUES + 1)), "too many values"),
    ],
)
def test_there_is_a_limit_to_everything(query: str, message: str) -> None:
    with pytest.raises(QuerySyntaxError, match=message):
        parse(query)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1234", 1234),
        ("800MB", 800_000_000),
        ("2gb", 2_000_000_000),
        ("2GiB", 2 << 30),
        ("1.5GiB", 3 << 29),
        ("1 TB", 10**12),
        ("4k", 4000),
    ],
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert read_size(text).value == size


@given(st.text(max_size=20))
def test_any_text_is_a_size_a_time_or_refused(text: str) -> None:
    for read in (read_size, lambda text: read_time(text, NOW)):
        with contextlib.suppress(ValueRefused):
            read(text)


@given(st.integers(0, 999_999), st.sampled_from("hdwmy"))
def test_every_age_is_a_moment_in_the_past(number: int, unit: str) -> None:
    span = read_time(f"{number}{unit}", NOW)
    assert span.is_age
    assert span.start == span.end <= NOW


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", (2024, 1, 1), (2025, 1, 1)),
        ("2024-02", (2024, 2, 1), (2024, 3, 1)),
        ("2023-12", (2023, 12, 1), (2024, 1, 1)),
        ("2024-02-29", (2024, 2, 29), (2024, 3, 1)),
        ("2024-12-31", (2024, 12, 31), (2025, 1, 1)),
        ("today", (2024, 6, 15), (2024, 6, 16)),
        ("Yesterday", (2024, 6, 14), (2024, 6, 15)),
    ],
)
def test_dates_span_their_day_month_or_year(
    text: str, start: tuple[int, int, int], end: tuple[int, int, int]
) -> None:
    span = read_time(text, NOW)
    assert (span.start, span.end) == (datetime(*start, tzinfo=UTC), datetime(*end, tzinfo=UTC))
