"""What is said of one request while it is rendered; notices are kept for the record."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from modelhub.render.answers import Loading, Stepped, Told

_SECONDS_BETWEEN = 0.05


class Voice:
    """Speaks under the name of a request.

    :param request_id: of all that is said.
    :ivar notices: what was told so far, each once.
    :ivar has_loaded: whether anything was read from a file since this was last set to False.
    """

    def __init__(self, request_id: str, tell: Callable[[Loading | Stepped | Told], None]) -> None:
        self._id = request_id
        self._tell = tell
        self.notices: list[str] = []
        self.has_loaded = False

    def say(self, text: str, *, warning: bool = False) -> None:
        """Something that the user should know; what was said before is not repeated."""
        if text not in self.notices:
            self.notices.append(text)
            self._tell(Told(id=self._id, text=text, warning=warning))

    def pass_on(self, progress: Loading | Told) -> None:
        """What others tell who do not know the request."""
        if isinstance(progress, Told):
            self.say(progress.text, warning=progress.warning)
            return
        self.has_loaded = True
        self._tell(replace(progress, id=self._id))

    def loading(self, what: str) -> Callable[[int, int], None]:
        """What takes the bytes done and their total, and tells them some times a second."""
        told = 0.0

        def advanced(done: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if done >= total or now - told >= _SECONDS_BETWEEN:
                told = now
                self.pass_on(Loading(id="", what=what, done=done, total=total))

        return advanced

    def step(self, done: int, total: int, preview: bytes = b"") -> None:
        """So many steps are through."""
        self._tell(Stepped(id=self._id, done=done, total=total, preview=preview))
