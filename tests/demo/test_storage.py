from __future__ import annotations

import email
import hashlib
import time
from email.policy import HTTP

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.demo.hub import DemoHub, random_bytes
from modelhub.demo.published import Disposition, PublishedFile, PublishedModel, PublishedVersion
from modelhub.demo.storage import parsed_ranges

DATA = random_bytes(300_000)


@pytest.fixture
def link(hub: DemoHub) -> str:
    return hub.link(hub.publish_bytes("some.safetensors", DATA).id)


def test_a_signed_link_gives_the_file_with_length_etag_and_name(
    link: str, client: httpx.Client
) -> None:
    answer = client.get(link)
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == "300000"
    digest = hashlib.sha256(DATA).hexdigest()[:32]
    assert answer.headers["etag"] == f'"{digest}-1"'
    assert 'filename="some.safetensors"' in answer.headers["content-disposition"]


def test_head_tells_the_same_without_a_body(link: str, client: httpx.Client) -> None:
    answer = client.head(link)
    assert answer.status_code == 200
    assert answer.headers["content-length"] == "300000"
    assert answer.content == b""
    assert client.get(link).content == DATA, "the connection is still in order"


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, 300_000),
        ("bytes=-7", 299_993, 300_000),
        ("bytes=299999-999999", 299_999, 300_000),
    ],
)
def test_one_range_gives_206_and_its_place(
    link: str, client: httpx.Client, header: str, start: int, end: int
) -> None:
    answer = client.get(link, headers={"Range": header})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/300000"
    assert answer.content == DATA[start:end]


def test_several_ranges_come_as_parts(link: str, client: httpx.Client) -> None:
    answer = client.get(link, headers={"Range": "bytes=0-4,1000-1009,-3"})
    assert answer.status_code == 206
    head = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n"
    message = email.message_from_bytes(head + answer.content, policy=HTTP)
    parts = [
        (part["content-range"], part.get_payload(decode=True)) for part in message.iter_parts()
    ]
    assert parts == [
        ("bytes 0-4/300000", DATA[:5]),
        ("bytes 1000-1009/300000", DATA[1000:1010]),
        ("bytes 299997-299999/300000", DATA[-3:]),
    ]


def test_a_range_beyond_the_end_is_416_with_the_size(link: str, client: httpx.Client) -> None:
    answer = client.get(link, headers={"Range": "bytes=300000-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */300000"


@pytest.mark.parametrize("header", ["bytes=abc", "bytes=9-1", "lines=1-2", "bytes=-", "bytes="])
def test_a_range_that_makes_no_sense_is_ignored(
    link: str, client: httpx.Client, header: str
) -> None:
    assert client.get(link, headers={"Range": header}).status_code == 200


def test_if_range_keeps_parts_of_two_files_apart(link: str, client: httpx.Client) -> None:
    first = client.get(link, headers={"Range": "bytes=0-0"})
    ranged = {"Range": "bytes=5-9"}
    for known in (first.headers["etag"], first.headers["last-modified"]):
        same = client.get(link, headers={**ranged, "If-Range": known})
        assert same.status_code == 206
    for other in ('"another"', "Mon, 01 Jan 2001 00:00:00 GMT", "nonsense"):
        changed = client.get(link, headers={**ranged, "If-Range": other})
        assert changed.status_code == 200
        assert changed.content == DATA


def test_conditional_requests_are_answered_by_etag(link: str, client: httpx.Client) -> None:
    etag = client.head(link).headers["etag"]
    assert client.get(link, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(link, headers={"If-Match": etag}).status_code == 200
    assert client.get(link, headers={"If-Match": '"other"'}).status_code == 412


def test_an_authorization_header_is_refused(link: str, client: httpx.Client) -> None:
    answer = client.get(link, headers={"Authorization": "Bearer anything"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/xml"
    assert "<Code>InvalidArgument</Code>" in answer.text


def test_links_expire_with_an_xml_403(client: httpx.Client) -> None:
    with DemoHub(catalogue=False, link_lifetime=0.05) as hub:
        link = hub.link(hub.publish_bytes("a.bin", b"abc").id)
        time.sleep(0.1)
        answer = client.get(link)
    assert answer.status_code == 403
    assert "Request has expired" in answer.text


def test_a_link_that_was_tampered_with_is_refused(link: str, client: httpx.Client) -> None:
    path, query = link.split("?")
    assert "Access Denied" in client.get(path).text
    assert "SignatureDoesNotMatch" in client.get(link.replace("Expires=3600", "Expires=9")).text
    other = path.replace("some", "other") + "?" + query
    assert client.get(other).status_code == 403


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        ("plain", 'attachment; filename="na_ve \\"x\\".safetensors"'),
        ("extended", "attachment; filename*=UTF-8''na%C3%AFve%20%22x%22.safetensors"),
        (
            "both",
            'attachment; filename="na_ve \\"x\\".safetensors"; '
            "filename*=UTF-8''na%C3%AFve%20%22x%22.safetensors",
        ),
        ("none", None),
    ],
)
def test_the_name_is_told_in_every_form_of_rfc_6266(
    hub: DemoHub, client: httpx.Client, disposition: Disposition, expected: str | None
) -> None:
    file = PublishedFile(
        name="other.safetensors",
        download_name='naïve "x".safetensors',
        content=b"abc",
        disposition=disposition,
    )
    hub.publish(PublishedModel(name="m", versions=[PublishedVersion(name="v", files=[file])]))
    assert client.get(hub.link(file.id)).headers.get("content-disposition") == expected


@given(
    st.one_of(st.none(), st.text(), st.from_regex(r"bytes=[0-9,\- ]{0,40}", fullmatch=True)),
    st.integers(0, 10_000),
)
def test_ranges_never_leave_the_file(header: str | None, size: int) -> None:
    for start, length in parsed_ranges(header, size) or []:
        assert 0 <= start < size
        assert 1 <= length <= size - start


def test_image_urls_resize_as_the_cdn_does(shop: DemoHub, client: httpx.Client) -> None:
    version = client.get(f"{shop.url}/api/v1/model-versions/133274").json()
    url = version["images"][0]["url"]
    assert "/original=true/" in url
    original = client.get(url)
    small = client.get(url.replace("original=true", "width=450"))
    assert original.headers["content-type"] == small.headers["content-type"] == "image/png"
    assert _png_size(original.content) == (512, 768)
    assert _png_size(small.content) == (450, 675)
    assert client.get(url.replace("original=true", "width=9999")).content == original.content
    assert client.get(url.replace("original=true", "width=450") + "x").status_code == 404


def _png_size(data: bytes) -> tuple[int, int]:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size
