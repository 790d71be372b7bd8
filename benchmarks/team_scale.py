"""What a queue of a million jobs costs, and fifty hosts that work it off, on PostgreSQL.

    python benchmarks/team_scale.py [--jobs N] [--hosts N] [--seconds S] [--url URL]

Fills the table of jobs, asks it what users and daemons ask, then lets so many hosts claim, begin,
report and end jobs for so many seconds: the very statements that daemons use, each host with its
own lease, in threads of a few processes. The work itself and DBOS's own rows are left out; see
docs/scale.md for what these cost. At last every job that ended must have been begun once.

Without a URL (of an empty database) a server is started for it, where its binaries are found; its
writes then do not wait for the disk (fsync is off), since shared machines' disks say little.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from _common import REPOSITORY, claim
from sqlalchemy import text

from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Team
from modelhub.services.jobs import JobKind, JobProgress, JobRequest, JobState
from modelhub.services.jobs.store import Claims, HostLease, JobRequests, JobWork, open_jobs

_PROCESSES = 4
_FILL = text(
    """
    INSERT INTO jobs (id, kind, title, state, key, arguments, priority, created, changed)
    SELECT lpad(to_hex(n), 10, '0'),
        (ARRAY['download','download','hash','convert','render'])[1 + n % 5],
        'model ' || n, 'waiting', 'key ' || n,
        '{"reference":"' || n || '","options":{"precision":"fp16","format":"safetensors"}}',
        n % 3, 1700000000 + n, 1700000000 + n
    FROM generate_series(1, :jobs) AS n
    """
)


@dataclass
class Counted:
    """What the hosts of a process did."""

    jobs: int = 0
    claims: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


def main() -> int:
    """Measure, print, and say by the exit code whether every job was done once."""
    wanted = _arguments()
    with _server(wanted.url) as url:
        config = Config(catalog=CatalogSettings(database_url=url))
        _fill(config, wanted.jobs)
        _ask(config)
        done, took, counted = _work_off(config, wanted.hosts, wanted.seconds)
        print(
            f"{wanted.hosts} hosts ended {done:,} jobs in {took:.0f} s: {done / took:,.0f} a second"
        )
        _tell("a claim", [one for each in counted for one in each.claims])
        _tell("an end", [one for each in counted for one in each.ends])
        twice = _begun_twice(config)
    return 0 if claim("jobs begun twice", twice, 0) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--url", default="")
    return parser.parse_args()


@contextmanager
def _server(url: str) -> Iterator[str]:
    if url:
        yield url
        return
    sys.path.insert(0, str(REPOSITORY))
    from tests.catalog.postgres_server import PostgresServer, binaries

    folder = binaries()
    if folder is None:
        raise SystemExit("no PostgreSQL server is installed: name a database with --url")
    with PostgresServer(folder) as server:
        yield server.new_database()


def _fill(config: Config, jobs: int) -> None:
    began = time.perf_counter()
    with open_jobs(config) as database:
        lease = HostLease(database, "filler", "filler", config)
        lease.join()
        lease.leave()
        with database.write() as connection:
            connection.execute(_FILL, {"jobs": jobs})
        with database.write() as connection:
            connection.execute(text("ANALYZE jobs"))
        with database.read() as connection:
            size = connection.scalar(text("SELECT pg_total_relation_size('jobs')")) or 0
    took = time.perf_counter() - began
    print(f"{jobs:,} jobs are queued in {took:.0f} s: {size / jobs:.0f} bytes each with indexes")


def _ask(config: Config) -> None:
    """What users and idle daemons ask."""
    with open_jobs(config) as database:
        requests, work = JobRequests(database), JobWork(database, "asker")
        lease = HostLease(database, "asker", "asker", config)
        lease.join()
        claims = Claims(database, lease)
        number = iter(range(10_000))
        questions: dict[str, Callable[[], object]] = {
            "queue a job": lambda: requests.add(
                JobRequest(kind=JobKind.VERIFY, arguments={"query": str(next(number))}, title="q")
            ),
            "list 1,000 waiting": lambda: requests.list([JobState.WAITING], limit=1000),
            "counts by state": requests.counts,
            "is there work": lambda: claims.offered(list(JobKind)),
            "what is mine": claims.mine,
            "a sign of life": lease.beat,
            "is a host gone": lease.take_over,
            "is a job without hope": work.settle,
            "forget old jobs": lambda: work.trim(ended_before=0.0, keep=10_000),
        }
        for name, ask in questions.items():
            took = []
            for _ in range(9):
                began = time.perf_counter()
                ask()
                took.append((time.perf_counter() - began) * 1000)
            print(f"{name}: median {statistics.median(took):.1f} ms, worst {max(took):.1f} ms")
        lease.leave()


def _work_off(config: Config, hosts: int, seconds: float) -> tuple[int, float, list[Counted]]:
    context = multiprocessing.get_context("spawn")
    shares = [hosts // _PROCESSES + (n < hosts % _PROCESSES) for n in range(_PROCESSES)]
    with context.Pool(_PROCESSES) as pool:
        calls = [(config.catalog.database_url, n, share, seconds) for n, share in enumerate(shares)]
        counted = pool.starmap(_hosts, calls)
    return sum(one.jobs for one in counted), seconds, counted


def _hosts(url: str, process: int, hosts: int, seconds: float) -> Counted:
    """Some of the hosts, each a thread."""
    counted, lock = Counted(), threading.Lock()
    config = Config(catalog=CatalogSettings(database_url=url), team=Team(lease=3600))
    with open_jobs(config) as database:

        def host(number: int) -> None:
            name = f"host {process}.{number}"
            lease = HostLease(database, name, name, config)
            lease.join()
            claims, work = Claims(database, lease), JobWork(database, name)
            while time.monotonic() < until:
                began = time.perf_counter()
                turns = claims.claim(JobKind.DOWNLOAD, 3)
                claimed = time.perf_counter()
                for turn in turns:
                    if work.begin(turn.id, turn.generation) is None:
                        raise RuntimeError(f"{turn.id} was claimed and could not be begun")
                    progress = JobProgress(name="model.safetensors", done=1 << 30, total=2 << 30)
                    work.keep_progress(turn.id, turn.generation, progress, ["half of it"])
                    ending = time.perf_counter()
                    work.done(turn.id, turn.generation, {"path": "/srv/models/model.safetensors"})
                    with lock:
                        counted.ends.append((time.perf_counter() - ending) * 1000)
                with lock:
                    counted.jobs += len(turns)
                    counted.claims.append((claimed - began) * 1000)

        until = time.monotonic() + seconds
        threads = [threading.Thread(target=host, args=(number,)) for number in range(hosts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return counted


def _tell(name: str, took: list[float]) -> None:
    took.sort()
    worst = took[len(took) * 99 // 100]
    print(f"{name}: median {statistics.median(took):.0f} ms, 99% within {worst:.0f} ms")


def _begun_twice(config: Config) -> int:
    with open_jobs(config) as database, database.read() as connection:
        found = connection.scalar(text("SELECT count(*) FROM jobs WHERE attempts > 1"))
    return int(found or 0)


if __name__ == "__main__":
    sys.exit(main())
