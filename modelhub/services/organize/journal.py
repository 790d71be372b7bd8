"""What is being moved just now, written down before it begins: a process that was killed half way
through a model leaves behind what the next one needs to bring it to its end.

One file in the data folder, beside a lock that one process at a time holds. It is written and on
disk before the first file of a model moves, and emptied once the catalog knows the last.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.config.paths import data_folder
from modelhub.errors import AlreadyRunning, DiskError
from modelhub.services.organize.model import Movement

if TYPE_CHECKING:
    from modelhub.catalog import Catalog


class Journal:
    """The one move that is under way, or none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, run: str, movement: Movement) -> None:
        """Write down that a move begins.

        :raises DiskError: that cannot be written; nothing must be moved then.
        """
        content = json.dumps({"run": run, "movement": movement.document()}).encode()
        self._write(content, sync=True)

    def end(self) -> None:
        """Write down that nothing is under way any more.

        A power cut may bring back what stood here: who reads it asks the history whether that was
        done.
        """
        self._write(b"", sync=False)

    def interrupted(self) -> tuple[str, Movement] | None:
        """The run and the move that was cut off; None where there is none."""
        try:
            document = json.loads(self._path.read_bytes())
            return document["run"], Movement.of(document["movement"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            # Cut off while it was written: nothing had been moved yet.
            return None
        except OSError as error:
            raise DiskError(f"cannot read {self._path}: {error.strerror}") from error

    def _write(self, content: bytes, *, sync: bool) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb", 0) as file:
                file.truncate(0)
                file.write(content)
                if sync:
                    os.fsync(file.fileno())
        except OSError as error:
            raise DiskError(f"cannot write {self._path}: {error.strerror}") from error


@contextmanager
def opened_journal(catalog: Catalog) -> Iterator[Journal]:
    """The journal of this catalog, for this process alone as long as the block runs.

    :raises AlreadyRunning: another process is moving files.
    :raises DiskError: the data folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / "organize.lock"))
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyRunning(
            "another modelhub is organizing files", hint="wait until it is done"
        ) from None
    except OSError as error:
        raise DiskError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        # The numbers in it mean nothing to another catalog.
        name = hashlib.sha256(catalog.database.encode(errors="surrogateescape")).hexdigest()[:12]
        yield Journal(folder / f"organize-{name}.journal")
    finally:
        lock.release()
