"""What the commands on the library share: the catalog, the Civitai client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.civitai.client import CivitaiClient
    from modelhub.cli.context import App

_WORTH_A_REMARK = 2.0


@contextmanager
def opened_catalog(app: App) -> Iterator[Catalog]:
    """The catalog that the settings name, made where there is none.

    :raises CatalogError: it cannot be used.
    """
    from modelhub.catalog import open_catalog

    with open_catalog(app.config) as catalog:
        yield catalog


@contextmanager
def civitai_client(app: App) -> Iterator[CivitaiClient]:
    """A client with the user's key, stopped by Ctrl-C.

    :raises ConfigError: the settings or the stored key are wrong.
    """
    from modelhub.civitai.client import CivitaiClient

    def on_wait(seconds: float, reason: str) -> None:
        if seconds >= _WORTH_A_REMARK:
            app.say(f"waiting {seconds:.0f} s: {reason}")

    with CivitaiClient(app.config, app.key, cancel=app.cancel, on_wait=on_wait) as client:
        yield client
