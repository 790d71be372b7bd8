"""The dispatcher of a host that shares its jobs with others: it claims what it has room for."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from modelhub.daemon.dispatch import Dispatcher
from modelhub.daemon.engine import Engine, workflow_id
from modelhub.daemon.lanes import lane_of
from modelhub.daemon.running import Running
from modelhub.services.jobs.model import JobKind
from modelhub.services.jobs.store import Claims, JobWork, Suspects
from modelhub.services.jobs.store.working import Turn

_log = logging.getLogger(__name__)

_AT_WORK, _AT_REST = 0.4, 2.0


class ClaimingDispatcher(Dispatcher):
    """As the :class:`Dispatcher`, for one of several hosts.

    Nothing waits in the engine of a host: what it cannot begin at once is left to others.

    :param slots: how many jobs of each kind that this host does it has at a time.
    :param look_for_devices: called when there is a render, and it is not known what there is here
        to make it on.
    """

    def __init__(
        self,
        work: JobWork,
        suspects: Suspects,
        engine: Engine,
        running: Running,
        claims: Claims,
        slots: Mapping[str, int],
        look_for_devices: Callable[[], None],
    ) -> None:
        super().__init__(work, suspects, engine, running, None)
        self._claims, self._slots = claims, dict(slots)
        self._look_for_devices = look_for_devices
        self._handing = threading.Lock()
        self._idle = False

    @property
    def look_every(self) -> float:
        """Seconds between two looks: what users want of running jobs is heard within a second."""
        return _AT_WORK if self._running.ids() else _AT_REST

    @property
    def enough(self) -> int:
        """Each end of a job is worth a look: nothing is in stock here."""
        return 1

    def limit(self, slots: Mapping[str, int]) -> None:
        """Go by other slots from now on."""
        self._slots = dict(slots)

    def reconcile(self) -> None:
        """Give back what this host has claimed and its engine does not know of: after a crash
        between the two, or after its jobs were stopped since it was not sure of them."""
        self._reconciled_at = time.monotonic()
        with self._handing:
            mine = {job_id: generation for job_id, generation, _ in self._claims.mine()}
            if not mine:
                return
            known = self._engine.open_runs()
            here = set(self._running.ids())
            lost = {
                job_id: generation
                for job_id, generation in mine.items()
                if workflow_id(job_id, generation) not in known and job_id not in here
            }
            if lost:
                _log.warning("jobs are given back", extra={"jobs": sorted(lost)})
                self._claims.give_back(lost)

    def tend(self) -> None:
        """What is seen to now and then: nothing of this host's is lost, nothing waits in vain."""
        self._work.settle()
        self.reconcile()

    def _hand_over(self) -> float | None:
        with self._handing:
            if self._idle and not self._offered(list(self._slots)):
                return None
            here = Counter(kind for _, _, kind in self._claims.mine())
            room = {kind: most - here[kind] for kind, most in self._slots.items()}
            offered = self._offered([kind for kind, more in room.items() if more > 0])
            claimed = [self._claims.claim(kind, room[kind]) for kind in offered]
            if offered:
                claimed.append(self._claims.claim_suspect(offered))
            for turns in claimed:
                self._give(turns)
            self._idle = not (here or any(claimed))
            self._engine.expect(not self._idle)
        return None

    def _offered(self, kinds: Sequence[str]) -> Sequence[str]:
        offered = self._claims.offered(kinds) if kinds else []
        if JobKind.RENDER in offered and not self._claims.devices_known:
            self._look_for_devices()
            offered.remove(JobKind.RENDER)
        return offered

    def _give(self, turns: Sequence[Turn]) -> None:
        if turns:
            self._engine.hand((one, lane_of(one.kind, one.arguments)) for one in turns)
            self._engine.wake(turns[0].kind)
