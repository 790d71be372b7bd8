"""Runs the hub until it is interrupted: ``modelhub demo serve``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from modelhub.demo.hub import DemoHub
from modelhub.errors import NetworkError


def serve(
    port: int,
    folder: Path | None,
    announce: Callable[[DemoHub], None],
    stop: threading.Event | None = None,
) -> None:
    """Serve the demo models until Ctrl-C, or until `stop` is set.

    :param port: of the API; 0 takes a free one.
    :param folder: where the demo files are kept between runs; None makes them anew.
    :param announce: called with the hub once it answers: it has `url`, `storage_url` and `key`.
    :raises NetworkError: the port is taken.
    """
    stop = stop or threading.Event()
    hub = DemoHub(port=port, folder=folder)
    try:
        hub.start()
    except OSError as error:
        raise NetworkError(
            f"the demo hub cannot listen on 127.0.0.1:{port}: {error.strerror or error}",
            hint="choose another port with --port; 0 takes a free one",
        ) from error
    try:
        announce(hub)
        while not stop.wait(0.2):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        hub.stop()
