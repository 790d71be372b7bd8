"""The processes that render, for one run or for many.

Nothing heavy is imported here: they are started first of all, and import torch while the catalog is
opened and the files are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from modelhub.render.client import RenderWorker
from modelhub.render.devicenames import listed
from modelhub.render.pool import RenderPool

if TYPE_CHECKING:
    from modelhub.config import Config


def workers_of_all_gpus(config: Config) -> RenderPool:
    """Processes for many runs, one a GPU; to be closed. None is started before it is needed."""
    return RenderPool.of_all_gpus(_maker(config))


def _maker(config: Config, number: int = 1) -> Callable[[], RenderWorker]:
    wanted = config.render
    return partial(RenderWorker, keep_warm=wanted.keep_warm, memory=wanted.memory // number)


@contextmanager
def workers(
    config: Config, devices: str | None, kept: RenderPool | None = None
) -> Iterator[RenderPool]:
    """The processes that render, starting; ended with the block, but for those that are kept.

    :param devices: by name, with commas between several, which then work side by side.
    :param kept: workers that outlive the block; None: of its own.
    :raises MissingExtra: torch, or what else rendering needs, is not installed.
    """
    if kept is not None:
        kept.start()
        yield kept
        return
    names = listed(devices)
    seats = names if len(names) > 1 else (None,)
    pool = RenderPool(seats, _maker(config, len(seats)))
    try:
        pool.start()
        yield pool
    finally:
        pool.leave()
