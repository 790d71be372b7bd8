"""Which redirects are followed, and to where a request may go at all."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

from modelhub.errors import RedirectRefused
from modelhub.network import is_loopback, shown_url

MOST_HOPS: Final = 10


def check_scheme(url: str) -> None:
    """Refuse what could be read or changed on the way: http is for this machine only.

    :raises RedirectRefused: another scheme than https, or http to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise RedirectRefused("a link that is no complete URL") from error
    if not host or not url.isprintable() or parts.scheme.lower() not in ("http", "https"):
        raise RedirectRefused(f"a link to {_shown(url)}: only https links are followed")
    if parts.scheme.lower() == "http" and not is_loopback(host):
        raise RedirectRefused(
            f"a link to {_shown(url)} without encryption",
            hint="only https is used, so that nobody on the way can read or change files",
        )


class Walk:
    """A walk from redirect to redirect, each step checked.

    :raises RedirectRefused: the start is no URL that may be asked.
    """

    def __init__(self, start: str) -> None:
        check_scheme(start)
        self.url = start
        self._seen = {start}

    def step(self, location: str | None) -> str:
        """Go on to where a redirect points; the new URL.

        :raises RedirectRefused: it points nowhere, to where it already was, to a scheme that is not
            followed, from https to http, or it is one too many.
        """
        here = shown_url(self.url)
        if not location:
            raise RedirectRefused(f"{here} redirects to nowhere")
        try:
            target = urljoin(self.url, location.strip())
        except ValueError as error:
            raise RedirectRefused(f"{here} redirects to what is no URL") from error
        check_scheme(target)
        if self.url.lower().startswith("https:") and not target.lower().startswith("https:"):
            raise RedirectRefused(f"{here} redirects from https to http: {shown_url(target)}")
        if target in self._seen:
            raise RedirectRefused(
                f"{here} redirects in circles",
                hint="the server is in trouble; try again in a few minutes",
            )
        if len(self._seen) > MOST_HOPS:
            raise RedirectRefused(f"{here} redirects on after {MOST_HOPS} redirects")
        self._seen.add(target)
        self.url = target
        return target


def _shown(url: str) -> str:
    shown = shown_url(url)[:120]
    return shown if shown.isprintable() else ascii(shown)
