"""An answer as it came in, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from modelhub.civitai.answers import error_text
from modelhub.network import shown_url


@dataclass(frozen=True)
class Received:
    """Status, headers and the part of the body that was read.

    :param headers: names in lower case.
    :param disposition: the raw bytes of `Content-Disposition`, which may be in any encoding.
    :param with_key: whether the request carried the API key.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    disposition: bytes | None = None
    with_key: bool = False

    @property
    def shown_url(self) -> str:
        """The URL as it may be shown."""
        return shown_url(self.url)

    @property
    def is_redirect(self) -> bool:
        """Whether it points elsewhere."""
        return self.status in (301, 302, 303, 307, 308)

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_page(self) -> bool:
        """Whether it is a web page, by its type or by how it starts."""
        if self.content_type in ("text/html", "application/xhtml+xml"):
            return True
        start = self.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return start.startswith((b"<!doctype html", b"<html"))

    @cached_property
    def text(self) -> str:
        """What an error's JSON says, in one line."""
        return error_text(self.body)[0]

    @cached_property
    def fields(self) -> dict[str, object]:
        """An error's JSON object; empty where there is none."""
        return error_text(self.body)[1]
