"""What a download that was stopped has on disk."""

from __future__ import annotations

from pathlib import Path

from modelhub.transfer import journal


def kept(folder: Path) -> int:
    """Bytes of partial files below `folder` that their journals vouch for.

    What a server has sent tells less: much of it may still wait in the sockets' buffers.
    """
    found = [journal.read(path) for path in folder.rglob("*.part.journal")]
    return sum(extent.length for state in found if state for extent in state.extents)
