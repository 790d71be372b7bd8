"""How soon the jobs of a killed host begin on another one, and what an idle host costs.

    python benchmarks/team_takeover.py [--rounds N] [--lease SECONDS] [--url URL]

Two daemons on one PostgreSQL database. In each round, the one that has a slow download in its
hands is killed with SIGKILL, and the time is taken until the other begins it; then it is started
anew. Claims that this takes no longer than the lease, a fifth of it (a sign of life) and three
seconds. Then both are left idle, and their processor time is counted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _common import claim
from _jobs import Library, library
from team_scale import _server

from modelhub.config import Config
from modelhub.config.settings import CatalogSettings
from modelhub.demo.hub import DemoHub, Fault
from modelhub.services.jobs import Job, JobKind, JobRequest
from modelhub.services.jobs.durable import DurableQueue, open_queue
from modelhub.services.jobs.store import HostLease, open_jobs

_MIB = 1 << 20
_IDLE = 30.0


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lease", type=float, default=20.0)
    parser.add_argument("--url", default="")
    wanted = parser.parse_args()
    with _server(wanted.url) as url, library() as (place, hub):
        hosts = {name: _host(place, name, url, wanted.lease) for name in ("one", "two")}
        running = {name: _start(host, name, url) for name, host in hosts.items()}
        try:
            with open_queue(Config(catalog=CatalogSettings(database_url=url))) as queue:
                took = [_relieved(queue, hub, hosts, running, url) for _ in range(wanted.rounds)]
            _tell_idle(running)
        finally:
            for process in running.values():
                process.kill()
                process.wait()
    print(f"taken over after: median {statistics.median(took):.1f} s, worst {max(took):.1f} s")
    return 0 if claim("s from the kill, worst", max(took), wanted.lease * 1.2 + 3) else 1


def _host(place: Library, name: str, url: str, lease: float) -> Library:
    own = {
        "MODELHUB_HOME": str(place.folder / name),
        "MODELHUB_CATALOG_DATABASE_URL": url,
        "MODELHUB_TEAM_HOST": name,
        "MODELHUB_TEAM_LEASE": str(lease),
        "MODELHUB_DAEMON_WATCH": "false",
    }
    return Library(place.folder, place.url, own)


def _start(host: Library, name: str, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "modelhub", "daemon", "run", "--quiet"]
    process = subprocess.Popen(command, env=host.environ, stdin=subprocess.DEVNULL)
    log = Path(host.environ["MODELHUB_HOME"]) / "data"
    with open_jobs(Config(catalog=CatalogSettings(database_url=url))) as database:
        lease = HostLease(database, "looking on", "", Config())
        began = f'"daemon begins", "pid": {process.pid}'
        _wait(lambda: any(began in one.read_text() for one in log.glob("*.log")), "a daemon begins")
        _wait(lambda: name in lease.living(), "it is a host")
    return process


def _relieved(
    queue: DurableQueue,
    hub: DemoHub,
    hosts: dict[str, Library],
    running: dict[str, subprocess.Popen[bytes]],
    url: str,
) -> float:
    """Kill the host of a download; the seconds until the other one begins it."""
    file = hub.publish_bytes(f"slow {time.time()}.safetensors", b"slow" * (4 * _MIB))
    path = hub.stored(file.id or 0).storage_path
    hub.faults.add(Fault(kind="slow", path=path, rate=_MIB // 4, times=None))
    arguments = {
        "reference": f"https://civitai.com/model-versions/{file.version_id}",
        "connections": 1,
    }
    job = queue.enqueue(JobRequest(kind=JobKind.DOWNLOAD, arguments=arguments, title="slow"))
    _wait(lambda: queue.get(job.id).progress.done > 0, "it comes")
    victim = queue.get(job.id).host
    running[victim].kill()
    killed = time.time()
    running[victim].wait()

    def begun() -> Job | None:
        found = queue.get(job.id)
        return found if found.attempts == 2 and found.started else None

    _wait(lambda: begun() is not None, "it is taken over")
    started = queue.get(job.id).started
    assert started is not None
    queue.cancel(job.id)
    hub.faults.clear()
    running[victim] = _start(hosts[victim], victim, url)
    return started.timestamp() - killed


def _tell_idle(running: dict[str, subprocess.Popen[bytes]]) -> None:
    time.sleep(5.0)
    before = {name: _cpu_seconds(process.pid) for name, process in running.items()}
    time.sleep(_IDLE)
    for name, process in running.items():
        used = (_cpu_seconds(process.pid) - before[name]) / _IDLE * 100
        print(f"idle, host {name} takes {used:.2f}% of a core")


def _cpu_seconds(pid: int) -> float:
    import os

    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it never came about: {what}")
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
