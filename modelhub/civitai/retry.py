"""When to ask again, how long to wait before, and when to give up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from modelhub.civitai.waiting import pause
from modelhub.errors import ModelhubError

T = TypeVar("T")

_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 15.0


class Passing(Exception):
    """A fault that may be over at the next try.

    :param error: what to raise when we give up.
    :param wait: seconds that the server asked for.
    :param most: how often it is worth trying again, whatever the settings allow.
    """

    def __init__(self, error: ModelhubError, *, wait: float | None = None, most: int = 99) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait
        self.most = most


def persistently(
    work: Callable[[], T],
    *,
    retries: int,
    max_wait: float,
    cancel: threading.Event | None,
    on_wait: Callable[[float, str], None] | None = None,
) -> T:
    """Call `work` until it raises no :class:`Passing`, or trying on is not worth it.

    :param retries: how often to try again at most.
    :param max_wait: the longest wait, in seconds, that a server may ask for.
    :param on_wait: told the seconds and the reason before each wait.
    :raises ModelhubError: the error of the last :class:`Passing`, or what `work` raised.
    :raises Cancelled: `cancel` was set during a wait.
    """

    def stop(state: RetryCallState) -> bool:
        passing = _passing(state)
        return state.attempt_number > min(retries, passing.most) or (passing.wait or 0) > max_wait

    def announce(state: RetryCallState) -> None:
        if on_wait and state.next_action:
            on_wait(state.next_action.sleep, _passing(state).error.message)

    retrying = Retrying(
        retry=retry_if_exception_type(Passing),
        stop=stop,
        wait=_wait,
        sleep=lambda seconds: pause(seconds, cancel),
        before_sleep=announce,
        retry_error_callback=_give_up,
    )
    return retrying(work)


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for, in either of its forms (RFC 9110, 10.2.3).

    A date is compared with the server's own clock where it tells it. None: absent or unreadable.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    when = _http_date(value)
    if when is None:
        return None
    now = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (when - now).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _wait(state: RetryCallState) -> float:
    """What the server asked, else doubling waits; both jittered, so that clients do not pulse."""
    asked = _passing(state).wait
    jitter = random.random()  # noqa: S311 -- spreads requests, keeps no secret
    if asked is not None:
        return asked + min(1.0, 0.1 + asked / 10) * jitter
    doubling = _FIRST_WAIT * 2.0 ** min(state.attempt_number - 1, 10)
    return min(_LONGEST_WAIT, doubling * (0.5 + jitter))


def _passing(state: RetryCallState) -> Passing:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Passing)
    return error


def _give_up(state: RetryCallState) -> NoReturn:
    passing = _passing(state)
    error = passing.error
    if state.attempt_number > 1:
        told: Any = f"{error.message} (tried {state.attempt_number} times)"
        error.message, error.args = told, (told,)
    raise error from passing.__cause__
