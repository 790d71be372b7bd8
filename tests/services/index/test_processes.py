"""Index runs as processes: killed, side by side, and with readers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelhub.services.index.pool import HeaderReaders
from modelhub.services.index.reading import Answer, How, Job

from .shelf import Library, lora

_REPOSITORY = Path(__file__).parents[3]


def _start(library: Library, home: Path) -> subprocess.Popen[bytes]:
    """`modelhub index` of the library, on its catalog."""
    return subprocess.Popen(
        [sys.executable, "-m", "modelhub", "index", str(library.root)],
        env={
            **os.environ,
            "MODELHUB_HOME": str(home),
            "MODELHUB_CATALOG_DATABASE_URL": library.config.catalog.database_url,
            "PYTHONPATH": str(_REPOSITORY),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _wait_for(library: Library, number: int) -> None:
    deadline = time.monotonic() + 30
    while library.catalog.count() < number:
        assert time.monotonic() < deadline, "nothing was indexed in time"
        time.sleep(0.02)


def test_a_killed_index_goes_on_where_it_was(library: Library, tmp_path: Path) -> None:
    for number in range(600):
        library.put(f"{number % 10}/{number}.safetensors", lora(number))
    process = _start(library, tmp_path / "home")
    _wait_for(library, 1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    report = library.index()
    assert report.unchanged + report.new == 600
    assert report.unchanged > 0
    assert library.catalog.count("state:hashed type:lora") == 600
    assert library.index().unchanged == 600


def test_two_indexers_at_once_do_the_work_once(library: Library, tmp_path: Path) -> None:
    for number in range(400):
        library.put(f"{number}.safetensors", lora(number))
    processes = [_start(library, tmp_path / "home") for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert library.catalog.count() == 400
    assert library.catalog.count("state:hashed") == 400
    assert library.index().unchanged == 400


def test_ctrl_c_ends_it_cleanly_and_it_goes_on_later(library: Library, tmp_path: Path) -> None:
    for number in range(600):
        library.put(f"{number}.safetensors", lora(number))
    process = _start(library, tmp_path / "home")
    _wait_for(library, 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode in (130, 0), errors.decode()
    assert b"Traceback" not in errors
    library.index()
    assert library.catalog.count("state:hashed") == 600


def _jobs(library: Library, number: int) -> list[Job]:
    jobs = []
    for one in range(number):
        found = library.put(f"{one:04}.safetensors", lora(one)).stat()
        stat = (found.st_size, found.st_mtime_ns, found.st_ino)
        jobs.append(Job(str(library.root), f"{one:04}.safetensors", *stat, None, How.HEADER))
    return jobs


def _answers(readers: HeaderReaders) -> list[Answer]:
    found: list[Answer] = []
    while readers.busy:
        for answers in readers.answers(5.0):
            found += answers
    return found


def test_files_are_read_though_a_reader_is_killed(library: Library) -> None:
    jobs = _jobs(library, 400)
    with HeaderReaders(2) as readers:
        readers.read(jobs)
        os.kill(readers.process_ids[0], signal.SIGKILL)
        answers = _answers(readers)
    assert sorted(answer.job for answer in answers) == jobs
    assert all(answer.prepared is not None for answer in answers)


def test_a_file_that_kills_its_reader_is_one_fault_among_others(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By way of a module that is loaded into each reader and kills it at one file's name."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "import modelhub.services.index.reading as reading\n"
        "plain = reading.read_files\n"
        "def deadly(jobs):\n"
        "    if any(job.path == '0100.safetensors' for job in jobs):\n"
        "        os._exit(9)\n"
        "    return plain(jobs)\n"
        "reading.read_files = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{_REPOSITORY}")
    jobs = _jobs(library, 300)
    with HeaderReaders(2) as readers:
        readers.read(jobs)
        answers = _answers(readers)
    faults = {
        answer.job.path: answer.prepared.fault
        for answer in answers
        if answer.prepared is not None and answer.prepared.fault
    }
    assert faults == {"0100.safetensors": "reading it ended the process that read it"}
    assert len(answers) == 300


def test_readers_end_with_their_parent(library: Library, tmp_path: Path) -> None:
    jobs = _jobs(library, 1)
    program = (
        "import sys, time\n"
        "from modelhub.services.index.pool import HeaderReaders\n"
        "from modelhub.services.index.reading import Job\n"
        f"jobs = [Job(*{tuple(jobs[0])!r})] * 200\n"
        "readers = HeaderReaders(2)\n"
        "readers.read(jobs)\n"
        "print(*readers.process_ids, flush=True)\n"
        "time.sleep(60)\n"
    ).replace("<How.HEADER: 0>", "0")
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    readers = [int(word) for word in process.stdout.readline().split()]
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(_runs(one) for one in readers):
        assert time.monotonic() < deadline, "a reader stayed behind"
        time.sleep(0.05)


def _runs(process_id: int) -> bool:
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
