"""Every hash by which Civitai and the interfaces know a model file, computed in one read.

What each one is:

- ``SHA256`` of the file. ``AutoV2`` is its first 10 hex digits.
- ``BLAKE3`` and ``CRC32`` (the one of zlib) of the file.
- ``AutoV1``: the first 8 hex digits of the SHA256 of the 0x10000 bytes at offset 0x100000, the
  old hash of A1111's web UI (``modules/sd_models.py``, ``model_hash``). Many files share one. Of a
  file that ends within that window, what is there is hashed, as A1111's ``read`` does. A file
  that ends before it would give the hash of nothing, the same for all such files; Civitai
  publishes no AutoV1 for them (model 3036, ``21charturnerv2.pt``), and neither do we.
- ``AutoV3``: the first 12 hex digits of the SHA256 of a safetensors file from behind its header
  to its end (A1111's ``modules/hashes.py``, ``addnet_hash_safetensors``; the start of kohya's
  ``sshs_model_hash``). A file whose header length cannot be true, and a file without a byte
  behind its header (``e3b0c44298fc``, the hash of nothing), has none.

All hex digits are upper case, as Civitai writes them.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from modelhub.errors import Cancelled
from modelhub.formats.safetensors import MAX_HEADER

if TYPE_CHECKING:
    from blake3 import blake3

ALL_HASHES: frozenset[str] = frozenset({"sha256", "blake3", "crc32", "autov1", "autov3"})
"""The names of all hashes that are computed (AutoV2 comes with SHA256)."""

NOTHING = hashlib.sha256().hexdigest().upper()
"""The SHA256 of no bytes, which some tools write as a model's hash."""

AUTOV1_START, AUTOV1_LENGTH = 0x100000, 0x10000

_BLOCK = 4 << 20
_LEAST_BLOCK = 64 << 10
_WORTH_A_THREAD = 256 << 10


@dataclass(frozen=True, slots=True)
class ContentHashes:
    """The hashes of one content, in upper-case hex; None for what was not asked for or is not."""

    sha256: str
    blake3: str | None = None
    crc32: str | None = None
    autov1: str | None = None
    autov3: str | None = None
    data_sha256: str | None = None
    """Of a safetensors file, what AutoV3 is the start of: kohya's ``sshs_model_hash``."""

    @property
    def autov2(self) -> str:
        """The first 10 digits of the SHA256: the short hash of today's web UIs."""
        return self.sha256[:10]


class _Part(Protocol):
    """One hash under way."""

    def update(self, data: memoryview, offset: int) -> None:
        """Take the bytes of the file from `offset` on."""

    def result(self, size: int) -> str | None:
        """The hash of a file of `size` bytes, all of which were given."""


class _Sha256:
    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, data: memoryview, offset: int) -> None:
        self._hash.update(data)

    def result(self, size: int) -> str:
        return self._hash.hexdigest().upper()


class _Blake3:
    def __init__(self) -> None:
        from blake3 import blake3

        self._hash: blake3 = blake3()

    def update(self, data: memoryview, offset: int) -> None:
        self._hash.update(data)

    def result(self, size: int) -> str:
        return self._hash.hexdigest().upper()


class _Crc32:
    def __init__(self) -> None:
        self._crc = 0

    def update(self, data: memoryview, offset: int) -> None:
        self._crc = zlib.crc32(data, self._crc)

    def result(self, size: int) -> str:
        return f"{self._crc:08X}"


class _AutoV1:
    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, data: memoryview, offset: int) -> None:
        start = max(0, AUTOV1_START - offset)
        end = max(0, AUTOV1_START + AUTOV1_LENGTH - offset)
        self._hash.update(data[start:end])

    def result(self, size: int) -> str | None:
        return self._hash.hexdigest()[:8].upper() if size > AUTOV1_START else None


class _AutoV3:
    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._head = b""
        self._start: int | None = None
        self._is_safetensors = True

    def update(self, data: memoryview, offset: int) -> None:
        if self._start is None and self._is_safetensors:
            self._head += bytes(data[: 9 - len(self._head)])
            if len(self._head) == 9:
                self._read_head()
        if self._start is not None:
            self._hash.update(data[max(0, self._start - offset) :])

    def _read_head(self) -> None:
        length = int.from_bytes(self._head[:8], "little")
        self._is_safetensors = 2 <= length <= MAX_HEADER and self._head[8:] == b"{"
        if self._is_safetensors:
            self._start = 8 + length

    def result(self, size: int) -> str | None:
        if self._start is None or size <= self._start:
            return None
        return self._hash.hexdigest().upper()


_PARTS: dict[str, Callable[[], _Part]] = {
    "sha256": _Sha256,
    "blake3": _Blake3,
    "crc32": _Crc32,
    "autov1": _AutoV1,
    "autov3": _AutoV3,
}


class MultiHasher:
    """Several hashes of one stream of bytes, fed in order.

    Large pieces are hashed by as many threads as there are hashes and processors: all hash
    functions used here let other threads run meanwhile. To be closed, or used with ``with``.

    :param kinds: names out of :data:`ALL_HASHES`; SHA256 is always computed.
    :raises ValueError: an unknown name.
    """

    def __init__(self, kinds: Collection[str] = ALL_HASHES) -> None:
        unknown = set(kinds) - ALL_HASHES
        if unknown:
            raise ValueError(f"unknown hashes: {', '.join(sorted(unknown))}")
        # The two that run SHA256 over everything take longest: they start first.
        order = ("sha256", "autov3", "crc32", "blake3", "autov1")
        wanted = set(kinds) | {"sha256"}
        self._parts = {kind: _PARTS[kind]() for kind in order if kind in wanted}
        self._size = 0
        heavy = len(self._parts.keys() - {"autov1"})
        self._threads = min(heavy, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None

    @property
    def size(self) -> int:
        """How many bytes were fed."""
        return self._size

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; `data` may be overwritten as soon as this returns."""
        view = memoryview(data).cast("B")
        parts = list(self._parts.values())
        if self._threads > 1 and len(view) >= _WORTH_A_THREAD:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads - 1, thread_name_prefix="hash")
            # A thread that is through with one part takes the next: none waits for another.
            left = deque(parts)
            others = [
                self._pool.submit(_work_off, left, view, self._size)
                for _ in range(self._threads - 1)
            ]
            _work_off(left, view, self._size)
            wait(others)
            for other in others:
                other.result()
        else:
            for part in parts:
                part.update(view, self._size)
        self._size += len(view)

    def result(self) -> ContentHashes:
        """The hashes of all that was fed so far, taken to be the whole file."""
        found = {kind: part.result(self._size) for kind, part in self._parts.items()}
        data_sha256 = found.get("autov3")
        return ContentHashes(
            sha256=found["sha256"] or NOTHING,
            blake3=found.get("blake3"),
            crc32=found.get("crc32"),
            autov1=found.get("autov1"),
            autov3=data_sha256[:12] if data_sha256 else None,
            data_sha256=data_sha256,
        )

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _work_off(left: deque[_Part], data: memoryview, offset: int) -> None:
    while True:
        try:
            part = left.popleft()
        except IndexError:
            return
        part.update(data, offset)


def hash_file(
    path: Path,
    kinds: Collection[str] = ALL_HASHES,
    progress: Callable[[int], None] | None = None,
    cancel: Event | None = None,
) -> ContentHashes:
    """The hashes of a file, read once from its start to its end.

    :param progress: called with the number of bytes hashed so far, after each block of 4 MiB.
    :raises OSError: the file cannot be opened or read.
    :raises Cancelled: `cancel` was set.
    """
    with path.open("rb", buffering=0) as file, MultiHasher(kinds) as hasher:
        # One byte more than the file has, so that its end is seen with the last block.
        length = min(_BLOCK, max(_LEAST_BLOCK, os.fstat(file.fileno()).st_size + 1))
        blocks = [bytearray(length), bytearray(length)]
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        with ThreadPoolExecutor(1, thread_name_prefix="hash-read") as reader:
            turn = 0
            reading = reader.submit(file.readinto, blocks[turn])
            while count := reading.result():
                if cancel is not None and cancel.is_set():
                    raise Cancelled(f"stopped while hashing {path}")
                full = memoryview(blocks[turn])[:count]
                turn = 1 - turn
                reading = reader.submit(file.readinto, blocks[turn])
                hasher.update(full)
                if progress is not None:
                    progress(hasher.size)
        return hasher.result()
