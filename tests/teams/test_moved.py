"""A library that was moved: what was queued before, and what was cut off, is done by the team."""

from __future__ import annotations

import threading

from modelhub.catalog import open_catalog
from modelhub.progress import silent
from modelhub.services.jobs import JobKind
from modelhub.services.jobs.store import JobWork, open_jobs
from modelhub.services.migrate import migrate_to
from tests.daemon.conftest import Library

from .conftest import Team
from .test_hosts import is_whole


def test_jobs_of_a_library_that_was_moved_are_done_by_its_hosts(team: Team) -> None:
    (team.folder / "alone").mkdir()
    alone = Library(team.folder / "alone", team.hub, {"MODELHUB_LIBRARY_ROOT": str(team.shared)})
    references = [alone.publish(f"moved {n}.safetensors", b"moved %d" % n * 900) for n in range(2)]
    cut_off, waiting = (alone.pull(reference) for reference, _ in references)
    with open_catalog(alone.config), open_jobs(alone.config) as database:
        work = JobWork(database, "the laptop")
        (turn,) = [one for one in work.turns(JobKind.DOWNLOAD, 9) if one.id == cut_off.id]
        work.handed([turn])
        assert work.begin(turn.id, turn.generation) is not None

    migrate_to(team.url, config=alone.config, listener=silent, cancel=threading.Event())
    alone.close()
    one = team.host("one")
    one.start()

    for job, (_, file), attempts in zip((cut_off, waiting), references, (2, 1), strict=True):
        ended = one.ended(job)
        is_whole(team, ended, file)
        assert (ended.host, ended.attempts) == ("one", attempts)
