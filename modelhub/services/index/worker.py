"""A process that reads headers: ``python -m modelhub.services.index.worker DESCRIPTOR``.

It answers lists of jobs with lists of answers until the other end is closed, so that it ends when
its parent does, however that ends.
"""

from __future__ import annotations

import gc
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from modelhub.services.index.reading import read_files


def main(descriptor: int) -> None:
    """Answer on the connection with this file descriptor until it is closed."""
    # Ctrl-C reaches the whole group of processes: the parent decides what is still wanted.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import modelhub.services.index.contents  # noqa: F401 (before the first job is waited for)

    # Headers are many small objects and no cycles: looking for these takes a quarter of the time,
    # and looking at the program itself, which stays, is for nothing.
    gc.set_threshold(200_000, 50, 50)
    gc.freeze()
    with Connection(descriptor) as connection, suppress(EOFError, OSError):
        while True:
            connection.send(read_files(connection.recv()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
