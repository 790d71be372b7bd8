"""Asks a storage server for bytes, at a link that is renewed when it no longer works."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from modelhub.errors import LinkExpired, NotFoundError, RedirectRefused, UnexpectedAnswer
from modelhub.network import is_loopback, shown_url
from modelhub.transfer.answers import Answer, LinkRefused, TryAgain, understand
from modelhub.transfer.model import LinkSource

if TYPE_CHECKING:
    import httpx

_MOST_HOPS = 5
_MOST_FRESH_LINKS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def _trouble(error: httpx.HTTPError, url: str, timeout: float) -> TryAgain:
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        what = "no connection in time"
    elif isinstance(error, httpx.TimeoutException):
        what = f"not a byte for {timeout:g} s"
    else:
        what = str(error) or type(error).__name__
    return TryAgain(f"{shown_url(url)}: {what}")


@dataclass(eq=False, slots=True)
class Opened:
    """An answer whose body is still to be read. To be closed."""

    response: httpx.Response
    answer: Answer
    url: str
    generation: int
    timeout: float

    def chunks(self) -> Iterator[bytes]:
        """The body, as it comes.

        :raises TryAgain: it broke off.
        """
        import httpx

        try:
            yield from self.response.iter_raw()
        except httpx.HTTPError as error:
            raise _trouble(error, self.url, self.timeout) from error
        except httpx.StreamError as error:
            raise TryAgain(f"{shown_url(self.url)}: closed while it was read") from error

    def abort(self) -> None:
        """Make a read that waits in another thread return at once."""
        stream = self.response.extensions.get("network_stream")
        sock = stream.get_extra_info("socket") if stream is not None else None
        if isinstance(sock, socket.socket):
            try:
                # Not SSLSocket's own shutdown, which would pull the session from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return

    def close(self) -> None:
        """Give the connection back, or close it when the body was not read to its end."""
        self.response.close()


class Storage:
    """The file on the server. Used by all connections of a download at once.

    :param name: what is being fetched, for messages.
    :param timeout: of `client`, for messages.
    """

    def __init__(self, client: httpx.Client, source: LinkSource, name: str, timeout: float) -> None:
        self._client = client
        self._source = source
        self._name = name
        self._timeout = timeout
        self._lock = threading.Lock()
        self._url: str | None = None
        self._generation = 0
        self._refusals = 0

    def _link(self) -> tuple[str, int]:
        with self._lock:
            if self._url is None:
                self._url = self._source.link()
                self._generation += 1
            return self._url, self._generation

    def worked(self, generation: int) -> None:
        """The link of that `generation` gave bytes."""
        if self._refusals and generation == self._generation:
            self._refusals = 0

    def _refused(self, url: str, generation: int, status: int) -> None:
        with self._lock:
            if generation != self._generation or self._url is None:
                return
            self._refusals += 1
            if self._refusals > _MOST_FRESH_LINKS:
                shown = shown_url(url)
                if status == 404:
                    raise NotFoundError(f"{shown}: the storage has no such file (404)")
                raise LinkExpired(
                    f"{shown} answered {status}, and so did {_MOST_FRESH_LINKS} fresh links",
                    hint="wait a little, then run the same command again",
                )
            self._url = None

    def get(self, start: int | None, end: int | None = None, if_range: str | None = None) -> Opened:
        """Ask for the bytes from `start` to before `end` (None: to the last one).

        Without `start`, for the whole file in one piece.

        :raises TryAgain: it did not work this time; also after a link was refused.
        :raises ModelhubError: it will not work.
        """
        headers = {"Accept-Encoding": "identity"}
        if start is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            if if_range:
                headers["If-Range"] = if_range
        url, generation = self._link()
        response = self._follow(url, headers)
        try:
            shown = shown_url(str(response.url))
            answer = understand(
                response.status_code, response.headers, url=shown, name=self._name, start=start
            )
        except LinkRefused as refused:
            response.close()
            self._refused(url, generation, refused.status)
            raise TryAgain(f"{shown} answered {refused.status}", wait=0.0) from refused
        except BaseException:
            response.close()
            raise
        return Opened(response, answer, url, generation, self._timeout)

    def _follow(self, url: str, headers: dict[str, str]) -> httpx.Response:
        for _ in range(_MOST_HOPS + 1):
            response = self._send(url, headers)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            try:
                target = urljoin(url, response.headers.get("location", ""))
                parts = urlsplit(target)
            except ValueError as error:
                raise RedirectRefused(f"{shown_url(url)} redirects to no web address") from error
            downgrade = urlsplit(url).scheme == "https" and parts.scheme != "https"
            if parts.scheme not in ("http", "https") or (
                downgrade and not is_loopback(parts.hostname)
            ):
                raise RedirectRefused(f"{shown_url(url)} redirects to {parts.scheme or 'nothing'}:")
            url = target
        raise RedirectRefused(f"{shown_url(url)}: more than {_MOST_HOPS} redirects")

    def _send(self, url: str, headers: dict[str, str]) -> httpx.Response:
        import httpx

        try:
            request = self._client.build_request("GET", url, headers=headers)
            return self._client.send(request, stream=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            raise UnexpectedAnswer(
                f"the link to {self._name} is no web address", hint="report this"
            ) from error
        except httpx.HTTPError as error:
            raise _trouble(error, url, self._timeout) from error
