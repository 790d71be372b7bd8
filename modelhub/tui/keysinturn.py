"""Keys in their turn: each is looked at once the one before it has done what it does.

Textual gives a key to what has the focus when it comes. Of several that come at once (typed ahead
on a slow line, sent by a program, pasted by a terminal that does not say so) all would go to what
had the focus before the first of them: of "/ink" the list would get the letters, not the filter
that the first key leads to.
"""

from __future__ import annotations

import time
from collections import deque

from textual.app import App
from textual.events import Event, Key
from textual.message import Message

_ROUNDS = 2
"""The first follows the key itself; the second what its action told others, such as an answer."""
_LONGEST = 0.5
"""Seconds after which the next key is looked at all the same: what had the last one is gone."""


class KeysInTurn(App[None]):
    """An application that types ahead."""

    class Through(Message, bubble=True):
        """Goes the way of a key, behind it: once it is through, so is the key."""

        def __init__(self, rounds: int) -> None:
            super().__init__()
            self.rounds = rounds
            """How many are still to come."""

    def __init__(self) -> None:
        super().__init__()
        self._held: deque[Key] = deque()
        self._busy_since: float | None = None

    async def on_event(self, event: Event) -> None:
        """Keep a key back while another one is under way."""
        if not isinstance(event, Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._held or self._busy_since is not None:
            if not self._held:
                self.set_timer(_LONGEST, self._look_after_held)
            self._held.append(event)
        else:
            await self._take(event)

    async def _take(self, key: Key) -> None:
        focused = self.focused
        is_typed = focused is not None and focused.check_consume_key(key.key, key.character)
        await super().on_event(key)
        if is_typed:
            self._busy_since = None  # a letter in a line moves no focus
            if self._held:
                self.call_later(self._next)
            return
        self._busy_since = time.monotonic()
        self._follow(_ROUNDS)

    def _follow(self, rounds: int) -> None:
        target = self.focused or self.screen
        if not target.post_message(self.Through(rounds - 1)):
            self.call_later(self._next)

    def on_keys_in_turn_through(self, event: Through) -> None:
        """The key is through; a change of the focus that it asked for stands in the queue."""
        event.stop()
        if event.rounds:
            self.call_later(self._follow, event.rounds)
        else:
            self.call_later(self._next)

    async def _next(self) -> None:
        self._busy_since = None
        if self._held:
            await self._take(self._held.popleft())

    async def _look_after_held(self) -> None:
        if not self._held:
            return
        busy_since = self._busy_since
        if busy_since is None or time.monotonic() - busy_since >= _LONGEST:
            await self._next()
        if self._held:
            self.set_timer(_LONGEST, self._look_after_held)
