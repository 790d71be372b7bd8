"""A pull that is stopped late leaves its partial file to whoever comes next, itself or another."""

from __future__ import annotations

from filelock import FileLock

from modelhub.errors import Cancelled
from modelhub.progress import Event, Outcome, Stage, StageEntered

from .conftest import Puller


class StoppedAt(list[Event]):
    """Events; the one of a stage sets the cancel event."""

    def __init__(self, library: Puller, stage: Stage) -> None:
        super().__init__()
        self._library, self._stage = library, stage

    def append(self, event: Event) -> None:
        super().append(event)
        if isinstance(event, StageEntered) and event.stage is self._stage:
            self._library.cancel.set()


def test_stopped_between_the_last_byte_and_the_name_it_gives_up_its_lock(library: Puller) -> None:
    library.events = StoppedAt(library, Stage.SCAN)
    assert isinstance(library.error("78056"), Cancelled)
    (partial,) = library.root.rglob(".*.part")

    with FileLock(f"{partial}.lock", blocking=False):
        pass  # as another process would, which this one does not keep waiting

    library.cancel.clear()
    library.events = []
    again = library.one("78056")
    assert (again.outcome, again.resumed) == (Outcome.DONE, again.size)
    assert not partial.exists()
