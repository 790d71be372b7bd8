"""How daemons begin and end: in order, killed, twice, after one that left things behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from modelhub.catalog import open_catalog
from modelhub.demo.hub import Fault
from modelhub.errors import DaemonNotRunning
from modelhub.services.jobs import JobState

from .conftest import PATIENCE, Library, wait_for

MIB = 1 << 20


def test_a_daemon_asleep_and_then_killed_in_a_download_goes_on_with_it(library: Library) -> None:
    """A laptop that is closed and opened again is a process that is stopped for a while."""
    reference, file = library.publish("killed.safetensors", b"killed!!" * MIB)
    library.hub.faults.add(Fault(kind="slow", rate=MIB, times=None))
    job = library.pull(reference, arguments={"connections": 1})
    daemon = _after_some_bytes(library, job.id)
    daemon.send_signal(signal.SIGSTOP)
    time.sleep(2)
    before = library.queue.get(job.id).progress.done
    daemon.send_signal(signal.SIGCONT)
    assert library.downloads(job, before + MIB).attempts == 1, "awake, it goes on with it"
    library.kill(daemon)
    assert library.state(job) is JobState.RUNNING, "nobody was left to say otherwise"
    assert not library.contact.attended()
    library.hub.faults.clear()
    before = library.hub.bytes_sent("storage")

    daemon = library.start()
    done = library.ended(job)

    assert done.state is JobState.DONE, done.error
    assert done.attempts == 2
    stored = library.hub.stored(file.id or 0)
    assert [path.read_bytes() for path in library.models] == [stored.path.read_bytes()]
    assert library.hub.bytes_sent("storage") - before < stored.size, "it went on where it was"
    with open_catalog(library.config) as catalog:
        assert catalog.count("") == 1
    library.stop(daemon)


def _after_some_bytes(library: Library, job_id: str) -> subprocess.Popen[bytes]:
    daemon = library.start()
    library.downloads(library.queue.get(job_id), 2 * MIB)
    return daemon


def test_a_daemon_that_is_stopped_parks_its_jobs_and_the_next_goes_on(library: Library) -> None:
    reference, file = library.publish("parked.safetensors", b"parked!!" * MIB)
    library.hub.faults.add(Fault(kind="slow", rate=MIB, times=None))
    job = library.pull(reference, arguments={"connections": 1})
    daemon = _after_some_bytes(library, job.id)

    library.stop(daemon)

    parked = library.queue.get(job.id)
    assert (parked.state, parked.error) == (JobState.WAITING, "")
    assert not library.place.socket.exists()
    assert not library.place.state.exists()
    library.hub.faults.clear()
    library.start()
    done = library.ended(job)
    assert done.state is JobState.DONE, done.error
    assert done.result is not None
    assert done.result["resumed"] > 0
    assert library.models[0].stat().st_size == library.hub.stored(file.id or 0).size


def test_a_second_daemon_ends_at_once_and_hurts_nobody(library: Library) -> None:
    first = library.start()
    second = library.popen("daemon", "run", "--quiet")
    _, err = second.communicate(timeout=PATIENCE)

    assert second.returncode == 1
    assert b"a daemon runs for this library already" in err
    assert library.contact.ask("ping")["pid"] == first.pid


def test_what_a_killed_daemon_left_behind_is_in_nobodys_way(library: Library) -> None:
    place = library.place
    place.folder.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place.socket))
    place.lock.write_text("")
    place.state.write_text(json.dumps({"pid": os.getpid()}))
    assert not library.contact.attended()

    daemon = library.start()

    assert stat.S_IMODE(place.socket.stat().st_mode) == 0o600
    assert json.loads(place.state.read_text())["pid"] == daemon.pid
    assert library.contact.attended()
    assert library.contact.ask("stop")["pid"] == daemon.pid
    daemon.communicate(timeout=PATIENCE)
    assert daemon.returncode == 0


def test_jobs_queued_by_another_version_are_done_after_an_upgrade(library: Library) -> None:
    """The engine is told a version of its own that no release changes; what an engine of another
    version holds is handed over anew."""
    reference, _ = library.publish("upgraded.safetensors", b"upgraded" * 1000)
    job = library.pull(reference)
    script = (
        "import sys\n"
        "from modelhub.config.load import load_config\n"
        "from modelhub.daemon import engine as module\n"
        "from modelhub.daemon.lanes import limits\n"
        "from modelhub.services.jobs.place import jobs_place\n"
        "from modelhub.services.jobs.store import JobWork, open_jobs\n"
        "module.PROTOCOL = 'of yesterday'\n"
        "config = load_config().config\n"
        "with open_jobs(config) as database:\n"
        "    work = JobWork(database, 'here')\n"
        "    engine = module.Engine(\n"
        "        jobs_place(config), 'here', limits(config), longest=60\n"
        "    )\n"
        "    engine.limit = lambda _: None\n"
        "    engine.start(lambda *_: None)\n"
        "    turns = work.turns('download', 10)\n"
        "    engine.hand((turn, '') for turn in turns)\n"
        "    work.handed(turns)\n"
        "    engine.stop()\n"
    )
    subprocess.run([sys.executable, "-c", script], env=library.environ, check=True, timeout=60)
    assert library.queue.get(job.id).attempts == 0

    library.start()

    assert library.ended(job).state is JobState.DONE


def test_a_job_that_takes_the_daemon_with_it_is_left_as_poison(library: Library) -> None:
    library.variables["MODELHUB_JOBS_ATTEMPTS"] = "1"
    reference, file = library.publish("poison.safetensors", b"poison" * 1000)
    path = library.hub.stored(file.id or 0).storage_path
    library.hub.faults.add(Fault(kind="stall", path=path, times=None))
    job = library.pull(reference)
    for number in (1, 2):
        daemon = library.start()
        wait_for(lambda: library.queue.get(job.id).attempts == number, "it is begun")  # noqa: B023
        wait_for(
            lambda: library.queue.get(job.id).progress.stage == "download", "the download begins"
        )
        daemon.send_signal(signal.SIGSEGV)
        daemon.communicate(timeout=PATIENCE)
    library.start()
    ended = library.ended(job)

    assert ended.state is JobState.FAILED
    assert "ended again and again" in ended.error
    assert "Segmentation fault" in library.place.log.read_text()
    assert "logs" in ended.hint
    library.hub.faults.clear()
    library.queue.retry(job.id)
    assert library.ended(job).state is JobState.DONE


def test_without_a_daemon_jobs_wait_and_nobody_answers(library: Library) -> None:
    reference, _ = library.publish("alone.safetensors", b"alone" * 1000)
    job = library.pull(reference)

    assert library.state(job) is JobState.WAITING
    assert not library.contact.wake()
    with pytest.raises(DaemonNotRunning) as caught:
        library.contact.ask("ping")
    assert "daemon start" in caught.value.hint


def test_a_hangup_reads_the_settings_again(library: Library) -> None:
    file = library.folder / "config.toml"
    file.write_text("[jobs]\ndownloads = 1\n")
    library.variables["MODELHUB_CONFIG"] = str(file)
    daemon = library.start()
    log, contact = library.place.log, library.contact

    file.write_text("[jobs]\ndownloads = nonsense\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "not read again" in log.read_text(), "the mistake is told")
    assert contact.ask("ping")["pid"] == daemon.pid
    file.write_text("[jobs]\ndownloads = 2\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "settings are read again" in log.read_text(), "the settings are read")
    for line in log.read_text().splitlines():
        assert json.loads(line)["time"]
