"""Several references pulled at once, each by itself; or one alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from modelhub.services.pull.session import Puller

if TYPE_CHECKING:
    from threading import Event

    from modelhub.catalog import Catalog
    from modelhub.civitai.client import CivitaiClient
    from modelhub.config import Config
    from modelhub.progress import Listener
    from modelhub.services.pull.outcome import PullOptions, PullOutcome

_TURN = 0.2


def pull(
    references: Sequence[str],
    options: PullOptions,
    *,
    config: Config,
    client: CivitaiClient,
    catalog: Catalog,
    listener: Listener,
    cancel: Event,
) -> list[PullOutcome]:
    """Pull every reference, `download.files_at_once` of them at a time.

    One that fails does not stop the others.

    :returns: one outcome for each reference, in their order.
    """
    puller = Puller(options, config, client, catalog, listener, cancel)
    with ThreadPoolExecutor(config.download.files_at_once, thread_name_prefix="pull") as pool:
        futures = [
            pool.submit(puller.pull, f"{number}", reference)
            for number, reference in enumerate(references, start=1)
        ]
        _wait_stoppable(futures)
    return [future.result() for future in futures]


def pull_one(
    reference: str,
    options: PullOptions,
    *,
    config: Config,
    client: CivitaiClient,
    catalog: Catalog,
    listener: Listener,
    cancel: Event,
) -> PullOutcome:
    """As :func:`pull`, of one reference, in this thread: which is none that hears signals."""
    return Puller(options, config, client, catalog, listener, cancel).pull("1", reference)


def _wait_stoppable(futures: Sequence[Future[PullOutcome]]) -> None:
    """Wait in short turns, so that the main thread gets to run its signal handlers."""
    waiting = set(futures)
    while waiting:
        _, waiting = wait(waiting, timeout=_TURN, return_when=FIRST_COMPLETED)
