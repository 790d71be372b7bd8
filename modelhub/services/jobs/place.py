"""Where a library's jobs are: the database, and beside it the daemon's lock, socket and logs.

There is one of each for a library on a host. The database is an SQLite file beside the catalog, or
the catalog's PostgreSQL, which several hosts share.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.config.paths import catalog_url, data_folder
from modelhub.errors import DiskError

if TYPE_CHECKING:
    from modelhub.config import Config

_LONGEST_SOCKET = 100
"""Bytes of a socket's path: the system takes little more (104 on macOS, 108 on Linux)."""
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class JobsPlace:
    """Where the jobs of a library are.

    :param url: of the database, for SQLAlchemy.
    :param path: its file; None for a server.
    :param folder: where lock, socket, state and logs of this host's daemon are.
    :param stem: what their names begin with.
    """

    url: str
    path: Path | None
    folder: Path
    stem: str

    @property
    def lock(self) -> Path:
        """Held by the daemon as long as it runs."""
        return self.folder / f"{self.stem}.lock"

    @property
    def state(self) -> Path:
        """What the daemon says of itself: its process, its version, since when it runs."""
        return self.folder / f"{self.stem}.json"

    @property
    def crash(self) -> Path:
        """What the daemon writes while it crashes; empty while it does not."""
        return self.folder / f"{self.stem}.crash"

    @property
    def log(self) -> Path:
        """The daemon's log; rotated ones have a number behind the name."""
        return self.folder / f"{self.stem}.log"

    @property
    def socket(self) -> Path:
        """The daemon's control socket."""
        beside = self.folder / f"{self.stem}.sock"
        if len(os.fsencode(beside)) <= _LONGEST_SOCKET:
            return beside
        name = hashlib.sha256(os.fsencode(beside)).hexdigest()[:20]
        return Path(tempfile.gettempdir()) / f"modelhub-{os.getuid()}" / f"{name}.sock"


def jobs_place(config: Config) -> JobsPlace:
    """Where the jobs of the library are that the settings name."""
    url = config.jobs.database_url or catalog_url(config)
    if not url.startswith(_SQLITE):
        name = hashlib.sha256(url.encode()).hexdigest()[:12]
        return JobsPlace(url, None, data_folder(), f"daemon-{name}")
    path = Path(url.removeprefix(_SQLITE)).expanduser().absolute()
    if not config.jobs.database_url:
        path = path.with_name("jobs.db" if path.name == "catalog.db" else f"{path.stem}-jobs.db")
    stem = "daemon" if path.name == "jobs.db" else f"{path.stem}-daemon"
    return JobsPlace(f"{_SQLITE}{path}", path, path.parent, stem)


def prepare_socket_folder(socket: Path) -> None:
    """Make the folder of a socket, for this user alone where it is outside the data folder.

    :raises DiskError: somebody else made it, or it cannot be made.
    """
    folder = socket.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.lstat()
    except OSError as error:
        raise DiskError(f"cannot make the folder {folder}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise DiskError(f"{folder} is not a folder of this user: the daemon puts no socket there")
