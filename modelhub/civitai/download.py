"""From a version or a download URL of the API to the link where its file lies.

The API redirects to object storage, to a presigned link that is good for a short while and carries
its own signature: it must be asked without the key, and is not asked here at all, so that one-time
links stay unused. Only the API's own download paths are asked, with the key in a header; a redirect
to anywhere else is the link. Implementations that send the file themselves, without a redirect, are
understood too: then the link is the API's URL, and the key goes with it (`DownloadLink.headers`).

Refusals follow `src/pages/api/download/models/[modelVersionId].ts` of the server's source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import parse_qs, urlencode, urlsplit

from modelhub.civitai.cache import cache_directives
from modelhub.civitai.disposition import disposition_filename, link_filename
from modelhub.civitai.http import Session
from modelhub.civitai.received import Received
from modelhub.civitai.redirects import Walk
from modelhub.civitai.reference_values import FileWish
from modelhub.civitai.refusals import BLOCKED_HINT, denied, raise_if_passing
from modelhub.civitai.retry import Passing
from modelhub.civitai.schema import moment
from modelhub.errors import (
    AccessForbidden,
    ArchivedModel,
    DownloadsDisabled,
    EarlyAccess,
    KeyRefused,
    LoginRequired,
    ModelhubError,
    NoMatchingFile,
    NotAModelFile,
    UnexpectedAnswer,
    UnknownModel,
)
from modelhub.network import shown_url

_STORAGE_FAULT_RETRIES: Final = 2
_PAGE_PATH = re.compile(r"/(models|model-versions)(/|$)")


@dataclass(frozen=True, slots=True)
class DownloadLink:
    """Where a file can be fetched, for a short while.

    :param url: may hold a signature: never shown as it is (`modelhub.network.shown_url`).
    :param filename: as the server names the file, uncleaned; None where it does not.
    :param headers: to be sent to exactly this URL, and to no redirect of it.
    """

    url: str = field(repr=False)
    filename: str | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def download_url(base: str, version_id: int, wish: FileWish) -> str:
    """The API's download URL of a version; an id names the file alone, other wishes combine."""
    query: dict[str, str | int | None] = {"fileId": wish.file_id}
    if wish.file_id is None:
        query = {
            "type": wish.type,
            "format": wish.format,
            "size": wish.size,
            "fp": wish.fp,
            "quantType": wish.quant_type,
        }
    given = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{base}/api/download/models/{version_id}{'?' if given else ''}{given}"


def find_link(session: Session, start: str) -> DownloadLink:
    """Follow `start` to the file's link, through passing faults.

    :raises AccessError: a login, a payment or a permission is missing.
    :raises NotFoundError: there is no such file, or no longer.
    :raises RedirectRefused: the way leads in circles, or to where no file may be fetched from.
    :raises NetworkError: anything else that is not a link or a file.
    """
    return session.persist(lambda: _walk(session, Walk(start)))


def _walk(session: Session, walk: Walk) -> DownloadLink:
    while session.may_see_key(walk.url) and _is_download_path(walk.url):
        received = session.exchange("GET", walk.url, headers={"Accept": "*/*"}, most_bytes=0)
        if not received.is_redirect:
            return _sent_by_the_api(session, received)
        target = walk.step(received.headers.get("location"))
        if session.may_see_key(target):
            _raise_if_page(received, target)
    return DownloadLink(walk.url, link_filename(walk.url))


def _is_download_path(url: str) -> bool:
    """`/api/download/...`, or without `/api` on a host that is the API's alone."""
    parts = urlsplit(url)
    prefix = "/" if (parts.hostname or "").startswith("api.") else "/api/"
    return parts.path.startswith(prefix)


def _sent_by_the_api(session: Session, received: Received) -> DownloadLink:
    if received.status not in (200, 206):
        _raise_refusal(received)
    filename = disposition_filename(received.disposition)
    if received.is_page or (filename is None and received.content_type == "application/json"):
        raise NotAModelFile(
            f"{received.shown_url} sends {received.content_type or 'a page'}, not a model file",
            hint="Civitai may be under maintenance, or want a login: run `modelhub login`",
        )
    headers = session.authorization(received.url) if received.with_key else {}
    return DownloadLink(received.url, filename, headers)


def _raise_if_page(received: Received, target: str) -> None:
    """Redirects to pages are for browsers: to log in, or to buy early access."""
    path = urlsplit(target).path
    if path.rstrip("/").endswith("/login"):
        if received.with_key:
            raise KeyRefused(f"{received.shown_url} asks to log in: the API key was not accepted")
        raise LoginRequired(f"{received.shown_url} asks to log in")
    if _PAGE_PATH.match(path):
        raise NotAModelFile(
            f"{received.shown_url} leads to a page, not to a file: {shown_url(target)}",
            hint="the page says what is needed; early access is bought there",
        )


def _raise_refusal(received: Received) -> NoReturn:
    """The download table of the API: what each status means."""
    raise_if_passing(received)
    what = _what(received.url)
    said = f": {received.text}" if received.text else ""
    status = received.status
    if status == 404:
        error = _not_found(received, what)
        if {"private", "no-store"} <= cache_directives(received.headers).keys():
            raise Passing(error, most=_STORAGE_FAULT_RETRIES)
        raise error
    if status == 401:
        raise _unauthorized(received, what)
    if status == 403:
        raise _forbidden(received, what)
    if status == 410:
        raise ArchivedModel(f"{what} belongs to an archived model: it has no downloads{said}")
    if status == 400:
        raise NoMatchingFile(f"Civitai cannot read the request for {what}{said}")
    raise UnexpectedAnswer(f"{received.shown_url} answered {status}{said}")


def _not_found(received: Received, what: str) -> ModelhubError:
    query = parse_qs(urlsplit(received.url).query)
    if set(query) - {"fileId", "token"}:
        wanted = ", ".join(f"{name} {values[0]}" for name, values in query.items())
        return NoMatchingFile(
            f"{what} has no file with {wanted[:200]}, or is not on Civitai",
            hint="leave the options out to get the version's primary file",
        )
    return UnknownModel(
        f"{what} is not on Civitai, or its storage cannot find it",
        hint="deleted and private files answer the same way; if its page shows it, try again later",
    )


def _unauthorized(received: Received, what: str) -> ModelhubError:
    if "disabled downloads" in received.text.lower():
        return DownloadsDisabled(
            f"the creator has disabled downloads of {what}",
            hint="it can be used on Civitai's own generator only",
        )
    return denied(received, f"the creator of {what} wants users to be logged in")


def _forbidden(received: Received, what: str) -> ModelhubError:
    error = received.fields.get("error")
    if isinstance(error, str) and error.casefold() == "early access":
        deadline = received.fields.get("deadline")
        until = moment(deadline) if isinstance(deadline, str) else None
        if until is None:
            return EarlyAccess(
                f"{what} is for those who bought access",
                hint="buy it on the model's page, then pull again with your API key",
            )
        shown = until.astimezone().strftime("%Y-%m-%d %H:%M %Z")
        return EarlyAccess(
            f"{what} is in early access until {shown}",
            hint="buy it on the model's page, or pull it after that",
        )
    if "do not have access" in received.text.lower():
        return AccessForbidden(
            f"this account may not download {what}",
            hint="its creator shares it with some accounts only",
        )
    said = f": {received.text}" if received.text else ""
    return AccessForbidden(f"Civitai refuses to send {what}{said}", hint=BLOCKED_HINT)


def _what(url: str) -> str:
    parts = urlsplit(url)
    file_id = parse_qs(parts.query).get("fileId")
    version = f"version {parts.path.rstrip('/').rpartition('/')[2]}"
    return f"file {file_id[0]} of {version}" if file_id else version
