"""The gate before loading: a dangerous file passes only where the user said so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import UnsafeFileError
from modelhub.services.scan.report import dangerous_names, pickles_in

if TYPE_CHECKING:
    from modelhub.formats.scan import ScanReport

HINT = (
    "`modelhub scan` shows all that it names; a safetensors file of the same model carries no "
    "code; --allow-unsafe goes on all the same"
)


def require_safe(scanned: ScanReport | str | None, path: Path, *, allow: bool) -> str:
    """Refuse a dangerous file; of a suspicious one, or one that is allowed, give a warning.

    A suspicious file names what nobody has judged yet, or is damaged. Our readers run nothing of
    it, so that it may be converted; what loads pickles by other means must refuse it.

    :param scanned: its report, or its verdict alone; None has the file scanned now.
    :param allow: whether the user allowed it (``--allow-unsafe``).
    :returns: a sentence to show as a warning, or empty.
    :raises UnsafeFileError: it is dangerous, and that was not allowed.
    :raises FileUnreadable: it was to be scanned and cannot be read.
    """
    report = pickles_in(path) if scanned is None else scanned
    if report is None:
        return ""
    verdict = report if isinstance(report, str) else report.verdict
    if verdict == "safe":
        return ""
    names = "" if isinstance(report, str) else dangerous_names(report)
    if verdict == "suspicious":
        return f"{path} is suspicious: {_why_suspicious(names)}; nothing in it is run"
    said = f"it names {names}" if names else "it names what can run code"
    if allow:
        return f"{path} is dangerous and allowed: {said}"
    raise UnsafeFileError(f"{path} is dangerous: {said}", hint=HINT)


def _why_suspicious(names: str) -> str:
    return f"it names {names}, which is not known" if names else "a pickle in it is damaged or odd"
