"""What all screens work with: settings, key, catalog, jobs, and what is remembered.

Everything that costs time to make is made when it is first asked for. Those properties are for
worker threads: the thread that draws must never wait for a disk or a lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.config.load import LoadedConfig, load_config
from modelhub.tui.state import Remembered, StateFile

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.config import Config
    from modelhub.services.jobs.anywhere import JobsAnywhere


class Session:
    """One run of the terminal UI.

    :param config_path: the file of `--config`; None: the usual one.
    :param environ: the environment to read settings and the key from.
    :raises ConfigError: the settings are wrong.
    """

    def __init__(
        self, config_path: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.config_path = config_path
        self.loaded: LoadedConfig = load_config(config_path, self.environ)
        self.state_file = StateFile()
        self.remembered: Remembered = self.state_file.load()
        self._lock = threading.RLock()
        self._catalog: Catalog | None = None
        self._jobs: JobsAnywhere | None = None
        self._closed = False

    @property
    def config(self) -> Config:
        """The settings in effect."""
        return self.loaded.config

    def reload_config(self) -> None:
        """Read the settings again, after a change.

        :raises ConfigError: they are wrong now; those in effect stay.
        """
        self.loaded = load_config(self.config_path, self.environ)

    def key(self) -> str | None:
        """The Civitai API key, or None. For worker threads: it may ask a keyring.

        :raises MalformedKey, KeyFileExposed: what is stored cannot be used.
        """
        from modelhub.services.credentials import find_key

        found = find_key(self.environ)
        return found.value if found else None

    @property
    def catalog(self) -> Catalog:
        """The open catalog, safe to use from several threads. For worker threads.

        :raises CatalogError: it cannot be opened; asking again tries again.
        """
        with self._lock:
            if self._catalog is None:
                from modelhub.catalog import open_catalog

                self._catalog = open_catalog(self.config)
            return self._catalog

    @property
    def jobs(self) -> JobsAnywhere:
        """Where jobs are asked for and seen. For worker threads, as it opens the catalog.

        :raises CatalogError: as :attr:`catalog`.
        """
        with self._lock:
            if self._jobs is None:
                from modelhub.services.jobs.anywhere import JobsAnywhere

                self._jobs = JobsAnywhere(lambda: self.config, self.key)
            return self._jobs

    def working_here(self, job_ids: Collection[str]) -> int:
        """How many of these jobs this process does: they stop with it."""
        jobs = self._jobs
        return sum(jobs.is_here(one) for one in job_ids) if jobs is not None else 0

    def save_state(self) -> None:
        """Keep what is remembered. For worker threads."""
        self.state_file.save(self.remembered)

    def close(self) -> None:
        """Stop the jobs of this process, and close the catalog."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._jobs is not None:
                self._jobs.close()
            if self._catalog is not None:
                self._catalog.close()
