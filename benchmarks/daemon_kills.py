"""kill -9 of the daemon and all its processes, again and again, at random, during a mixed load.

    python benchmarks/daemon_kills.py [KILLS] [SEED]

Claims that no job is lost or done twice, and no file damaged: downloads of several sizes, each
followed by a conversion that waits for it, with verifications and index runs between. At the end
every job is done; every file is there once, byte for byte, and known as what was published; nothing
was downloaded twice by the history; nothing is left over; and a verification of everything is well.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

from _jobs import Library, library

from modelhub.catalog import open_catalog
from modelhub.demo.hub import DemoHub, Fault
from modelhub.demo.published import PublishedFile
from modelhub.services.jobs import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.durable import DurableQueue

_OPEN_AT_ONCE = 12
_RATE = 6 << 20


class Load:
    """Jobs that are asked for as others end, and what must have come of them."""

    def __init__(self, place: Library, hub: DemoHub, queue: DurableQueue, seed: int) -> None:
        self._place, self._hub, self._queue = place, hub, queue
        self._random = random.Random(seed)
        self.pulls: list[tuple[Job, PublishedFile]] = []
        self.converts: list[tuple[Job, Path]] = []
        self.others: list[Job] = []

    def top_up(self) -> None:
        """Keep some jobs open."""
        while self._open() < _OPEN_AT_ONCE:
            self._ask()

    def _open(self) -> int:
        counts = self._queue.counts()
        return sum(number for state, number in counts.items() if not state.ended)

    def _ask(self) -> None:
        number = len(self.pulls)
        name = f"storm {number}.safetensors"
        values = self._random.choice([20_000, 500_000, 2_000_000])
        file = self._hub.publish_bytes(name, _model(number, values))
        arguments = {
            "reference": f"https://civitai.com/model-versions/{file.version_id}",
            "connections": 1,
        }
        pull = self._queue.enqueue(
            JobRequest(kind=JobKind.DOWNLOAD, arguments=arguments, title=name)
        )
        self.pulls.append((pull, file))
        target = self._place.folder / "models" / "converted" / f"{number}.safetensors"
        source = self._place.folder / "models" / "checkpoints" / name
        request = {"options": {"dtype": "fp16"}, "output": str(target)}
        convert = self._queue.enqueue(
            JobRequest(
                kind=JobKind.CONVERT,
                arguments={"sources": [str(source)], "request": request},
                title=f"convert {number}",
                after=[pull.id],
            )
        )
        self.converts.append((convert, target))
        if number % 4 == 0:
            kind = self._random.choice([JobKind.VERIFY, JobKind.INDEX])
            other = JobRequest(kind=kind, arguments={}, title=f"{kind} {number}", key=f"o{number}")
            self.others.append(self._queue.enqueue(other))

    @property
    def jobs(self) -> list[Job]:
        """All that were asked for."""
        return [job for job, _ in (*self.pulls, *self.converts)] + self.others


def _model(seed: int, values: int) -> bytes:
    header = {"weight": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}
    text = json.dumps(header).encode()
    numbers = random.Random(seed).randbytes(2 * values)
    # Two bytes of each value are chance, so that no two files are alike and none has an infinity.
    content = bytearray(4 * values)
    content[0::4], content[1::4] = numbers[0::2], numbers[1::2]
    return struct.pack("<Q", len(text)) + text + bytes(content)


def main() -> int:
    """Storm, wait for the end, look at everything; the exit code says whether all is well."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    began = time.monotonic()
    chance = random.Random(seed)
    with library(MODELHUB_JOBS_BACKOFF="0.2") as (place, hub), place.queue() as queue:
        (place.folder / "models" / "converted").mkdir()
        hub.faults.add(Fault(kind="slow", rate=_RATE, times=None))
        load = Load(place, hub, queue, seed)
        cut_off = 0
        for _ in range(kills):
            load.top_up()
            daemon = place.start_daemon()
            deadline = time.monotonic() + chance.uniform(0.0, 2.0)
            while time.monotonic() < deadline:
                load.top_up()
                time.sleep(0.05)
            cut_off += queue.counts()[JobState.RUNNING]
            _kill_all(daemon)
        took = time.monotonic() - began
        hub.faults.clear()
        with place.daemon():
            _finish(queue)
        wrong = _look(place, hub, queue, load)
    print(f"{kills} kills in {took:.0f} s cut off {cut_off} running jobs of {len(load.jobs)}")
    for text in wrong[:20]:
        print(f"  {text}")
    print("FAILS" if wrong else "holds: no job lost or done twice, no file damaged")
    return 1 if wrong else 0


def _kill_all(daemon: subprocess.Popen[bytes]) -> None:
    """Kill the daemon and everything that it has started."""
    family = [daemon.pid, *_children(daemon.pid)]
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    daemon.wait(60)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(one) for one in task.read_text().split()]
        except OSError:
            continue
        for child in direct:
            found += [child, *_children(child)]
    return found


def _finish(queue: DurableQueue) -> None:
    deadline = time.monotonic() + 600
    while any(number for state, number in queue.counts().items() if not state.ended):
        if time.monotonic() > deadline:
            raise RuntimeError("jobs do not end")
        time.sleep(0.2)


def _look(place: Library, hub: DemoHub, queue: DurableQueue, load: Load) -> list[str]:
    """All that is not as it should be."""
    wrong = []
    for job in load.jobs:
        found = queue.get(job.id)
        if found.state is not JobState.DONE:
            wrong.append(f"{found.title}: {found.state}: {found.error}")
    folder = place.folder / "models" / "checkpoints"
    for _, file in load.pulls:
        path = folder / file.name
        if not path.is_file() or path.read_bytes() != hub.stored(file.id or 0).path.read_bytes():
            wrong.append(f"{file.name} is not as published")
    wrong += [f"{path} is missing" for _, path in load.converts if not path.is_file()]
    models = [one for one in (place.folder / "models").rglob("*.safetensors") if one.is_file()]
    if len(models) != len(load.pulls) + len(load.converts):
        wrong.append(f"{len(models)} model files, not {len(load.pulls) + len(load.converts)}")
    wrong += [f"{one} was left over" for one in (place.folder / "models").rglob("*.part")]
    with open_catalog(place.config) as opened:
        for _, file in load.pulls:
            rows = opened.find_local_by_version(file.version_id or 0)
            if len(rows) != 1:
                wrong.append(f"{file.name} is known {len(rows)} times")
    with sqlite3.connect(place.folder / "home" / "data" / "catalog.db") as catalog:
        twice = catalog.execute(
            "SELECT text, count(*) FROM events WHERE text LIKE '%downloaded and verified%' "
            "GROUP BY sha256 HAVING count(*) > 1"
        ).fetchall()
    catalog.close()
    wrong += [f"in the history {number} times: {text}" for text, number in twice]
    verified = json.loads(place.run("verify", "--json", "--quiet").stdout)
    if verified["ok"] != len(models):
        wrong.append(f"verify: {verified['ok']} of {verified['checked']} files ok")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
