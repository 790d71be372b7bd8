"""The folders of this platform: configuration, data, cache. `MODELHUB_HOME` puts all under one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from modelhub.config.settings import Config


def _platform_folder(kind: str, environ: Mapping[str, str] | None = None) -> Path:
    home = (os.environ if environ is None else environ).get("MODELHUB_HOME")
    if home:
        return Path(home).expanduser() / kind
    import platformdirs

    folder: Path = getattr(platformdirs, f"user_{kind}_path")("modelhub", appauthor=False)
    return folder


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """The configuration file that is read when `--config` names no other."""
    return _platform_folder("config", environ) / "config.toml"


def key_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where the Civitai API key is kept on a machine without a keyring."""
    return _platform_folder("config", environ) / "civitai.key"


def data_folder() -> Path:
    """Where the catalog and the default library are."""
    return _platform_folder("data")


def cache_folder() -> Path:
    """What can be deleted at any time: cached API answers."""
    return _platform_folder("cache")


def library_root(config: Config) -> Path:
    """The folder that models go to, absolute."""
    if config.library.root:
        return Path(config.library.root).expanduser().absolute()
    return data_folder() / "models"


def catalog_url(config: Config) -> str:
    """The SQLAlchemy URL of the catalog."""
    return config.catalog.database_url or f"sqlite:///{data_folder() / 'catalog.db'}"
