"""The session with the API: key, pace, retries, bounded reading, conditional answers."""

from __future__ import annotations

import copy
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from modelhub.civitai.answers import Answer, Parsed, parse_json, typed
from modelhub.civitai.cache import AnswerCache, Entry
from modelhub.civitai.pace import PACER
from modelhub.civitai.received import Received
from modelhub.civitai.redirects import Walk, check_scheme
from modelhub.civitai.refusals import raise_for_status
from modelhub.civitai.retry import Passing, asked_wait, persistently
from modelhub.civitai.waiting import interruptible
from modelhub.config.paths import cache_folder
from modelhub.errors import (
    ConfigError,
    KeyRefused,
    NetworkError,
    RedirectRefused,
    UnexpectedAnswer,
    Unreachable,
)
from modelhub.network import http_client, key_may_be_sent, shown_url

if TYPE_CHECKING:
    from modelhub.config import Config

T = TypeVar("T")
Params = Mapping[str, str | int | list[str]]
OnWait = Callable[[float, str], None]

MOST_BYTES: Final = 64 << 20
"""The largest answer that is read; pages of a hundred models are a few MiB."""
_ERROR_BYTES: Final = 16 << 10
_CONNECT_RETRIES: Final = 2
_BROKEN_JSON_RETRIES: Final = 2
_CONNECTIONS: Final = 8

# hpack writes every header that it encodes to its debug log, the key among them.
for _name in ("hpack", "h2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    most_bytes: int
    with_key: bool


class Session:
    """Requests to one Civitai-shaped API; may be used from any number of threads.

    :param key: the API key; None goes without.
    :param cancel: set it to end whatever waits.
    :param on_wait: told the seconds and the reason before a wait for another try.
    :raises ConfigError: `civitai.url` or the network settings cannot be used.
    :raises KeyRefused: the key holds characters that no key has.
    """

    def __init__(
        self,
        config: Config,
        key: str | None,
        *,
        cancel: threading.Event | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        self.base = _checked_base(config.civitai.url)
        self._settings = config.civitai
        self._key = _checked_key(key)
        self.cancel = cancel
        self._on_wait = on_wait
        self._is_guest = False
        self._cache = AnswerCache(cache_folder() / "api") if config.civitai.cache else None
        self._client = http_client(
            config, timeout=config.civitai.timeout, connections=_CONNECTIONS, http2=True
        )

    def close(self) -> None:
        """Close the connections, unless they are another session's."""
        if not self._is_guest:
            self._client.close()

    def guest(self, *, cancel: threading.Event | None, on_wait: OnWait | None) -> Session:
        """A session over the connections of this one, that is stopped by itself."""
        made = copy.copy(self)
        made.cancel, made._on_wait, made._is_guest = cancel, on_wait, True
        return made

    def get(
        self,
        path: str,
        type_: type[T],
        *,
        what: str,
        params: Params | None = None,
        keep: bool = True,
    ) -> Answer[T]:
        """GET an answer, from the cache where that is current.

        :param path: below `civitai.url`.
        :param what: what is asked for, to say that there is no such thing.
        :param keep: False leaves the cache alone.
        """
        url = str(httpx.URL(self.base + path, params=dict(params or {})))
        cache = self._cache if keep else None
        entry = cache.load(url, self._key) if cache else None
        if entry and entry.is_fresh:
            return typed(parse_json(entry.body, url), type_, url, from_cache=True)
        parsed, unchanged = self.persist(lambda: self._get_once(url, what, cache, entry))
        return typed(parsed, type_, url, from_cache=unchanged)

    def post(self, path: str, payload: object, type_: type[T], *, what: str) -> Answer[T]:
        """POST a look-up: it changes nothing on the server, and so is retried as a GET is."""
        url, content = self.base + path, msgspec.json.encode(payload)

        def once() -> Parsed:
            received = self.exchange("POST", url, content=content)
            raise_for_status(received, what)
            return _parsed(received)

        return typed(self.persist(once), type_, url)

    def persist(self, work: Callable[[], T]) -> T:
        """Call `work` again after passing faults, as the settings say."""
        return persistently(
            work,
            retries=self._settings.retries,
            max_wait=self._settings.max_wait,
            cancel=self.cancel,
            on_wait=self._on_wait,
        )

    def may_see_key(self, url: str) -> bool:
        """Whether `url` is on one of the API's hosts, reached safely."""
        return key_may_be_sent(url, self.base)

    def authorization(self, url: str) -> dict[str, str]:
        """The header that shows the key to `url`; empty without a key, and for other hosts."""
        if self._key is None or not self.may_see_key(url):
            return {}
        return {"Authorization": f"Bearer {self._key}"}

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        most_bytes: int = MOST_BYTES,
        with_key: bool = True,
    ) -> Received:
        """One request, in turn, and what came back. Redirects are not followed.

        :param most_bytes: how much of a success is read; 0 leaves its body alone.
        :raises Passing: no connection, or a broken one.
        :raises UnexpectedAnswer: a success of more than `most_bytes`.
        :raises Cancelled: it was cancelled.
        """
        authorization = self.authorization(url) if with_key else {}
        typed_content = {"Content-Type": "application/json"} if content is not None else {}
        request = _Request(
            method,
            url,
            {"Accept": "application/json"} | typed_content | dict(headers or {}) | authorization,
            content,
            most_bytes,
            bool(authorization),
        )
        origin = _origin(url)
        PACER.wait_turn(origin, self._settings.requests_per_second, self.cancel)
        received = interruptible(lambda: self._transmit(request), self.cancel)
        wait = asked_wait(received.headers) if received.status in (429, 503) else None
        if wait is not None and wait <= self._settings.max_wait:
            PACER.hold(origin, wait)
        return received

    def _get_once(
        self, url: str, what: str, cache: AnswerCache | None, entry: Entry | None
    ) -> tuple[Parsed, bool]:
        received = self._follow(url, entry.conditions if entry else {})
        if received.status == 304 and entry and cache:
            kept = {"etag": entry.etag, "last-modified": entry.last_modified}
            cache.store(url, self._key, entry.body, kept | dict(received.headers))
            return parse_json(entry.body, url), True
        if cache and entry and received.status in (401, 403, 404, 410):
            cache.forget(url, self._key)
        raise_for_status(received, what)
        parsed = _parsed(received)
        if cache:
            cache.store(url, self._key, received.body, received.headers)
        return parsed, False

    def _follow(self, url: str, headers: Mapping[str, str]) -> Received:
        """GET, and follow redirects as long as they stay on the API's own hosts."""
        walk = Walk(url)
        while True:
            received = self.exchange("GET", walk.url, headers=headers)
            if not received.is_redirect:
                return received
            target = walk.step(received.headers.get("location"))
            if not self.may_see_key(target):
                raise RedirectRefused(
                    f"{received.shown_url} redirects to another host: {shown_url(target)}",
                    hint="check `civitai.url`",
                )

    def _transmit(self, request: _Request) -> Received:
        try:
            with self._client.stream(
                request.method, request.url, headers=request.headers, content=request.content
            ) as response:
                body = _bounded_body(response, request)
                raw = {name.lower(): value for name, value in response.headers.raw}
                return Received(
                    url=request.url,
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=body,
                    disposition=raw.get(b"content-disposition"),
                    with_key=request.with_key,
                )
        except httpx.DecodingError as error:
            raise UnexpectedAnswer(
                f"{shown_url(request.url)} answered in a broken compression"
            ) from error
        except httpx.HTTPError as error:
            raise _unreachable(request.url, error) from error
        except httpx.InvalidURL as error:
            raise RedirectRefused(f"{shown_url(request.url)} is no URL") from error


def _bounded_body(response: httpx.Response, request: _Request) -> bytes:
    """The body, decompressed: all of a small success, the start of an error."""
    is_success = response.status_code < 300
    limit = request.most_bytes if is_success else _ERROR_BYTES
    if not limit:
        return b""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > limit and is_success:
            raise UnexpectedAnswer(
                f"{shown_url(request.url)} answered with more than {limit >> 20} MiB"
            )
        if size >= limit and not is_success:
            break
    body = b"".join(parts)
    return body if is_success else body[:limit]


def _unreachable(url: str, error: httpx.HTTPError) -> Passing | NetworkError:
    """What a failed connection means; some failures are the same at every try."""
    where, reason = shown_url(url), str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return Unreachable(
            f"{where}: the server's certificate is not trusted: {reason}",
            hint="behind a company proxy, set `network.ca_file` to its certificate",
        )
    if isinstance(error, httpx.ProxyError):
        return Passing(
            Unreachable(
                f"{where}: the proxy refuses: {reason}",
                hint="check `network.proxy` and HTTPS_PROXY",
            ),
            most=_CONNECT_RETRIES,
        )
    if isinstance(error, httpx.RemoteProtocolError) and "location header" in reason:
        return RedirectRefused(f"{where} redirects to what is no URL")
    if isinstance(error, httpx.TimeoutException):
        return Passing(Unreachable(f"{where} did not answer in time"), most=_CONNECT_RETRIES)
    if isinstance(error, httpx.ConnectError):
        return Passing(Unreachable(f"cannot connect to {where}: {reason}"), most=_CONNECT_RETRIES)
    return Passing(Unreachable(f"{where}: the connection broke: {reason}"))


def _parsed(received: Received) -> Parsed:
    """The JSON of a success; broken JSON may be a cut connection, and is asked for again."""
    try:
        return parse_json(received.body, received.url)
    except UnexpectedAnswer as error:
        raise Passing(error, most=_BROKEN_JSON_RETRIES) from error


def _checked_base(url: str) -> str:
    base = url.strip().rstrip("/")
    try:
        check_scheme(base)
    except RedirectRefused as error:
        raise ConfigError(
            f"civitai.url: {error.message}",
            hint="write https://civitai.com; http is for servers on this machine only",
        ) from error
    return base


def _checked_key(key: str | None) -> str | None:
    bare = (key or "").strip()
    if bare and not re.fullmatch(r"[\x21-\x7e]+", bare):
        raise KeyRefused("the API key holds blanks or characters that no key has")
    return bare or None


def _origin(url: str) -> str:
    parts: Any = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()
