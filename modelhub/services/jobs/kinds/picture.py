"""Test images, made in the process that renders: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from modelhub.errors import Cancelled
from modelhub.services.jobs.context import JobContext
from modelhub.services.jobs.model import JobKind
from modelhub.services.render import RenderWish, render


class Render(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of a render.

    :param files: as `modelhub render` takes them: absolute paths, names, queries.
    :param wish: see :class:`RenderWish`; its paths absolute.
    """

    files: tuple[str, ...]
    wish: RenderWish = RenderWish()


def _render(given: Render, context: JobContext) -> Any:
    with context.catalog() as catalog:
        report = render(
            given.files,
            given.wish,
            config=context.config,
            catalog=catalog,
            listener=context.listener,
            cancel=context.cancel,
            pool=context.pool,
        )
    context.raise_first([one.error for one in report.failed])
    if report.stopped:
        raise Cancelled("stopped before all pictures were made")
    images = [
        {"path": one.path, "id": one.id, "label": one.label, "tested": one.tested}
        for one in report.made
    ]
    return {"images": images, "grids": report.grids, "notices": report.notices}


WORK: dict[JobKind, tuple[type[Struct], Callable[..., Any]]] = {JobKind.RENDER: (Render, _render)}
