"""Questions to Civitai about what is here: match, updates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from modelhub.services.jobs.context import JobContext
from modelhub.services.jobs.model import JobKind


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of a match.

    :param query: in the search language; empty: all files.
    :param again: ask also about what is known, or was unknown lately.
    """

    query: str = ""
    again: bool = False


class Updates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of an update check.

    :param query: in the search language; empty: all files.
    :param any_base: also versions for base models of which nothing is here.
    :param unavailable: also versions that cannot be downloaded (yet).
    """

    query: str = ""
    any_base: bool = False
    unavailable: bool = False


def _match(given: Match, context: JobContext) -> Any:
    from modelhub.services.match import match

    with context.catalog() as catalog, context.client() as client:
        report = match(
            catalog=catalog,
            client=client,
            config=context.config,
            query=given.query,
            again=given.again,
            listener=context.listener,
            cancel=context.cancel,
        )
    if report.stopped is not None:
        raise report.stopped
    return _without_end(report)


def _updates(given: Updates, context: JobContext) -> Any:
    from modelhub.services.updates import updates

    with context.catalog() as catalog, context.client() as client:
        report = updates(
            catalog=catalog,
            client=client,
            query=given.query,
            any_base=given.any_base,
            unavailable=given.unavailable,
            listener=context.listener,
            cancel=context.cancel,
        )
    if report.stopped is not None:
        raise report.stopped
    found = [dataclasses.asdict(one) | {"reference": one.reference} for one in report.updates]
    return _without_end(report) | {"updates": found}


def _without_end(report: Any) -> dict[str, Any]:
    """The fields of a report that came to its end."""
    names = [one.name for one in dataclasses.fields(report) if one.name != "stopped"]
    return {name: getattr(report, name) for name in names}


WORK: dict[JobKind, tuple[type[Struct], Callable[..., Any]]] = {
    JobKind.MATCH: (Match, _match),
    JobKind.UPDATES: (Updates, _updates),
}
