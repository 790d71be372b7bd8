"""Conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from modelhub.services.convert import (
    ConvertRequest,
    FailedConversion,
    chosen_sources,
    convert,
)
from modelhub.services.jobs.context import JobContext
from modelhub.services.jobs.model import JobKind


class Convert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of a conversion.

    :param sources: what :func:`chosen_sources` takes: absolute paths, names, queries.
    :param by_query: all of them together are one query.
    :param request: see :class:`ConvertRequest`; its paths absolute.
    """

    sources: tuple[str, ...]
    by_query: bool = False
    request: ConvertRequest = ConvertRequest()


def _convert(given: Convert, context: JobContext) -> Any:
    with context.catalog() as catalog:
        outcomes = convert(
            chosen_sources(catalog, given.sources, by_query=given.by_query),
            given.request,
            config=context.config,
            catalog=catalog,
            listener=context.listener,
            cancel=context.cancel,
        )
    context.raise_first([one.error for one in outcomes if isinstance(one, FailedConversion)])
    return {"files": outcomes}


WORK: dict[JobKind, tuple[type[Struct], Callable[..., Any]]] = {
    JobKind.CONVERT: (Convert, _convert)
}
