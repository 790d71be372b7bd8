"""Sizes, dates and ages as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from modelhub.catalog.search.criteria import ValueRefused
from modelhub.catalog.texts import LARGEST

SIZE_EXPECTED = "a size such as 2GB, 1.5GiB or 800MB"
COUNT_EXPECTED = "a number such as 12M, 2.6B or 860000000"
TIME_EXPECTED = "an age such as 30d, 2w, 6m or 1y, or a date such as 2024-01-31 or 2024-01"

_UNITS = {
    "": 1, "B": 1,
    "K": 1000, "KB": 1000, "KIB": 1 << 10,
    "M": 1000**2, "MB": 1000**2, "MIB": 1 << 20,
    "G": 1000**3, "GB": 1000**3, "GIB": 1 << 30,
    "T": 1000**4, "TB": 1000**4, "TIB": 1 << 40,
}  # fmt: skip
_COUNTS = {"": 1, "K": 1000, "M": 1000**2, "B": 1000**3, "T": 1000**4}
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))?\s*([A-Za-z]*)")
_AGE = re.compile(r"([0-9]{1,6})(h|d|w|m|y)", re.IGNORECASE)
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{1,2}))?(?:-([0-9]{1,2}))?")
_LONGEST_AGE = timedelta(days=100 * 365)
_YEARS = range(1971, 2200)


class Size(NamedTuple):
    """A number, and half of what its last digit typed stands for: how exact it was meant."""

    value: int
    slack: int


def read_size(text: str) -> Size:
    """``2GB`` is 2,000,000,000 bytes, give or take half a GB; ``2GiB`` is 2^31.

    :raises ValueRefused: it is no size.
    """
    return _read(text, _UNITS, "size", SIZE_EXPECTED)


def read_count(text: str) -> Size:
    """``2B`` is 2,000,000,000, give or take half a billion.

    :raises ValueRefused: it is no number.
    """
    return _read(text, _COUNTS, "number", COUNT_EXPECTED)


def _read(text: str, units: dict[str, int], name: str, expected: str) -> Size:
    found = _SIZE.fullmatch(text)
    unit = units.get(found[3].upper()) if found else None
    if not found or unit is None:
        raise ValueRefused(f"{text!r} is no {name}", expected)
    digits = found[2] or ""
    scaled = int(found[1] + digits) * unit
    value = scaled // 10 ** len(digits)
    if value > LARGEST:
        raise ValueRefused(f"{text!r} is larger than any file", expected)
    return Size(value, unit // 10 ** len(digits) // 2)


class Span(NamedTuple):
    """A stretch of time in UTC: from `start` on and before `end`. An age is a single moment."""

    start: datetime
    end: datetime
    is_age: bool


def read_time(text: str, now: datetime) -> Span:
    """The day, month or year that a date names, in the time zone of `now`; or how long ago.

    :raises ValueRefused: it is neither date nor age.
    """
    lower = text.lower()
    if lower in ("today", "yesterday"):
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return _day(day if lower == "today" else day - timedelta(days=1))
    age = _AGE.fullmatch(lower)
    if age:
        number = int(age[1])
        ago = timedelta(hours=number) if age[2] == "h" else timedelta(days=number * _DAYS[age[2]])
        moment = (now - min(ago, _LONGEST_AGE)).astimezone(UTC)
        return Span(moment, moment, is_age=True)
    date = _DATE.fullmatch(lower)
    if not date:
        raise ValueRefused(f"{text!r} is neither a date nor an age", TIME_EXPECTED)
    return _date(text, int(date[1]), date[2], date[3], now)


def _day(start: datetime) -> Span:
    return Span(start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC), is_age=False)


def _date(text: str, year: int, month: str | None, day: str | None, now: datetime) -> Span:
    if year not in _YEARS:
        raise ValueRefused(f"{text!r} is not a year that files are from", TIME_EXPECTED)
    try:
        start = datetime(year, int(month or 1), int(day or 1), tzinfo=now.tzinfo)
    except ValueError:
        raise ValueRefused(f"there is no date {text!r}", TIME_EXPECTED) from None
    if day:
        return _day(start)
    if month and start.month < 12:
        end = start.replace(month=start.month + 1)
    else:
        end = start.replace(year=year + 1, month=1)
    return Span(start.astimezone(UTC), end.astimezone(UTC), is_age=False)
