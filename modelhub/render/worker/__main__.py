"""The process that renders: ``python -m modelhub.render.worker DESCRIPTOR``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from modelhub.render.worker.desk import serve
from modelhub.render.worker.isolation import isolate


def main(descriptor: int) -> None:
    """Answer on the connection with this file descriptor until it is closed."""
    isolate()
    with suppress(EOFError, OSError):
        serve(Connection(descriptor))
    # Not by the interpreter's own end: torch and drivers take seconds for theirs, and crash in it.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
