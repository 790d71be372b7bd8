"""Links to Civitai's pages and API, as copied from a browser or from a tool's metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from modelhub.civitai.reference_values import (
    FileWish,
    ModelRef,
    Reference,
    VersionRef,
    checked_id,
    hash_reference,
    quoted,
)
from modelhub.errors import MalformedReference, UnsupportedSource
from modelhub.network import CIVITAI_HOSTS

_IMAGE_HOSTS: Final = frozenset(
    {"image.civitai.com", "imagecache.civitai.com", "image.civitai.red"}
)
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)?://")
_BARE_HOST = re.compile(r"[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*\.[a-zA-Z]{2,}(:[0-9]+)?/\S*")
_ENCODED = re.compile(
    r"(https?(:|%3a)%2f%2f|[a-z0-9.-]*civitai\.(com|red|green)%2f)", re.IGNORECASE
)
_PAGES: Final = {
    "images": "an image",
    "posts": "a post",
    "user": "a user's page",
    "articles": "an article",
    "collections": "a collection",
    "bounties": "a bounty",
    "challenges": "a challenge",
    "tag": "a tag's page",
    "gallery": "a gallery",
    "search": "a search",
    "generate": "the generator",
}
_HINT: Final = "open the model's own page and copy the link from there"


def host_of(url: str) -> str:
    """The host of `url` with its port where one is written, for `hosts` of a parser."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2].lower()


def looks_like_link(text: str, hosts: Collection[str] = ()) -> bool:
    """Whether `text` is meant as a URL, complete or without its scheme."""
    if _SCHEME.match(text) or text.startswith("//") or _ENCODED.match(text):
        return True
    return bool(_BARE_HOST.fullmatch(text)) or text.partition("/")[0].lower() in {
        *CIVITAI_HOSTS,
        *hosts,
    }


def parse_link(text: str, hosts: Collection[str] = ()) -> Reference:
    """Read a link.

    :param hosts: further hosts (`host` or `host:port`) that are laid out as Civitai is.
    :raises MalformedReference: a broken URL, or a page that is no model's.
    :raises UnsupportedSource: another site.
    """
    parts = _split(text)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme.lower() not in ("http", "https"):
        raise UnsupportedSource(f"{quoted(text)}: modelhub reads http and https links only")
    if host in _IMAGE_HOSTS:
        raise MalformedReference(f"{quoted(text)} is an image, not a model", hint=_HINT)
    if host not in CIVITAI_HOSTS and not {host, parts.netloc.rpartition("@")[2].lower()} & {*hosts}:
        raise UnsupportedSource(
            f"{quoted(text)} is on {quoted(host)}: modelhub pulls from Civitai",
            hint="give a link to civitai.com, civitai.red or civitai.green",
        )
    path = [unquote(part) for part in parts.path.split("/") if part]
    query: dict[str, str] = {}
    for name, value in parse_qsl(parts.query):
        query.setdefault(name.lower(), value.strip())
    return _page(path, query, text)


def _split(text: str) -> SplitResult:
    """The URL's parts; a URL that was percent-encoded as a whole is decoded first."""
    url = unquote(text) if _ENCODED.match(text) else text
    if url.startswith("//"):
        url = "https:" + url
    elif not _SCHEME.match(url):
        url = "https://" + url
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise MalformedReference(f"{quoted(text)} is no complete URL") from error
    return parts


def _page(path: list[str], query: dict[str, str], text: str) -> Reference:
    lower = [part.lower() for part in path]
    if lower[:1] == ["api"]:
        path, lower = path[1:], lower[1:]
    if re.fullmatch(r"v[0-9]", "".join(lower[:1])):
        path, lower = path[1:], lower[1:]

    readers: dict[tuple[str, ...], Callable[[str], Reference]] = {
        ("download", "models"): lambda part: VersionRef(
            checked_id(part, shown=text), file=_wish(query, text)
        ),
        ("model-versions", "by-hash"): lambda part: hash_reference(part, shown=text),
        ("model-versions", "mini"): lambda part: VersionRef(checked_id(part, shown=text)),
        ("model-versions",): lambda part: VersionRef(
            checked_id(part, shown=text), file=_wish(query, text)
        ),
        ("modelversions",): lambda part: VersionRef(checked_id(part, shown=text)),
        ("models",): lambda part: _model(part, query, text),
    }
    for prefix, read in readers.items():
        if tuple(lower[: len(prefix)]) == prefix and len(path) > len(prefix):
            return read(path[len(prefix)])
    what = _PAGES.get(lower[0] if lower else "", "a page of Civitai")
    raise MalformedReference(f"{quoted(text)} is {what}, not a model", hint=_HINT)


def _model(part: str, query: dict[str, str], text: str) -> ModelRef:
    version = query.get("modelversionid")
    return ModelRef(
        checked_id(part, shown=text),
        version_id=checked_id(version, shown=text) if version else None,
        file=_wish(query, text),
    )


def _wish(query: dict[str, str], text: str) -> FileWish:
    file_id = query.get("fileid")
    return FileWish(
        file_id=checked_id(file_id, shown=text) if file_id else None,
        type=query.get("type"),
        format=query.get("format"),
        fp=query.get("fp"),
        size=query.get("size"),
        quant_type=query.get("quanttype"),
    )
