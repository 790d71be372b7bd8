"""What the worker says, as the progress events that every front end shows."""

from __future__ import annotations

from collections.abc import Iterable

from modelhub.progress import Advanced, Listener, Notice, Stage, StageEntered
from modelhub.progress import Stepped as StepsDone
from modelhub.render.answers import Loading, Stepped, Told


class Relay:
    """Passes answers on; a request's id is the name of its task. May be called by any thread.

    A remark (where it computes) is passed on once, however many pictures it is made for; a warning
    each time.

    :param told: what the user was told already.
    """

    def __init__(self, listener: Listener, told: Iterable[str] = ()) -> None:
        self._listener = listener
        self._told = set(told)
        self._loading: dict[str, str] = {}
        self._rendering: set[str] = set()

    def __call__(self, answer: Loading | Stepped | Told) -> None:
        """Take in one answer."""
        if isinstance(answer, Loading):
            if self._loading.get(answer.id) != answer.what:
                self._loading[answer.id] = answer.what
                self._listener(StageEntered(answer.id, Stage.LOAD, answer.total))
            self._listener(Advanced(answer.id, answer.done, answer.total))
        elif isinstance(answer, Stepped):
            if answer.id not in self._rendering:
                self._rendering.add(answer.id)
                self._listener(StageEntered(answer.id, Stage.RENDER))
            self._listener(StepsDone(answer.id, answer.done, answer.total, answer.preview))
        elif answer.warning or answer.text not in self._told:
            self._told.add(answer.text)
            self._listener(Notice(answer.id, answer.text, warning=answer.warning))
