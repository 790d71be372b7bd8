"""What each status of the API means, as an error for the user or as a fault that may pass."""

from __future__ import annotations

from typing import Final

from modelhub.civitai.received import Received
from modelhub.civitai.retry import Passing, asked_wait
from modelhub.errors import (
    AccessForbidden,
    ArchivedModel,
    KeyRefused,
    LoginRequired,
    ModelhubError,
    NoFilesPublished,
    RateLimited,
    ServerFault,
    UnexpectedAnswer,
    UnknownModel,
    UsageError,
)

PAGE_HINT: Final = (
    "a web page came instead of data: Civitai may be under maintenance (try again later), "
    "or `civitai.url` is no Civitai API"
)
BLOCKED_HINT: Final = (
    "Civitai, or Cloudflare before it, refuses this address: "
    "a VPN or proxy often is the reason; opening civitai.com in a browser shows what it wants"
)
_UNASKED_RATE_RETRIES: Final = 3


def raise_for_status(received: Received, what: str) -> None:
    """Raise unless `received` is a success that may hold data.

    :param what: what was asked for, for "Civitai knows no ...".
    :raises Passing: it may be different at the next try.
    :raises ModelhubError: it will not.
    """
    raise_if_passing(received)
    if received.status != 200:
        raise _refusal(received, what)
    if received.is_page:
        raise UnexpectedAnswer(
            f"{received.shown_url} answered with a web page, not with JSON", hint=PAGE_HINT
        )


def raise_if_passing(received: Received) -> None:
    """Raise for what may be over soon: rate limits, and the servers' own faults.

    :raises Passing: 408, 425, 429 or 5xx (but 501 and 505).
    """
    status = received.status
    wait = asked_wait(received.headers)
    if status == 429:
        most = 99 if wait is not None else _UNASKED_RATE_RETRIES
        raise Passing(_rate_limited(received, wait), wait=wait, most=most)
    if status in (408, 425) or (status >= 500 and status not in (501, 505)):
        raise Passing(_server_fault(received), wait=wait)


def denied(received: Received, need: str) -> ModelhubError:
    """The error for 401: the key is refused, or there was none.

    :param need: what needs a key, as the start of a sentence.
    """
    if received.with_key:
        return KeyRefused(
            f"Civitai does not accept the API key ({received.shown_url}{_said(received)})"
        )
    return LoginRequired(f"{need} ({received.shown_url}{_said(received)})")


def _rate_limited(received: Received, wait: float | None) -> RateLimited:
    asked = f" to wait for {_duration(wait)}" if wait else " for fewer requests"
    return RateLimited(f"{received.shown_url} asks{asked}{_said(received)}")


def _server_fault(received: Received) -> ServerFault:
    if received.is_page:
        return ServerFault(
            f"{received.shown_url} answered {received.status} with a web page",
            hint="Civitai may be under maintenance: try again in a few minutes",
        )
    return ServerFault(f"{received.shown_url} answered {received.status}{_said(received)}")


def _refusal(received: Received, what: str) -> ModelhubError:
    status, where, said = received.status, received.shown_url, _said(received)
    if status == 401:
        return denied(received, "this needs an API key")
    if status == 403:
        return AccessForbidden(
            f"{where} refuses access{said}", hint=BLOCKED_HINT if received.is_page else None
        )
    if status == 404 and "missing model file" in received.text.lower():
        return NoFilesPublished(f"{what} has no files on Civitai")
    if status == 404 and not received.is_page:
        return UnknownModel(f"Civitai knows no {what}")
    if status == 410:
        return ArchivedModel(f"{what} is archived on Civitai{said}")
    if status in (400, 422) and received.text:
        return UsageError(f"Civitai refuses what was asked for, {what}: {received.text}")
    if received.is_redirect:
        return UnexpectedAnswer(
            f"{where} redirects to elsewhere ({status})",
            hint="set `civitai.url` to the address that it redirects to",
        )
    return UnexpectedAnswer(
        f"{where} answered {status}{said}", hint=PAGE_HINT if received.is_page else None
    )


def _said(received: Received) -> str:
    return f": {received.text}" if received.text else ""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
