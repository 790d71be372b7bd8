"""Many small pulls through the daemon, against the same pulls by one `modelhub pull`.

    python benchmarks/jobs_pulls.py [PULLS] [RUNS]

Claims that the daemon is at least 0.8 times as fast as the command alone: queueing included, the
daemon running already. Each run has a library of its own; runs alternate. The hub is one process
for both.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time

from _common import claim
from _jobs import Library, library

from modelhub.services.jobs import JobKind, JobRequest, JobState

_SIZE = 64 << 10


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    pulls = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with library() as (place, hub):
        references = []
        for number in range(pulls):
            file = hub.publish_bytes(f"small {number}.safetensors", os.urandom(_SIZE))
            references.append(f"https://civitai.com/model-versions/{file.version_id}")
        times: dict[str, list[float]] = {"modelhub pull": [], "the daemon": []}
        for _ in range(runs):
            times["modelhub pull"].append(_by_command(place, references))
            times["the daemon"].append(_by_daemon(place, references))
    for name, took in times.items():
        middle = statistics.median(took)
        print(f"{name:16}{middle:8.1f} s {pulls / middle:8.1f} pulls/s   all: {took}")
    alone, daemon = (statistics.median(took) for took in times.values())
    print(f"the daemon is {alone / daemon:.2f} times as fast as the command")
    return 0 if claim("time of the daemon over that of the command", daemon / alone, 1.25) else 1


def _by_command(place: Library, references: list[str]) -> float:
    _empty(place)
    wanted = place.folder / "wanted.txt"
    wanted.write_text("\n".join(references))
    began = time.perf_counter()
    place.run("pull", f"@{wanted}", "--quiet")
    return time.perf_counter() - began


def _by_daemon(place: Library, references: list[str]) -> float:
    _empty(place)
    with place.daemon(), place.queue() as queue:
        began = time.perf_counter()
        queue.enqueue_all(
            [
                JobRequest(kind=JobKind.DOWNLOAD, arguments={"reference": one}, title=one)
                for one in references
            ]
        )
        while queue.counts()[JobState.DONE] < len(references):
            if queue.counts()[JobState.FAILED]:
                raise RuntimeError(queue.list([JobState.FAILED])[0].error)
            time.sleep(0.1)
        took = time.perf_counter() - began
        print(f"  daemon: {place.status()['resident_bytes'] >> 20} MiB at the end")
        return took


def _empty(place: Library) -> None:
    shutil.rmtree(place.folder / "home", ignore_errors=True)
    shutil.rmtree(place.folder / "models")
    (place.folder / "models").mkdir()


if __name__ == "__main__":
    sys.exit(main())
