"""What hosts tell of themselves, and who is there: for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from modelhub import __version__
from modelhub.services.jobs.store.opening import JobDatabase

if TYPE_CHECKING:
    from modelhub.config import Config

_UNKNOWN = "?"
_HOSTS = text(
    """
    SELECT name, devices, about, lease,
        EXTRACT(EPOCH FROM clock_timestamp()) - seen AS silent,
        (SELECT count(*) FROM jobs WHERE handed AND state = 'running' AND host = name) AS at_work
    FROM job_hosts ORDER BY name
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine that does jobs of a library.

    :param devices: what it makes test images on; empty: it makes none; None: it has not looked yet.
    :param kinds: of jobs that it does; empty: all.
    :param mounts: where it has folders of the catalog, by where the catalog has them.
    :param silent: seconds since its last sign of life.
    :param alive: whether that is less than its lease; else its jobs are the others'.
    :param at_work: how many jobs it does now.
    """

    name: str
    devices: tuple[str, ...] | None
    kinds: tuple[str, ...]
    mounts: Mapping[str, str]
    version: str
    silent: float
    alive: bool
    at_work: int


def hosts_of(database: JobDatabase) -> list[Host]:
    """The hosts that share a jobs database on a server; none share one in a file."""
    if database.place.path is not None:
        return []
    with database.read() as connection:
        rows = connection.execute(_HOSTS).all()
    found = []
    for row in rows:
        told = json.loads(row.about)
        found.append(
            Host(
                name=row.name,
                devices=None
                if row.devices == _UNKNOWN
                else tuple(filter(None, row.devices.split(","))),
                kinds=tuple(told.get("kinds", ())),
                mounts=told.get("mounts", {}),
                version=told.get("version", ""),
                silent=float(row.silent),
                alive=row.silent <= row.lease,
                at_work=row.at_work,
            )
        )
    return found


def about(config: Config) -> str:
    """What a host tells of itself when it joins, as JSON."""
    team = config.team
    told = {"kinds": list(team.kinds), "mounts": dict(team.mounts), "version": __version__}
    return json.dumps(told, separators=(",", ":"))


def shown_devices(devices: Sequence[str] | None) -> str:
    """Devices as they are in the table."""
    return _UNKNOWN if devices is None else ",".join(devices)
