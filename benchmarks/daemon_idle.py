"""What a daemon costs that has nothing to do.

    python benchmarks/daemon_idle.py [SECONDS]

Claims under 0.5% of a core and 120 MiB, once it has settled: with the watcher and all its threads,
after it has done one download. Three minutes, unless it is told otherwise: a minute after its start
a daemon looks for the first time at what is due, which would weigh too much in a shorter time.
"""

from __future__ import annotations

import sys
import time

from _common import MIB, claim
from _jobs import library

from modelhub.services.jobs import JobKind, JobRequest, JobState

_SETTLES = 8.0


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    with library() as (place, hub), place.daemon(), place.queue() as queue:
        file = hub.publish_bytes("idle.safetensors", 8)
        arguments = {"reference": f"https://civitai.com/model-versions/{file.version_id}"}
        job = queue.enqueue(JobRequest(kind=JobKind.DOWNLOAD, arguments=arguments, title="idle"))
        while queue.get(job.id).state is not JobState.DONE:
            time.sleep(0.1)
        time.sleep(_SETTLES)
        before = place.status()
        time.sleep(seconds)
        after = place.status()
    share = 100 * (after["cpu_seconds"] - before["cpu_seconds"]) / seconds
    memory = after["resident_bytes"] / MIB
    within = claim("percent of a core, idle", share, 0.5)
    return 0 if claim("MiB resident, idle", memory, 120) and within else 1


if __name__ == "__main__":
    sys.exit(main())
