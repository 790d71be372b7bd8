"""The report on the pickles of one file: made where there can be some, kept by the catalog."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.errors import FileUnreadable
from modelhub.formats.magic import HEAD_SIZE, sniff
from modelhub.formats.reading import require_regular
from modelhub.formats.tensors import FileFormat

if TYPE_CHECKING:
    from modelhub.formats.scan import Finding, ScanReport

TENSORS_ALONE = frozenset({FileFormat.SAFETENSORS, FileFormat.GGUF})
"""Formats of which not even the scanner need be loaded: most files of a library."""
UNPICKLED_ENDINGS = (
    *(".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".pickle"),
    *(".joblib", ".dill", ".npy", ".npz"),
)
"""Of names by which tools take a file for a pickle."""
MOST_FINDINGS = 500
"""Findings, and faults, of one file that the catalog keeps; the worst come first."""
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def format_of(path: Path) -> FileFormat:
    """The format of a regular file, by its first bytes.

    :raises FileUnreadable: it cannot be read, or is no regular file.
    """
    size = require_regular(path).st_size
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            return sniff(os.pread(descriptor, HEAD_SIZE, 0), size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error


def pickles_in(
    path: Path, format: FileFormat | None = None, *, name: str = ""
) -> ScanReport | None:
    """What the pickles in a file would do; None where there are none, and none can be.

    Bytes can be arranged so that they are an image, or a text, and a pickle: all are looked at.
    Tensors of safetensors and GGUF are where the file is called as pickles are, since by that name
    a tool would unpickle it.

    :param format: of its content, where that is known already.
    :param name: what it is to be called, where that is not the name of `path`.
    :raises FileUnreadable: it cannot be read, or is no regular file.
    """
    found = format_of(path) if format is None else format
    unpickled = (name or path.name).lower().endswith(UNPICKLED_ENDINGS)
    if found in TENSORS_ALONE and not unpickled:
        return None
    from modelhub.formats.scan import carries_pickles, scan_file

    report = scan_file(path)
    sure = carries_pickles(found) and found is not FileFormat.UNKNOWN
    return report if sure or report.pickles or report.verdict != "safe" else None


def telling(report: ScanReport) -> list[Finding]:
    """The findings that are more than what every checkpoint needs, the worst first."""
    return [one for one in report.findings if one.rank != "tensors"]


def dangerous_names(report: ScanReport, most: int = 5) -> str:
    """The globals that make a file unsafe, as a list for people; empty where only its faults do."""
    ranks = [one.rank.value for one in report.findings]
    rank = next((worst for worst in ("dangerous", "suspicious") if worst in ranks), None)
    names = list(dict.fromkeys(one.path for one in report.findings if one.rank == rank))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def report_document(report: ScanReport, *, most: int = MOST_FINDINGS) -> dict[str, Any]:
    """The report as JSON holds it: everything but the names that every checkpoint needs."""
    findings = telling(report)
    return {
        "verdict": report.verdict.value,
        "scanner": report.scanner,
        "pickles": report.pickles,
        "findings": _plain(findings[:most]),
        "faults": _plain(report.faults[:most]),
        "notices": list(report.notices[:most]),
        "left_out": max(0, len(findings) - most) + max(0, len(report.faults) - most),
    }


def _plain(values: Iterable[Any]) -> list[Any]:
    import msgspec

    return [msgspec.to_builtins(one) for one in values]


def report_json(report: ScanReport) -> str:
    """The same as text, for the catalog."""
    from modelhub.catalog.texts import json_text

    return json_text(report_document(report))
