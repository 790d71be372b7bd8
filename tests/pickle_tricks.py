"""Files that would do harm, or are made to lead a scanner astray: one per trick, made by hand.

Where a payload really runs, it touches a canary file, connects to a loopback socket or starts a
process. Sources of the tricks: the advisories and issues of `mmaitre314/picklescan`,
`trailofbits/fickling` and `protectai/modelscan`.
"""

from __future__ import annotations

from pathlib import Path

from tests.archive_tricks import ARCHIVE_TRICKS
from tests.pickle_aims import Aim, Trick
from tests.pickle_callables import callable_tricks
from tests.pickle_gadgets import GADGET_TRICKS
from tests.pickle_streams import STREAM_TRICKS

__all__ = ["TRICKS", "Aim", "Trick", "write_tricks"]

TRICKS: tuple[Trick, ...] = (
    *STREAM_TRICKS,
    *callable_tricks(),
    *ARCHIVE_TRICKS,
    *GADGET_TRICKS,
)
"""All of them, each under a name of its own."""


def write_tricks(folder: Path, aim: Aim) -> dict[str, Path]:
    """Write them all; their paths by name."""
    paths = {}
    for one in TRICKS:
        paths[one.name] = folder / one.file_name
        paths[one.name].write_bytes(one.make(aim))
    return paths
