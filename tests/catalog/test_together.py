"""Several threads and processes at one catalog, and processes that are killed there."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhub.catalog import Catalog, open_catalog, revision
from modelhub.config.settings import Config

from .processes import start
from .shelf import Shelf, blob, local

WRITE_ON = """
with opened(sys.argv[1]) as catalog:
    print("open", flush=True)
    for number in range(100_000):
        with catalog.transaction():
            for part in range(5):
                file = put(catalog, f"{sys.argv[2]}_{number}_{part}.pt")
                catalog.tag([file], [f"tag{number % 7}"])
        print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_whole_catalog(sqlite_config: Config) -> None:
    chance = random.Random(7)
    for attempt in range(5):
        process = start(WRITE_ON, sqlite_config.catalog.database_url, f"run{attempt}")
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(chance.uniform(0.0, 0.3))
        process.kill()
        finished = process.stdout.read().split()
        process.communicate()
        with open_catalog(sqlite_config) as catalog:
            report = catalog.check(thorough=True)
            assert report.ok, report
            found = catalog.count(f"name:run{attempt}")
            assert found % 5 == 0
            assert found >= 5 * len(finished)
            assert catalog.count(f"name:run{attempt} -tag:tag0,tag1,tag2,tag3,tag4,tag5,tag6") == 0


def test_writers_in_several_processes_wait_for_each_other(config: Config) -> None:
    script = """
with opened(sys.argv[1], 60.0) as catalog:
    for number in range(20):
        put(catalog, f"{sys.argv[2]}_{number}.pt")
        put(catalog, f"shared_{number}.pt")
"""
    open_catalog(config).close()
    writers = [start(script, config.catalog.database_url, name) for name in "abc"]
    for writer in writers:
        printed, _ = writer.communicate(timeout=100)
        assert (writer.returncode, printed) == (0, "")
    with open_catalog(config) as catalog:
        assert catalog.count() == 80
        assert catalog.check(thorough=True).ok


def test_another_process_that_ends_leaves_the_log_to_those_who_have_it_open(
    sqlite_config: Config,
) -> None:
    put_one = """
with opened(sys.argv[1]) as catalog:
    put(catalog, sys.argv[2])
"""
    url = sqlite_config.catalog.database_url
    with open_catalog(sqlite_config) as catalog:
        with open_catalog(sqlite_config) as again:  # as a job does, in the same process
            assert again.count() == 0
        for name in ("one.pt", "two.pt"):
            assert start(put_one, url, name).communicate(timeout=60)[0] == ""
            catalog.record_local_file(local(f"our {name}"), blob=blob(name))
        assert Path(url.removeprefix("sqlite:///") + "-wal").exists()
        assert catalog.count() == 4
        with sqlite3.connect(url.removeprefix("sqlite:///")) as stranger:
            assert stranger.execute("SELECT count(*) FROM local_files").fetchone() == (4,)
        stranger.close()


def test_threads_share_a_catalog(catalog: Catalog) -> None:
    def work(name: int) -> None:
        for number in range(10):
            path = f"{name}_{number}.pt"
            file = catalog.record_local_file(local(path), blob=blob(path))
            catalog.tag([file], [f"t{name}"])
            assert [row.id for row in catalog.list_files(f'"{name} {number} pt"')] == [file]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert catalog.count() == 80
    assert all(catalog.count(f"tag:t{name}") == 10 for name in range(8))


def test_a_transaction_is_of_its_thread_alone(shelf: Shelf) -> None:
    catalog = shelf.catalog
    seen: list[int] = []
    with catalog.transaction():
        shelf.put("a.pt")
        other = threading.Thread(target=lambda: seen.append(catalog.count()))
        other.start()
        other.join()
    assert seen == [0]
    assert catalog.count() == 1


def test_a_check_finds_what_is_out_of_step(sqlite_config: Config) -> None:
    with open_catalog(sqlite_config) as catalog:
        Shelf(catalog).put("a.pt")
        assert catalog.check(thorough=True).ok
        with catalog._store.write() as writer:
            execute = writer.connection.exec_driver_sql
            execute("UPDATE search_text SET name = 'other'")
        report = catalog.check(thorough=True)
        assert [finding.check for finding in report.findings if not finding.ok] == [
            "full-text index"
        ]
        with catalog._store.write() as writer:
            writer.connection.exec_driver_sql("DELETE FROM search_text")
        report = catalog.check()
        assert [finding.text for finding in report.findings if not finding.ok] == [
            "1 files are not searchable"
        ]


@pytest.mark.parametrize("thorough", [False, True])
def test_a_check_tells_what_there_is(catalog: Catalog, thorough: bool) -> None:
    Shelf(catalog).put("a.pt")
    report = catalog.check(thorough=thorough)
    assert report.ok
    assert report.files == 1
    assert report.revision == revision.HEAD
    assert report.size is not None
    assert report.size > 4096
    assert report.backups == ()


def test_two_scans_of_the_same_new_files_record_each_once(config: Config) -> None:
    script = """
from datetime import datetime, UTC
with opened(sys.argv[1], 60.0) as catalog:
    root = catalog.add_root(Path("/library"))
    files = [ScannedFile(path=f"{n}.pt", size=n, mtime_ns=n, inode=n) for n in range(2_000)]
    prepared = [prepare(one, datetime.now(UTC)) for one in files]
    print("ready", flush=True)
    sys.stdin.readline()
    for at in range(0, len(prepared), 100):
        catalog.record_scanned(root, prepared[at : at + 100])
print("done")
"""
    open_catalog(config).close()
    processes = [start(script, config.catalog.database_url) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        printed, _ = process.communicate("\n", timeout=100)
        assert printed == "done\n"
    with open_catalog(config) as catalog:
        [root] = catalog.roots()
        assert len(list(catalog.known_files(root.id))) == 2_000
        assert catalog.count("") == 2_000
        assert catalog.check(thorough=True).ok
