"""Scan: what the pickles in files would do, and what follows from it.

:func:`require_safe` is the gate before anything that loads or converts a file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelhub.services.scan.files import FailedScan, Scanned, scan_files, targets_of
    from modelhub.services.scan.gate import require_safe
    from modelhub.services.scan.quarantine import quarantine_file, release_file
    from modelhub.services.scan.report import pickles_in, report_document, report_json

# Loaded when first used: the processes that read headers need the report alone.
_HOMES = {
    "FailedScan": "files",
    "Scanned": "files",
    "scan_files": "files",
    "targets_of": "files",
    "require_safe": "gate",
    "quarantine_file": "quarantine",
    "release_file": "quarantine",
    "pickles_in": "report",
    "report_document": "report",
    "report_json": "report",
}

__all__ = [
    "FailedScan",
    "Scanned",
    "pickles_in",
    "quarantine_file",
    "release_file",
    "report_document",
    "report_json",
    "require_safe",
    "scan_files",
    "targets_of",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
