"""What a job is worth: from its kind and plain arguments to the service that does it, and back.

The arguments of each kind are documented with its struct in :mod:`modelhub.services.jobs.kinds`;
:func:`modelhub.services.jobs.plain.to_plain` makes plain values of a service's own. Whoever asks
for a job makes paths absolute: it may be done in another folder than it was asked for in.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Any

from modelhub.errors import UsageError
from modelhub.progress import Listener
from modelhub.services.jobs.context import JobContext
from modelhub.services.jobs.model import JobKind
from modelhub.services.jobs.plain import from_plain, to_plain

if TYPE_CHECKING:
    from modelhub.config import Config
    from modelhub.render.pool import RenderPool
    from modelhub.services.jobs.shared import Shared

# Loaded when first used: who downloads needs nothing of what renders.
_HOMES = {
    JobKind.DOWNLOAD: "download",
    JobKind.INDEX: "upkeep",
    JobKind.HASH: "upkeep",
    JobKind.VERIFY: "upkeep",
    JobKind.MATCH: "asking",
    JobKind.UPDATES: "asking",
    JobKind.CONVERT: "conversion",
    JobKind.RENDER: "picture",
}


def do_job(
    kind: JobKind,
    arguments: Mapping[str, Any],
    *,
    config: Config,
    key: str | None,
    listener: Listener,
    cancel: Event,
    pool: RenderPool | None = None,
    shared: Shared | None = None,
) -> dict[str, Any]:
    """Do a job here and now, in this thread; what came of it, as plain values: paths, counts.

    Doing it again is harmless, and goes on where the last time ended: a download from its partial
    file, an index or a verification from what is in the catalog.

    :param arguments: see the struct of the kind in :mod:`modelhub.services.jobs.kinds`.
    :param key: the Civitai API key, or None.
    :param cancel: set to stop it; what was made so far stays resumable.
    :param pool: processes that render and are kept warm between jobs; None: of this job's own.
    :param shared: a catalog and connections that several jobs use; None: of this job's own.
    :raises UsageError: the arguments are none that this kind takes.
    :raises Cancelled: `cancel` was set.
    :raises ModelhubError: the work failed, or a part of it, with that error.
    """
    module = import_module(f"modelhub.services.jobs.kinds.{_HOMES[kind]}")
    shape, work = module.WORK[kind]
    given = from_plain(dict(arguments), shape, f"a job of the kind “{kind}”")
    context = JobContext(
        config=config, key=key, listener=listener, cancel=cancel, pool=pool, shared=shared
    )
    result: dict[str, Any] = to_plain(work(given, context))
    return result


def check_arguments(kind: JobKind, arguments: Mapping[str, Any]) -> None:
    """See that a job of this kind could be begun with `arguments`.

    :raises UsageError: the arguments are none that this kind takes.
    """
    if kind not in _HOMES:
        raise UsageError(f"there is no kind of job called {kind}")
    module = import_module(f"modelhub.services.jobs.kinds.{_HOMES[kind]}")
    from_plain(dict(arguments), module.WORK[kind][0], f"a job of the kind “{kind}”")
