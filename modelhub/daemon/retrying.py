"""Which errors may pass by themselves, and how long to wait for that."""

from __future__ import annotations

from modelhub.errors import (
    AlreadyRunning,
    CatalogLocked,
    CatalogUnreachable,
    DiskFull,
    FileChanged,
    LinkExpired,
    ModelhubError,
    RateLimited,
    RenderWorkerDied,
    RootMissing,
    ServerFault,
    SourceChanged,
    Unreachable,
)

_PASSING = (
    Unreachable,
    ServerFault,
    RateLimited,
    LinkExpired,
    FileChanged,
    CatalogLocked,
    CatalogUnreachable,
    AlreadyRunning,
    DiskFull,
    RootMissing,
    SourceChanged,
    RenderWorkerDied,
)
_LONGEST = 3600.0


def may_pass(error: Exception) -> bool:
    """Whether trying again later may help.

    What nobody foresaw (no error of ours) may: a few tries show whether it does.
    """
    return isinstance(error, _PASSING) or not isinstance(error, ModelhubError)


def pause_before(attempt: int, first: float) -> float:
    """Seconds to wait before the next try.

    :param attempt: how many have failed in a row.
    :param first: seconds before the second try.
    """
    return min(first * 2.0 ** (attempt - 1), _LONGEST)
