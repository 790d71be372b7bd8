"""What a storage server's answers mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import ModelhubError, NotAModelFile, UnexpectedAnswer
from modelhub.transfer.answers import (
    Answer,
    ChangedOnServer,
    LinkRefused,
    RangesIgnored,
    TryAgain,
    Validator,
    looks_like_a_page,
    retry_after,
    understand,
)

HEADERS = [
    *("content-range", "content-length", "etag", "retry-after"),
    *("content-type", "content-encoding", "last-modified", "accept-ranges"),
]


def read(status: int, start: int | None = 0, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return understand(status, named, url="http://x/y", name="m.safetensors", start=start)


def test_a_part_says_the_size_of_the_whole() -> None:
    answer = read(206, 100, content_range="bytes 100-199/1000", etag='"v1"')
    assert answer == Answer(100, 200, 1000, True, True, Validator('"v1"', None))


def test_a_part_of_a_file_of_unknown_size_cannot_be_shared_out() -> None:
    assert not read(206, 0, content_range="bytes 0-99/*").ranged


@pytest.mark.parametrize("value", ["", "bytes 5-9/10", "bytes 9-5/10", "bytes 0-10/10", "items 1"])
def test_another_part_than_was_asked_for_is_not_taken(value: str) -> None:
    with pytest.raises(TryAgain):
        read(206, 0, content_range=value)


def test_a_whole_file_may_still_be_had_in_parts() -> None:
    assert read(200, 0, content_length="9", accept_ranges="bytes").ranged
    assert not read(200, 0, content_length="9").ranged
    assert not read(200, None, content_length="9", accept_ranges="bytes").ranged


def test_a_length_that_is_no_number_is_no_length() -> None:
    assert read(200, 0, content_length="-5").total is None
    assert read(200, 0, content_length="9" * 30).total is None


def test_an_empty_file_has_no_satisfiable_range() -> None:
    assert read(416, 0, content_range="bytes */0").total == 0
    with pytest.raises(ChangedOnServer):
        read(416, 500, content_range="bytes */100")


def test_weak_etags_do_not_count() -> None:
    assert read(200, 0, etag='W/"v1"').validator == Validator(None, None)


def test_validators_contradict_only_where_both_speak() -> None:
    one, other = Validator('"1"', "Mon"), Validator('"2"', "Mon")
    assert one.contradicts(other)
    assert not one.confirms(other)
    assert not one.contradicts(Validator(None, "Mon"))
    assert one.confirms(Validator(None, "Mon"))
    assert not one.confirms(Validator())
    assert Validator(None, "Mon").contradicts(Validator(None, "Tue"))


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refused_link_may_be_an_old_one(status: int) -> None:
    with pytest.raises(LinkRefused):
        read(status)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 599])
def test_a_server_in_trouble_is_asked_again(status: int) -> None:
    with pytest.raises(TryAgain) as caught:
        read(status, retry_after="7")
    assert caught.value.wait == 7.0
    assert caught.value.status == status


def test_both_forms_of_retry_after_are_read() -> None:
    assert retry_after({"retry-after": "120"}) == 120.0
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=20.0) == 40.0
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=90.0) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize("kind", ["text/html", "TEXT/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_page_is_no_model(kind: str) -> None:
    with pytest.raises(NotAModelFile):
        read(200, content_type=kind)


def test_compressed_bytes_are_not_those_of_the_file() -> None:
    with pytest.raises(UnexpectedAnswer):
        read(200, content_encoding="gzip")


@pytest.mark.parametrize("start", [b"<!DOCTYPE html><html>", b"\xef\xbb\xbf\n <HTML>", b"<?xml ?>"])
def test_a_page_is_recognised_by_its_first_bytes(start: bytes) -> None:
    assert looks_like_a_page(start, "model.ckpt")
    assert not looks_like_a_page(start, "readme.html")


def test_model_files_do_not_begin_like_pages() -> None:
    for start in (b"PK\x03\x04", b"\x80\x02}q", b"GGUF", b"\x10\0\0\0\0\0\0\0{", b"", b"{}"):
        assert not looks_like_a_page(start, "model.ckpt")


@given(
    status=st.integers(100, 599),
    start=st.none() | st.integers(0, 2**50),
    headers=st.dictionaries(
        st.sampled_from(HEADERS),
        st.text(max_size=40) | st.from_regex(r"bytes \d{1,25}-\d{1,25}/(\d{1,25}|\*)"),
    ),
)
def test_hostile_heads_give_an_answer_or_a_known_refusal(
    status: int, start: int | None, headers: dict[str, str]
) -> None:
    try:
        answer = understand(status, headers, url="u", name="n", start=start)
    except (TryAgain, LinkRefused, ChangedOnServer, RangesIgnored, ModelhubError):
        return
    assert answer.start == (start or 0) or not answer.part
    assert answer.end is None or answer.end >= answer.start
