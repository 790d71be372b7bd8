"""What every job is done with: the settings, the key, who listens, and how it is stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from modelhub.errors import Cancelled, ModelhubError
from modelhub.progress import Listener, Notice

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.civitai.client import CivitaiClient
    from modelhub.config import Config
    from modelhub.render.pool import RenderPool
    from modelhub.services.jobs.shared import Shared

TASK = "job"
_WORTH_A_REMARK = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """What a job is done with.

    :param pool: processes that render and are kept warm between jobs; None: each job its own.
    :param shared: a catalog and connections that several jobs use; None: each job its own.
    """

    config: Config
    key: str | None
    listener: Listener
    cancel: Event
    pool: RenderPool | None = None
    shared: Shared | None = None

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """The catalog that the settings name.

        :raises CatalogError: it cannot be used.
        """
        from modelhub.catalog import open_catalog

        if self.shared is not None:
            with self.shared.catalog(self.config) as catalog:
                yield catalog
            return
        with open_catalog(self.config) as catalog:
            yield catalog

    @contextmanager
    def client(self, config: Config | None = None) -> Iterator[CivitaiClient]:
        """A client with the user's key, stopped by the cancel event.

        :raises ConfigError: the settings are wrong.
        """
        from modelhub.civitai.client import CivitaiClient

        def on_wait(seconds: float, reason: str) -> None:
            if seconds >= _WORTH_A_REMARK:
                self.listener(Notice(TASK, f"waiting {seconds:.0f} s: {reason}"))

        config = config or self.config
        if self.shared is not None:
            with self.shared.client(config, self.key) as shared:
                yield shared.guest(cancel=self.cancel, on_wait=on_wait)
            return
        with CivitaiClient(config, self.key, cancel=self.cancel, on_wait=on_wait) as client:
            yield client

    def raise_first(self, errors: Sequence[ModelhubError]) -> None:
        """Let the job fail where a part of it did; the other errors are told as warnings.

        :raises ModelhubError: that it was stopped, else the first of `errors`, if there is any.
        """
        stopped = [one for one in errors if isinstance(one, Cancelled)]
        first = next(iter([*stopped, *errors]), None)
        if first is None:
            return
        for other in errors:
            if other is not first and not isinstance(other, Cancelled):
                self.listener(Notice(TASK, other.message, warning=True))
        raise first
