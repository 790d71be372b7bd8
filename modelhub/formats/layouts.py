"""Tensor lists that many files have in common, kept so that they are read and judged once.

All LoRAs that one trainer made of one base model at one rank describe the very same tensors, and so
do the merges of one checkpoint: their headers differ in the metadata alone. A list that was met
twice is kept, text and tensors; the next header that holds the same bytes gets the same tensors. No
digest is trusted: a length and a few bytes find a list, all bytes of it are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from modelhub.formats.tensors import SharedTensors, Tensor

LONGEST: Final = 512 << 10
"""Bytes of the longest list that is kept; that of a full SDXL checkpoint takes 330,000."""

MOST_BYTES: Final = 3 << 20
"""Bytes of all lists that are kept. Decoded they take four times that."""

_MOST_SEEN = 1_024
"""Lists that are remembered by their key; the text is kept of those only that came again."""
_ENDING = 96
"""Bytes of the last tensor's description: they hold where its data end."""

_Key = tuple[int, bytes]


class Layout(NamedTuple):
    """One list."""

    text: bytes
    tensors: SharedTensors
    data_size: int
    """Bytes of all their data."""


class Layouts:
    """The lists of one process, those that were asked for last."""

    def __init__(self) -> None:
        self._known: dict[_Key, Layout | None] = {}
        self._bytes = 0

    def find(self, header: bytes, start: int, end: int) -> Layout | None:
        """The list whose text is ``header[start:end]``, if it is known."""
        key = _key(header, start, end)
        layout = self._known.get(key)
        if layout is None or not header.startswith(layout.text, start):
            return None
        # Last in the order of the dictionary: the first are dropped first.
        self._known[key] = self._known.pop(key)
        return layout

    def learn(
        self, header: bytes, start: int, end: int, tensors: Mapping[str, Tensor], data_size: int
    ) -> Mapping[str, Tensor]:
        """Keep a valid list that was not found, if it was met before.

        :return: the tensors, to be used in place of those given.
        """
        if end - start > LONGEST:
            return tensors
        key = _key(header, start, end)
        if key not in self._known:
            self._known[key] = None
            self._drop()
            return tensors
        self._forget(key)
        shared = SharedTensors(tensors)
        self._known[key] = Layout(header[start:end], shared, data_size)
        self._bytes += end - start
        self._drop()
        return shared

    def _drop(self) -> None:
        while self._bytes > MOST_BYTES or len(self._known) > _MOST_SEEN:
            self._forget(next(iter(self._known)))

    def _forget(self, key: _Key) -> None:
        layout = self._known.pop(key)
        if layout is not None:
            self._bytes -= len(layout.text)


def _key(header: bytes, start: int, end: int) -> _Key:
    return end - start, header[max(start, end - _ENDING) : end]
