"""Downloads: one reference a job, so that each is seen, stopped and ordered by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from modelhub.errors import UsageError
from modelhub.services.jobs.context import JobContext
from modelhub.services.jobs.model import JobKind
from modelhub.services.pull import FailedPull, PullOptions, pull_one

if TYPE_CHECKING:
    from modelhub.config import Config


class Download(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of a download.

    :param reference: as `modelhub pull` takes it.
    :param options: see :class:`PullOptions`.
    :param root: the library folder, absolute; None: ``library.root``.
    :param connections: at most; `limit_rate` is bytes a second. None: as configured.
    :param preview: False: fetch no preview image.
    """

    reference: str
    options: PullOptions = PullOptions()
    root: str | None = None
    layout: str | None = None
    connections: int | None = None
    limit_rate: int | None = None
    preview: bool = True


def configured(config: Config, given: Download) -> Config:
    """The settings with those of one download put over them.

    :raises UsageError: the root is no name.
    """
    library, transfer, sidecars = config.library, config.download, config.sidecars
    if given.root is not None:
        if not given.root.strip():
            raise UsageError("--root is empty", hint="name the library folder, or leave --root out")
        library = replace(library, root=given.root)
    if given.layout is not None:
        library = replace(library, layout=given.layout)
    if given.connections is not None:
        transfer = replace(transfer, connections=given.connections)
    if given.limit_rate is not None:
        transfer = replace(transfer, limit_rate=given.limit_rate)
    if not given.preview:
        sidecars = replace(sidecars, preview=False)
    return replace(config, library=library, download=transfer, sidecars=sidecars)


def _download(given: Download, context: JobContext) -> Any:
    config = configured(context.config, given)
    with context.catalog() as catalog, context.client(config) as client:
        outcome = pull_one(
            given.reference,
            given.options,
            config=config,
            client=client,
            catalog=catalog,
            listener=context.listener,
            cancel=context.cancel,
        )
    if isinstance(outcome, FailedPull):
        raise outcome.error
    return outcome


WORK: dict[JobKind, tuple[type[Struct], Callable[..., Any]]] = {
    JobKind.DOWNLOAD: (Download, _download)
}
