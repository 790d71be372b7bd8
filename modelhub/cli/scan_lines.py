"""A report on pickles as lines for people: of a file just scanned, or as the catalog keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelhub.text import clean, shorten

_MOST = 20
_WIDEST = 60
"""Of a name: a hostile one may have any length, and all lines are aligned to the longest."""
_LONGEST = 400


def scan_lines(report: Any) -> list[tuple[str, object]]:
    """What a report names beyond what every checkpoint needs, each with its rank and reason.

    :param report: a document of :func:`modelhub.services.scan.report_document`, or None.
    """
    if not isinstance(report, Mapping):
        return []
    lines: list[tuple[str, object]] = [
        (shorten(clean(f"{one.get('module')}.{one.get('name')}"), _WIDEST), _reason(one))
        for one in _mappings(report.get("findings"))
    ]
    lines += [("damaged or odd", _fault(one)) for one in _mappings(report.get("faults"))]
    shown = lines[:_MOST]
    left = len(lines) - len(shown) + _number(report.get("left_out"))
    if left:
        shown.append(("and", f"{left:,} more: `modelhub scan --json` lists them"))
    notices = report.get("notices")
    if isinstance(notices, Sequence) and not isinstance(notices, str):
        shown += [("remark", text) for text in notices[:_MOST]]
    return shown


def _reason(finding: Mapping[str, Any]) -> str:
    count = _number(finding.get("count"))
    times = f", called {count:,} times" if count > 1 else ""
    why = shorten(clean(finding.get("why")), _LONGEST)
    return f"{finding.get('rank')}: {why} ({_place(finding)}{times})"


def _fault(fault: Mapping[str, Any]) -> str:
    return f"{shorten(clean(fault.get('reason')), _LONGEST)} ({_place(fault)})"


def _place(one: Mapping[str, Any]) -> str:
    where = shorten(clean(one.get("where") or ""), _LONGEST)
    at = f"byte {_number(one.get('offset')):,}"
    return f"{where} at {at}" if where else at


def _mappings(values: Any) -> list[Mapping[str, Any]]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        return []
    return [one for one in values if isinstance(one, Mapping)]


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
