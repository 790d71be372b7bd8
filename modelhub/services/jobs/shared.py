"""What jobs of one process can share: an open catalog, and connections to Civitai.

Opening both costs more than a small job does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.civitai.client import CivitaiClient
    from modelhub.config import Config


@dataclass(slots=True)
class _Kept:
    value: Any
    users: int = 0


class Shared:
    """Opened when first asked for, and kept until :meth:`rest`. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept] = {}

    @contextmanager
    def catalog(self, config: Config) -> Iterator[Catalog]:
        """The catalog that the settings name.

        :raises CatalogError: it cannot be used.
        """
        from modelhub.catalog import open_catalog

        key = "catalog", msgspec.json.encode(config.catalog)
        with self._lent(key, lambda: open_catalog(config)) as catalog:
            yield catalog

    @contextmanager
    def client(self, config: Config, key: str | None) -> Iterator[CivitaiClient]:
        """A client with these settings and this key; to be used through its guests.

        :raises ConfigError: the settings are wrong.
        """
        from modelhub.civitai.client import CivitaiClient

        settings = msgspec.json.encode((config.civitai, config.network))
        with self._lent(("client", settings, key), lambda: CivitaiClient(config, key)) as client:
            yield client

    def rest(self) -> None:
        """Close what nobody uses now."""
        with self._lock:
            idle = {key: one for key, one in self._kept.items() if not one.users}
            for key in idle:
                del self._kept[key]
        for one in idle.values():
            one.value.close()

    @contextmanager
    def _lent(self, key: Hashable, make: Callable[[], Any]) -> Iterator[Any]:
        with self._lock:
            one = self._kept.get(key)
            if one is None:
                one = self._kept[key] = _Kept(make())
            one.users += 1
        try:
            yield one.value
        finally:
            with self._lock:
                one.users -= 1
