"""The lane of a job in its queue: jobs in different lanes do not wait for each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.config.mounts import to_host
from modelhub.daemon.engine import Limit
from modelhub.services.jobs.model import JobKind

if TYPE_CHECKING:
    from modelhub.config import Config


def limits(config: Config) -> dict[str, Limit]:
    """How many jobs of each kind run at a time."""
    wanted = config.jobs
    return {
        JobKind.DOWNLOAD: Limit(at_once=wanted.downloads),
        JobKind.INDEX: Limit(at_once=1),
        JobKind.HASH: Limit(by_lane=1),
        JobKind.MATCH: Limit(at_once=1),
        JobKind.VERIFY: Limit(at_once=1),
        JobKind.CONVERT: Limit(at_once=wanted.conversions),
        JobKind.RENDER: Limit(by_lane=wanted.renders),
        JobKind.UPDATES: Limit(at_once=1),
    }


def most_at_once(config: Config, kind: str) -> int | None:
    """How many jobs of a kind may be at work on this host; None: that depends on their lanes."""
    limit = limits(config).get(JobKind(kind)) if kind in frozenset(JobKind) else None
    return None if limit is None else limit.at_once


def slots(config: Config) -> dict[str, int]:
    """How many jobs of each kind that it does a host has at a time, where several share them.

    In which lane a job is, is known only once a host has it: of hashing, a few may wait there.
    """
    kinds = config.team.kinds or tuple(JobKind)
    found = {}
    for kind, limit in limits(config).items():
        if kind in kinds:
            found[kind] = limit.at_once or limit.by_lane or 1
    return found


def lane_of(kind: str, arguments: str) -> str:
    """The device that a render is for, the disk that a hashing job reads; else nothing.

    :param arguments: of the job, as JSON.
    """
    if kind == JobKind.RENDER:
        return _device(json.loads(arguments))
    if kind == JobKind.HASH:
        return _disk(json.loads(arguments))
    return ""


def _device(arguments: dict[str, Any]) -> str:
    device = arguments.get("wish", {}).get("device", {}).get("device")
    return device if isinstance(device, str) else ""


def _disk(arguments: dict[str, Any]) -> str:
    roots = arguments.get("roots") or ()
    try:
        disks = {Path(to_host(root)).stat().st_dev for root in roots}
    except (OSError, TypeError, ValueError):
        return ""
    return "-".join(str(one) for one in sorted(disks))
