"""Which files to read now, so that a share of the library is read each week.

Nothing is scheduled and nothing remembered but when each file was last verified: what a week has
left is its share less what was verified within the last seven days. Called once a day or once an
hour, by a timer or by hand, together that is the share; called after a month's pause, it is one
week's share and not four.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.catalog.keeprows import ReadingOrder

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to read, in order, by id.

    :param size: bytes of them all.
    :param whole: bytes of all files that could have been chosen.
    """

    ids: array[int]
    size: int
    whole: int


def plan(
    order: ReadingOrder, *, share: float | None, due: bool, before: datetime, now: datetime
) -> Plan:
    """The files of `order` to read now: longest ago first, at least one where any is due.

    :param share: so much of all their bytes, from 0 to 1; None: all.
    :param due: the share is that of a week, of which what was read within the last is taken off.
    :param before: files verified since then are left out.
    """
    whole = sum(order.sizes)
    budget = whole if share is None else int(share * whole)
    if due:
        since = (now - WEEK).timestamp()
        rows = zip(order.verified, order.sizes, strict=True)
        budget -= sum(size for at, size in rows if at > since)
    ids, size = array("q"), 0
    limit = before.timestamp()
    for file_id, file_size, at in zip(order.ids, order.sizes, order.verified, strict=True):
        if size >= budget:
            break
        if at < limit:
            ids.append(file_id)
            size += file_size
    return Plan(ids, size, whole)
