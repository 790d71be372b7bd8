"""What a storage server's answer to a request for bytes means (RFC 9110, sections 13 to 15)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath

from modelhub.errors import NotAModelFile, UnexpectedAnswer

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.IGNORECASE)
_PAGE_NAMES = frozenset({".html", ".htm", ".xhtml", ".xml", ".svg"})
_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<error>")

LINK_STATUSES = frozenset({401, 403, 404, 410})
"""What storage answers to a link that expired, was revoked or never worked."""

WAIT_STATUSES = frozenset({408, 425, 429})


class TryAgain(Exception):
    """It did not work this time.

    :param wait: seconds the server asks to wait, if it does.
    :param status: its HTTP status; None when there was no answer.
    """

    def __init__(self, reason: str, *, wait: float | None = None, status: int | None = None):
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.status = status


class LinkRefused(Exception):
    """The link does not work, or no longer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ChangedOnServer(Exception):
    """The file is not the one that was begun with."""


class RangesIgnored(Exception):
    """The server sends the whole file whatever part of it was asked for."""


@dataclass(frozen=True, slots=True)
class Validator:
    """By what a server tells versions of a file apart: a strong ETag, a Last-Modified, neither."""

    etag: str | None = None
    modified: str | None = None

    @property
    def if_range(self) -> str | None:
        """The value for an If-Range header."""
        return self.etag or self.modified

    def contradicts(self, other: Validator) -> bool:
        """Whether both say something, and not the same."""
        if self.etag and other.etag:
            return self.etag != other.etag
        return bool(self.modified and other.modified and self.modified != other.modified)

    def confirms(self, other: Validator) -> bool:
        """Whether both have the same strong ETag, or else the same Last-Modified."""
        if self.etag and other.etag:
            return self.etag == other.etag
        return bool(self.modified and self.modified == other.modified)


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes are coming: from `start` to `end` (None: until the body ends) of `total`.

    :param part: they are the part that was asked for, not the whole file regardless.
    :param ranged: other parts can be asked for.
    """

    start: int
    end: int | None
    total: int | None
    part: bool
    ranged: bool
    validator: Validator


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds that a Retry-After header asks to wait, in either of its two forms."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "").strip()
    return int(value) if value.isdecimal() and len(value) < 19 else None


def _validator(headers: Mapping[str, str]) -> Validator:
    etag = headers.get("etag", "").strip()
    strong = etag if len(etag) > 2 and etag.startswith('"') and len(etag) < 1024 else None
    return Validator(strong, headers.get("last-modified", "").strip()[:64] or None)


def _refuse_pages(headers: Mapping[str, str], url: str, name: str) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _PAGE_TYPES and PurePosixPath(name).suffix.lower() not in _PAGE_NAMES:
        raise NotAModelFile(
            f"{url} answered with a web page instead of {name}",
            hint="a login or maintenance page; run `modelhub login`, or try again later",
        )
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnexpectedAnswer(
            f"{url} sent {name} compressed ({encoding[:20]!r}) though that was not asked for",
            hint="a proxy may do that; see `network.proxy`",
        )


def looks_like_a_page(start: bytes, name: str) -> bool:
    """Whether a body that begins with `start` is a page, where `name` is no page's."""
    if PurePosixPath(name).suffix.lower() in _PAGE_NAMES:
        return False
    text = start[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(_PAGE_STARTS)


def understand(
    status: int, headers: Mapping[str, str], *, url: str, name: str, start: int | None
) -> Answer:
    """Read the head of an answer to a request for the bytes from `start` on (None: for all).

    :param headers: with lower-case names, or ignoring case.
    :param url: how the URL may be shown.
    :raises TryAgain: busy, or in trouble.
    :raises LinkRefused: the link does not work.
    :raises ChangedOnServer: the file is shorter than it was.
    :raises NotAModelFile: a page.
    :raises UnexpectedAnswer: anything else that bytes cannot be had from.
    """
    if status in LINK_STATUSES:
        raise LinkRefused(status)
    if status in WAIT_STATUSES or status >= 500:
        raise TryAgain(f"{url} answered {status}", wait=retry_after(headers), status=status)
    if status == 416:
        return _beyond_the_end(headers, url, start)
    if status not in (200, 206):
        raise UnexpectedAnswer(f"{url} answered {status} where bytes of {name} were asked for")
    _refuse_pages(headers, url, name)
    length = _length(headers)
    if status == 200:
        ranged = headers.get("accept-ranges", "").lower() == "bytes" and length is not None
        return Answer(0, length, length, False, ranged and start is not None, _validator(headers))
    return _part(headers, url, start)


def _beyond_the_end(headers: Mapping[str, str], url: str, start: int | None) -> Answer:
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if start:
        raise ChangedOnServer
    if found and found[3] == "0":
        return Answer(0, 0, 0, False, False, _validator(headers))
    raise UnexpectedAnswer(f"{url} answered 416 to a request for the whole file")


def _part(headers: Mapping[str, str], url: str, start: int | None) -> Answer:
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None or found[1] is None:
        raise TryAgain(f"{url} sent a part without saying which (Content-Range)", status=206)
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if first != (start or 0) or last < first or (total is not None and last >= total):
        raise TryAgain(f"{url} sent another part than was asked for", status=206)
    return Answer(first, last + 1, total, True, total is not None, _validator(headers))
