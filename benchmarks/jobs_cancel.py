"""How soon a job has ended that is cancelled: a download, hashing, a conversion, a test image.

    python benchmarks/jobs_cancel.py [ROUNDS] [KIND...]

Claims that it takes a second at most, from the call until the job is at its end state, whatever the
job is at in that moment: each is let run for another while before. Told as well is when a
subscriber hears of it, by the database alone.
"""

from __future__ import annotations

import json
import statistics
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _common import MIB, claim
from _jobs import Library, library

from modelhub.demo.hub import DemoHub, Fault
from modelhub.demo.weights import sd1
from modelhub.demo.weights.files import write_safetensors
from modelhub.progress import Stage
from modelhub.services.jobs import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.durable import DurableQueue

_LARGE = 24 << 30
"""Bytes of a file to hash: a hole, which takes no room on the disk."""
_FIRST, _FURTHER = 0.2, 0.37


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    worst = 0.0
    with library(MODELHUB_DAEMON_WATCH="false") as (place, hub), place.queue() as queue:
        (place.folder / "models" / "vast").mkdir()
        for kind, request in _requests(place, hub).items():
            if sys.argv[2:] and kind not in sys.argv[2:]:
                continue
            with place.daemon():
                took, heard = _cancelled(queue, request, rounds)
            print(
                f"{kind:10}{rounds} times: median {statistics.median(took):.3f} s, worst"
                f" {max(took):.3f} s; told of after {statistics.median(heard):.3f} s,"
                f" worst {max(heard):.3f} s"
            )
            worst = max(worst, *took)
    return 0 if claim("s from the call to the end state, worst", worst, 1.0) else 1


def _requests(place: Library, hub: DemoHub) -> dict[str, Callable[[int], JobRequest]]:
    """What is asked for in each round, by kind."""
    models = place.folder / "models"

    def download(number: int) -> JobRequest:
        file = hub.publish_bytes(f"slow {number}.safetensors", b"slow" * (16 * MIB))
        path = hub.stored(file.id or 0).storage_path
        hub.faults.add(Fault(kind="slow", path=path, rate=4 * MIB, times=None))
        reference = f"https://civitai.com/model-versions/{file.version_id}"
        return _asked(JobKind.DOWNLOAD, number, reference=reference)

    def hash_(number: int) -> JobRequest:
        if not number:
            _write_vast(models / "vast" / "hashed.safetensors", _LARGE)
        return _asked(JobKind.INDEX, number, paths=[str(models / "vast")], hash=True)

    def convert(number: int) -> JobRequest:
        source = place.folder / "source.safetensors"
        if not number:
            _write_vast(source, _LARGE // 8)
        target = place.folder / f"{number}.safetensors"
        request = {"options": {"dtype": "fp16"}, "output": str(target)}
        return _asked(JobKind.CONVERT, number, sources=[str(source)], request=request)

    def render(number: int) -> JobRequest:
        path = models / "tiny.safetensors"
        if not number:
            says = {"modelspec.architecture": "stable-diffusion-v1"}
            write_safetensors(path, sd1.checkpoint(sd1.TINY), 7, says)
        settings = {"prompt": "a cat", "steps": 150, "width": 256, "height": 256, "seed": number}
        wish = {"settings": settings, "device": {"device": "cpu"}}
        return _asked(JobKind.RENDER, number, files=[str(path)], wish=wish)

    return {"download": download, "hash": hash_, "convert": convert, "render": render}


def _asked(kind: JobKind, number: int, **arguments: object) -> JobRequest:
    return JobRequest(kind=kind, arguments=arguments, title=f"{kind} {number}", key=f"{number}")


def _write_vast(path: Path, size: int) -> None:
    """A model whose one weight is a hole of so many bytes."""
    about = {"weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    header = json.dumps(about).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)


def _cancelled(
    queue: DurableQueue, request: Callable[[int], JobRequest], rounds: int
) -> tuple[list[float], list[float]]:
    """Begin and cancel again and again; seconds until the end state, and until it is told of."""
    took, heard = [], []
    told: dict[str, float] = {}

    def listen(job: Job) -> None:
        if job.state.ended:
            told.setdefault(job.id, time.monotonic())

    stop = queue.subscribe(listen)
    for number in range(rounds):
        job = queue.enqueue(request(number))
        _wait(lambda: _is_at_work(queue.get(job.id)), f"{job.title} is at work")  # noqa: B023
        time.sleep(_FIRST + number % 5 * _FURTHER)
        began = time.monotonic()
        queue.cancel(job.id)
        _wait(lambda: queue.get(job.id).state.ended, f"{job.title} ends")  # noqa: B023
        took.append(time.monotonic() - began)
        if queue.get(job.id).state is not JobState.CANCELLED:
            raise RuntimeError(f"{job.title}: {queue.get(job.id)}")
        _wait(lambda: job.id in told, "it is told of")  # noqa: B023
        heard.append(told[job.id] - began)
    stop()
    return took, heard


def _is_at_work(job: Job) -> bool:
    if job.state.ended:
        raise RuntimeError(f"{job.title} ended too soon: {job.state} {job.error}")
    if job.kind is JobKind.RENDER and job.progress.stage is not Stage.RENDER:
        return False
    return job.state is JobState.RUNNING and job.progress.done > 0


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it never came about: {what}")
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
