"""A library moves to PostgreSQL whole and compared, or not at all."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from threading import Event as Flag

import psycopg
import pytest
from msgspec.structs import replace

from modelhub.catalog import open_catalog
from modelhub.config import Config
from modelhub.errors import (
    Cancelled,
    CatalogUnreachable,
    MigrationFailed,
    MigrationRefused,
    UsageError,
)
from modelhub.progress import Event, Stage, StageEntered, TaskFinished
from modelhub.services.jobs import JobKind, JobRequest
from modelhub.services.jobs.durable import open_queue
from modelhub.services.jobs.place import jobs_place
from tests.catalog.postgres_server import PostgresServer
from tests.catalog.shelf import Shelf

from .conftest import at, moved


def _everything(config: Config) -> object:
    """What a user sees of a library."""
    with open_catalog(config) as catalog, open_queue(config) as queue:
        rows = catalog.list_files(limit=None)
        details = [catalog.show(row.id) for row in rows]
        return sorted(rows, key=lambda row: row.id), details, catalog.tags(), queue.list()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_everything_arrives_as_it_was(library: Config, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    before = _everything(library)
    done = moved(library, url)
    assert _everything(at(library, url)) == before
    assert done.jobs_moved
    counts = {table.name: table.rows for table in done.tables}
    assert counts["local_files"] == 3
    assert counts["jobs"] == 3
    assert done.listed == 3


def test_words_are_found_by_the_other_database_too(
    library: Config, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    moved(library, url)
    with open_catalog(at(library, url)) as catalog:
        shelf = Shelf(catalog)
        assert len(shelf.found("magic")) == 1
        assert len(shelf.found('tag:"hand drawn"')) == 1
        assert shelf.found("format:gguf") == {"new.gguf"}


def test_the_source_stays_as_it_is(library: Config, postgres: PostgresServer) -> None:
    path = Path(library.catalog.database_url.removeprefix("sqlite:///"))
    files = [path, path.with_name("jobs.db")]
    with open_catalog(library), open_queue(library):
        pass
    before = [_digest(one) for one in files]
    moved(library, postgres.new_database())
    assert [_digest(one) for one in files] == before


def test_numbers_of_files_that_are_gone_are_not_given_again(
    library: Config, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    with open_catalog(library) as catalog:
        here = Shelf(catalog).put("one.pt")
        catalog.forget([here])
    moved(library, url)
    with open_catalog(at(library, url)) as catalog:
        assert Shelf(catalog).put("two.pt") == here + 1


def test_work_goes_on_there(library: Config, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    moved(library, url)
    with open_queue(at(library, url)) as queue:
        same = queue.enqueue(
            JobRequest(kind=JobKind.DOWNLOAD, arguments={"reference": "78056"}, title="again")
        )
        assert same.title == "ein Größeres"
        queue.cancel(same.id)
        assert {job.state for job in queue.list()} == {"cancelled"}


def test_a_database_that_holds_a_library_is_refused(
    library: Config, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    moved(library, url)
    before = _everything(at(library, url))
    with pytest.raises(MigrationRefused, match="holds a library already"):
        moved(library, url)
    assert _everything(at(library, url)) == before


def test_a_database_that_holds_only_jobs_is_refused(
    library: Config, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    with open_queue(at(library, url)) as queue:
        queue.enqueue(JobRequest(kind=JobKind.MATCH, arguments={}, title="theirs"))
    with pytest.raises(MigrationRefused, match="its table jobs is not empty"):
        moved(library, url)


def test_a_library_of_another_revision_is_refused_and_not_upgraded(
    library: Config, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    address = url.replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
    with pytest.raises(MigrationRefused, match="another revision"):
        moved(library, url)
    with psycopg.connect(address) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname='public'")
        assert tables.fetchall() == [("alembic_version",)]


def test_stopped_in_the_middle_it_leaves_nothing_and_begins_anew(
    library: Config, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    cancel = Flag()

    def stop(event: Event) -> None:
        if event == StageEntered("local_files", Stage.COMPARE):
            cancel.set()

    with pytest.raises(Cancelled):
        moved(library, url, stop, cancel)
    with open_catalog(at(library, url)) as catalog:
        assert catalog.count() == 0
        assert catalog.roots() == []
    assert moved(library, url).rows


def test_a_row_that_arrives_otherwise_is_found(library: Config, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    open_catalog(at(library, url)).close()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.rating := 1; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER spoil BEFORE INSERT ON ratings FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    with pytest.raises(MigrationFailed, match=r"the table ratings .* row blob_id=1"):
        moved(library, url)
    with open_catalog(at(library, url)) as catalog:
        assert catalog.count() == 0


def test_a_row_that_the_server_refuses_is_told(library: Config, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    open_catalog(at(library, url)).close()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("ALTER TABLE ratings ADD CHECK (rating < 3)")
    with pytest.raises(MigrationFailed, match="does not take the table ratings"):
        moved(library, url)


def test_nobody_writes_to_the_source_meanwhile(library: Config, postgres: PostgresServer) -> None:
    noted: list[str] = []

    def write() -> None:
        with open_catalog(library) as catalog:
            catalog.note([1], "too late for the copy")
            noted.append("kept")

    writer = threading.Thread(target=write)

    def listen(event: Event) -> None:
        if isinstance(event, StageEntered) and event.task == "notes" and not writer.ident:
            writer.start()
        if isinstance(event, TaskFinished):
            assert not noted

    url = postgres.new_database()
    moved(library, url, listen)
    writer.join()
    assert noted
    with open_catalog(at(library, url)) as catalog:
        assert catalog.show(1).note == "line\none\ttab \\N and \\. too"


def test_jobs_stay_where_the_settings_keep_them(
    library: Config, postgres: PostgresServer, tmp_path: Path
) -> None:
    apart = replace(
        library, jobs=replace(library.jobs, database_url=f"sqlite:///{tmp_path / 'jobs.db'}")
    )
    done = moved(apart, postgres.new_database())
    assert not done.jobs_moved
    assert "jobs" not in {table.name for table in done.tables}


def test_a_library_whose_daemon_runs_is_refused(library: Config, postgres: PostgresServer) -> None:
    from modelhub.daemon.process import only_one

    with (
        only_one(jobs_place(library)),
        pytest.raises(MigrationRefused, match="the daemon of this library runs"),
    ):
        moved(library, postgres.new_database())


def test_where_there_is_no_library_nothing_is_made(
    config: Config, postgres: PostgresServer, tmp_path: Path
) -> None:
    with pytest.raises(MigrationRefused, match="nothing to move"):
        moved(config, postgres.new_database())
    assert not list(tmp_path.glob("*.db"))


def test_a_library_on_a_server_is_not_moved(config: Config, postgres: PostgresServer) -> None:
    here = at(config, postgres.new_database())
    with pytest.raises(MigrationRefused, match="not in SQLite"):
        moved(here, postgres.new_database())


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite:////tmp/x.db", "postgresql://host"])
def test_a_target_that_is_none_is_refused(library: Config, url: str) -> None:
    with pytest.raises(UsageError):
        moved(library, url)


def test_a_server_that_is_not_there_is_told_without_the_password(library: Config) -> None:
    with pytest.raises(CatalogUnreachable) as told:
        moved(library, "postgresql://me:s3cret@127.0.0.1:1/nothing")
    assert "s3cret" not in str(told.value) + told.value.hint
    assert "127.0.0.1:1/nothing" in str(told.value)
