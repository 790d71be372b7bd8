"""`hash`: all hashes of files, each read once, and what their own metadata claim."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from modelhub.errors import Cancelled, FileUnreadable, FormatError, ModelhubError
from modelhub.formats.hashes import ALL_HASHES, ContentHashes, hash_file
from modelhub.formats.kohya_hashes import MODEL_HASH, Claim, check_claims
from modelhub.formats.reading import read_header, require_regular
from modelhub.progress import (
    Advanced,
    Listener,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskStarted,
)


@dataclass(frozen=True, slots=True)
class HashedFile:
    """The hashes of one file, and its size and time, which were the same before and after.

    :param claims: hashes of its tensors that its metadata hold, checked.
    """

    path: Path
    size: int
    mtime_ns: int
    hashes: ContentHashes
    claims: tuple[Claim, ...] = ()

    @property
    def belied(self) -> bool:
        """Whether its tensors are not those that its trainer hashed."""
        return any(claim.name == MODEL_HASH and claim.agrees is False for claim in self.claims)


@dataclass(frozen=True, slots=True)
class FailedHash:
    """A file that could not be hashed, and why."""

    path: Path
    error: ModelhubError


def hash_files(
    paths: Sequence[Path],
    kinds: Collection[str] = ALL_HASHES,
    *,
    listener: Listener,
    cancel: Event,
) -> Iterator[HashedFile | FailedHash]:
    """Hash files one after the other; one that cannot be read does not stop the others.

    :param kinds: as :func:`modelhub.formats.hashes.hash_file` takes them.
    :raises Cancelled: `cancel` was set.
    """
    for number, path in enumerate(paths):
        task = str(number)
        try:
            require_regular(path)
        except ModelhubError as error:
            yield FailedHash(path, error)
            continue
        listener(TaskStarted(task, path.name))
        try:
            hashed = _hashed(path, kinds, task, listener, cancel)
        except Cancelled:
            listener(TaskFinished(task, Outcome.CANCELLED))
            raise
        except ModelhubError as error:
            listener(TaskFinished(task, Outcome.FAILED, error.message))
            yield FailedHash(path, error)
        else:
            listener(TaskFinished(task, Outcome.DONE))
            yield hashed


def _hashed(
    path: Path, kinds: Collection[str], task: str, listener: Listener, cancel: Event
) -> HashedFile:
    before = require_regular(path)
    listener(StageEntered(task, Stage.HASH, before.st_size))

    def tell(done: int) -> None:
        listener(Advanced(task, done, before.st_size))

    try:
        hashes = hash_file(path, kinds, progress=tell, cancel=cancel)
        after = os.stat(path)  # noqa: PTH116 (as `require_regular` does)
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror}") from error
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise FileUnreadable(
            f"{path} changed while it was read", hint="try again when it is fully written"
        )
    return HashedFile(path, before.st_size, before.st_mtime_ns, hashes, _claims(path, hashes))


def _claims(path: Path, hashes: ContentHashes) -> tuple[Claim, ...]:
    if hashes.data_sha256 is None:
        return ()
    try:
        header = read_header(path)
    except FormatError:
        # A damaged header claims nothing; the hashes of the file stand all the same.
        return ()
    return check_claims(path, header, hashes.data_sha256)
