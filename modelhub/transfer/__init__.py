"""Downloads of large files: several connections, resumed after a kill, hashed on the way, verified.

What arrives is in ``.NAME.part`` beside its final place until :func:`commit` gives it its name.
``.NAME.part.journal`` says which bytes of it are good, ``.NAME.part.lock`` keeps others away.
Knows nothing of Civitai: a :class:`LinkSource` gives the URL, :class:`Expected` the hashes.
"""

from modelhub.transfer.commit import commit, discard, release
from modelhub.transfer.engine import download
from modelhub.transfer.model import (
    AlreadyThere,
    Downloaded,
    DownloadRequest,
    Expected,
    LinkSource,
    TransferSettings,
)

__all__ = [
    "AlreadyThere",
    "DownloadRequest",
    "Downloaded",
    "Expected",
    "LinkSource",
    "TransferSettings",
    "commit",
    "discard",
    "download",
    "release",
]
