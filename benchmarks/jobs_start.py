"""How soon a queued job begins, and how soon a thousand of them are listed.

    python benchmarks/jobs_start.py [RUNS]

Claims under 300 ms (median) from enqueueing, by another process than the daemon's, to the job's
beginning, on SQLite with an idle daemon; and under 100 ms for listing 1,000 queued downloads.
"""

from __future__ import annotations

import statistics
import sys
import time

from _common import claim
from _jobs import Library, library

from modelhub.services.jobs import JobKind, JobRequest, JobState


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with library() as (place, _):
        began = _begins(place, runs)
        listed = _lists(place)
    print(f"begun after: median {statistics.median(began):.0f} ms, worst {max(began):.0f} ms")
    print(f"1,000 listed: median {statistics.median(listed):.1f} ms, worst {max(listed):.1f} ms")
    soon = claim("ms from queue to start, median", statistics.median(began), 300)
    return 0 if claim("ms to list 1,000, worst", max(listed), 100) and soon else 1


def _begins(place: Library, runs: int) -> list[float]:
    took = []
    with place.daemon(), place.queue() as queue:
        for number in range(runs):
            arguments = {"query": f"name:none{number}"}
            asked = time.time()
            job = queue.enqueue(
                JobRequest(kind=JobKind.VERIFY, arguments=arguments, title="nothing")
            )
            while not (job := queue.get(job.id)).state.ended:
                time.sleep(0.02)
            if job.state is not JobState.DONE or job.started is None:
                raise RuntimeError(job.error)
            took.append((job.started.timestamp() - asked) * 1000)
            # Idle again: the engine's quick looks are over.
            time.sleep(2.5)
    return took


def _lists(place: Library) -> list[float]:
    with place.queue() as queue:
        queue.enqueue_all(
            [
                JobRequest(
                    kind=JobKind.DOWNLOAD,
                    arguments={"reference": str(number), "options": {"precision": "fp16"}},
                    title=f"model {number}",
                )
                for number in range(1, 1001)
            ]
        )
        took = []
        for _ in range(10):
            began = time.perf_counter()
            found = queue.list([JobState.WAITING])
            took.append((time.perf_counter() - began) * 1000)
            assert len(found) == 1000
    return took


if __name__ == "__main__":
    sys.exit(main())
