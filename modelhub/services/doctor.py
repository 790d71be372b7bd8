"""`doctor`: is everything in order? Each check says what it found, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.config.paths import data_folder, library_root
from modelhub.errors import KeyRefused, ModelhubError

if TYPE_CHECKING:
    from threading import Event

    from modelhub.catalog import Catalog
    from modelhub.config import Config

_EXTRAS = {
    "daemon": ("dbos", "psycopg"),
    "demo": ("numpy",),
    "postgres": ("psycopg",),
    "render": ("torch", "diffusers", "transformers", "gguf"),
    "scan": ("picklescan",),
    "tui": ("textual", "textual_image", "textual_serve", "tomlkit"),
}
_GIB = 1 << 30


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `hint` is what the user can do, or empty."""

    subject: str
    verdict: Verdict
    text: str
    hint: str = ""


def examine(
    config: Config, key: Callable[[], str | None], *, offline: bool, thorough: bool, cancel: Event
) -> Iterator[Check]:
    """Look at everything that modelhub stands on, cheapest first.

    :param key: gives the API key; called once, late, since it may ask a keyring.
    :param offline: leave out what needs the network.
    :param thorough: read the whole full-text index as well.
    """
    yield _python()
    yield _extras()
    yield _data_folder()
    yield from _catalog(config, thorough=thorough)
    yield from _library(config)
    yield _daemon(config)
    yield from _civitai(config, key, offline=offline, cancel=cancel)


def _python() -> Check:
    import sqlite3

    text = f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(words)")
    except sqlite3.OperationalError:
        hint = "use a Python whose SQLite is built with FTS5, or a PostgreSQL catalog"
        return Check("Python", Verdict.FAILED, f"{text}, without full-text search", hint)
    finally:
        connection.close()
    return Check("Python", Verdict.OK, text)


def _extras() -> Check:
    there = [
        extra
        for extra, modules in _EXTRAS.items()
        if all(find_spec(module) is not None for module in modules)
    ]
    missing = [extra for extra in _EXTRAS if extra not in there]
    text = f"installed: {', '.join(there) or 'none'}"
    hint = f"pip install 'modelhub[{','.join(missing)}]' adds the rest" if missing else ""
    return Check("Extras", Verdict.OK, text, hint)


def _data_folder() -> Check:
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = "check its owner and permissions, or set MODELHUB_HOME"
        return Check("Data folder", Verdict.FAILED, f"{folder}: {error.strerror}", hint)
    return Check("Data folder", Verdict.OK, f"{folder} is writable")


def _catalog(config: Config, *, thorough: bool) -> Iterator[Check]:
    from modelhub.catalog import open_catalog

    try:
        with open_catalog(config) as catalog:
            report = catalog.check(thorough=thorough)
            unsafe = list(_unsafe(catalog))
    except ModelhubError as error:
        yield Check("Catalog", Verdict.FAILED, error.message, error.hint)
        return
    size = f", {report.size / (1 << 20):.1f} MiB" if report.size is not None else ""
    backups = f", {len(report.backups)} backups" if report.backups else ""
    yield Check("Catalog", Verdict.OK, f"{report.database}: {report.files} files{size}{backups}")
    for finding in report.findings:
        if not finding.ok:
            restore = f"restore a backup: {report.backups[-1]}" if report.backups else ""
            yield Check("Catalog", Verdict.FAILED, f"{finding.check}: {finding.text}", restore)
    yield from unsafe


def _unsafe(catalog: Catalog) -> Iterator[Check]:
    """Files that may run code when they are loaded: where a tool would, and in quarantine."""
    loose = catalog.count("verdict:dangerous -state:missing,quarantined")
    if loose:
        yield Check(
            "Files",
            Verdict.WARNING,
            f"{loose:,} in the library would run code when loaded",
            "`modelhub list verdict:dangerous`; `modelhub scan --quarantine FILE` sets one aside",
        )
    held = catalog.count("state:quarantined")
    if held:
        yield Check(
            "Files", Verdict.OK, f"{held:,} in quarantine", "`modelhub list state:quarantined`"
        )


def _library(config: Config) -> Iterator[Check]:
    from modelhub.placement.layouts import check_library, detect_root
    from modelhub.placement.roots import check_root

    try:
        check_library(config.library)
        root = detect_root(library_root(config), config.library.layout)
        if not config.library.root and not root.exists():
            yield Check("Library", Verdict.OK, f"{root} is made by the first pull")
            return
        check_root(root)
    except ModelhubError as error:
        yield Check("Library", Verdict.FAILED, error.message, error.hint)
        return
    free = shutil.disk_usage(root).free
    text = f"{root}, layout {config.library.layout}, {free / _GIB:.1f} GiB free"
    if not os.access(root, os.W_OK | os.X_OK):
        hint = "check its owner and permissions, or set library.root"
        yield Check("Library", Verdict.FAILED, f"{root} cannot be written to", hint)
        return
    low = free < config.download.min_free
    hint = f"pulls need {config.download.min_free / _GIB:.1f} GiB to stay free" if low else ""
    yield Check("Library", Verdict.WARNING if low else Verdict.OK, text, hint)
    partial = list(_partial_downloads(root))
    if partial:
        used = sum(size for _, size in partial) / _GIB
        yield Check(
            "Library",
            Verdict.WARNING,
            f"{_unfinished(len(partial))} {used:.2f} GiB: {partial[0][0]}",
            "pull them again to go on, or delete these files",
        )


def _daemon(config: Config) -> Check:
    from modelhub.services.jobs.contact import Contact
    from modelhub.services.jobs.place import jobs_place

    place = jobs_place(config)
    contact = Contact(place)
    if not contact.attended():
        waiting = place.path is not None and place.path.exists()
        hint = "`modelhub daemon start` starts it: queued jobs wait for it" if waiting else ""
        return Check("Daemon", Verdict.OK, "does not run", hint)
    try:
        answer = contact.ask("ping")
    except ModelhubError as error:
        return Check("Daemon", Verdict.FAILED, error.message, error.hint)
    return Check("Daemon", Verdict.OK, f"runs as process {answer['pid']}")


def _unfinished(number: int) -> str:
    return "1 unfinished download holds" if number == 1 else f"{number} unfinished downloads hold"


def _partial_downloads(root: Path) -> Iterator[tuple[Path, int]]:
    """Unfinished downloads below `root`, with the bytes that they hold on disk."""
    for folder, _, names in os.walk(root):
        for name in names:
            if name.startswith(".") and name.endswith(".part"):
                path = Path(folder, name)
                try:
                    yield path, path.stat().st_blocks * 512
                except OSError:
                    continue


def _civitai(
    config: Config, key: Callable[[], str | None], *, offline: bool, cancel: Event
) -> Iterator[Check]:
    from modelhub.network import shown_url

    try:
        found = key()
    except ModelhubError as error:
        yield Check("API key", Verdict.FAILED, error.message, error.hint)
        return
    shown = shown_url(config.civitai.url)
    if found is None:
        hint = "`modelhub login` stores one; some files need it"
        yield Check("API key", Verdict.WARNING, "none", hint)
    if offline:
        yield Check("Civitai", Verdict.OK, f"{shown} (not asked: --offline)")
        return
    from modelhub.civitai.client import CivitaiClient

    started = time.monotonic()
    try:
        with CivitaiClient(config, found, cancel=cancel) as client:
            owner = client.me().value.username if found is not None else None
            if found is None:
                client.enums()
    except KeyRefused as error:
        yield Check("API key", Verdict.FAILED, error.message, error.hint)
        return
    except ModelhubError as error:
        yield Check("Civitai", Verdict.FAILED, error.message, error.hint)
        return
    took = f"{(time.monotonic() - started) * 1000:.0f} ms"
    if owner:
        yield Check("API key", Verdict.OK, f"of {owner}")
    yield Check("Civitai", Verdict.OK, f"{shown} answers ({took})")
