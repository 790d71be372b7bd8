"""Everything that is published on the hub, found by id and by hash."""

from __future__ import annotations

import re
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.demo.published import PublishedFile, PublishedModel, PublishedVersion

if TYPE_CHECKING:
    from modelhub.formats.hashes import ContentHashes

HASH_NAMES = ("AutoV1", "AutoV2", "SHA256", "CRC32", "BLAKE3", "AutoV3")


class StoredFile:
    """A published file with its bytes on disk, made and hashed when they are first needed."""

    def __init__(
        self, file: PublishedFile, version: PublishedVersion, model: PublishedModel, folder: Path
    ) -> None:
        self.file = file
        self.version = version
        self.model = model
        self.generation = 1
        self._folder = folder
        self._lock = threading.RLock()
        self._path: Path | None = None
        self._hashes: ContentHashes | None = None

    @property
    def path(self) -> Path:
        """Where the bytes are."""
        with self._lock:
            if self._path is None:
                self._path = self._made()
            return self._path

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.stat().st_size

    @property
    def hashes(self) -> ContentHashes:
        """All hashes of the bytes as they are now."""
        from modelhub.formats.hashes import hash_file

        with self._lock:
            if self._hashes is None:
                self._hashes = hash_file(self.path)
            return self._hashes

    @property
    def named_hashes(self) -> dict[str, str]:
        """Those hashes that the API tells, by Civitai's names, upper-case hex."""
        found = self.hashes
        values = {
            "AutoV1": found.autov1,
            "AutoV2": found.autov2,
            "SHA256": found.sha256,
            "CRC32": found.crc32,
            "BLAKE3": found.blake3,
            "AutoV3": found.autov3,
        }
        told = self.file.hashes if self.file.hashes is not None else HASH_NAMES
        return {name: value for name, value in values.items() if value and name in told}

    @property
    def etag(self) -> str:
        """Strong, and another one after every change."""
        return f'"{self.hashes.sha256[:32].lower()}-{self.generation}"'

    @property
    def storage_path(self) -> str:
        """Its path on the storage server: plain ASCII, as object keys are."""
        slug = re.sub(r"[^A-Za-z0-9._-]+", "", self.file.name)[-80:].strip(".") or "file"
        return f"/demo-delivery/model/{self.file.id}/{slug}"

    def current(self) -> tuple[Path, int, str, int]:
        """Path, size, ETag and modification time (seconds), all of the same content."""
        with self._lock:
            status = self.path.stat()
            return self.path, status.st_size, self.etag, int(status.st_mtime) + self.generation

    def replace(self, content: bytes) -> None:
        """Publish other bytes under the same id; readers of the old ones keep those."""
        with self._lock:
            self.generation += 1
            target = self._folder / f"{self.file.id}.{self.generation}"
            target.write_bytes(content)
            self._path = target
            self._hashes = None

    def _made(self) -> Path:
        content = self.file.content
        if isinstance(content, Path):
            return content
        target = self._folder / str(self.file.id)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            content(target)
        return target


@dataclass(frozen=True, slots=True)
class ShelvedVersion:
    """A version with its model and its files."""

    model: PublishedModel
    version: PublishedVersion
    files: tuple[StoredFile, ...]

    @property
    def is_public(self) -> bool:
        """Whether the API knows it at all."""
        return self.version.status == "Published" and self.model.mode != "Deleted"


class Shelf:
    """All that is published; thread-safe. Files made on the spot go to `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._models: dict[int, PublishedModel] = {}
        self._versions: dict[int, ShelvedVersion] = {}
        self._files: dict[int, StoredFile] = {}
        self._next_id = 9_000_001

    def add(self, model: PublishedModel) -> PublishedModel:
        """Publish; the answer is `model` with every id filled in.

        :raises ValueError: an id is taken.
        """
        with self._lock:
            self._number(model)
            self._models[model.id] = model
            for version in model.versions:
                stored = tuple(StoredFile(f, version, model, self.folder) for f in version.files)
                self._versions[version.id] = ShelvedVersion(model, version, stored)
                self._files.update((one.file.id, one) for one in stored)
        return model

    def _number(self, model: PublishedModel) -> None:
        model.id = self._free_id(model.id, self._models)
        for version in model.versions:
            version.id = self._free_id(version.id, self._versions)
            for file in version.files:
                file.id = self._free_id(file.id, self._files)
                file.version_id = version.id
            for image in version.images:
                image.id = image.id or self._free_id(0, {})

    def _free_id(self, wanted: int, taken: Iterable[int]) -> int:
        if wanted:
            if wanted in taken:
                raise ValueError(f"the id {wanted} is published already")
            return wanted
        self._next_id += 1
        return self._next_id - 1

    def models(self) -> list[PublishedModel]:
        """All models, in the order of publishing."""
        with self._lock:
            return list(self._models.values())

    def model(self, model_id: int) -> PublishedModel | None:
        """By id."""
        return self._models.get(model_id)

    def version(self, version_id: int) -> ShelvedVersion | None:
        """By id."""
        return self._versions.get(version_id)

    def file(self, file_id: int) -> StoredFile | None:
        """By id."""
        return self._files.get(file_id)

    def file_at(self, storage_path: str) -> StoredFile | None:
        """By its path on the storage server."""
        match = re.fullmatch(r"/demo-delivery/model/(\d+)/[^/]+", storage_path)
        stored = self._files.get(int(match[1])) if match else None
        return stored if stored is not None and stored.storage_path == storage_path else None

    def versions(self) -> list[ShelvedVersion]:
        """All versions, in the order of publishing."""
        with self._lock:
            return list(self._versions.values())

    def with_hash(self, value: str) -> Iterator[tuple[ShelvedVersion, StoredFile]]:
        """The public files that have `value` as one of the hashes told, oldest version first."""
        wanted = value.upper()
        found = [
            (shelved, stored)
            for shelved in self.versions()
            if shelved.is_public
            for stored in shelved.files
            if wanted in stored.named_hashes.values()
        ]
        yield from sorted(
            found, key=lambda pair: (pair[0].version.published_at, pair[0].version.id)
        )

    def remove_files(self) -> None:
        """Delete the folder of files made on the spot."""
        shutil.rmtree(self.folder, ignore_errors=True)


def other_bytes(stored: StoredFile) -> bytes:
    """Different content of the same size, for a file that changes under a download."""
    data = bytearray(stored.path.read_bytes())
    seed = zlib.crc32(f"{stored.file.id}.{stored.generation}".encode())
    for position in range(0, len(data), 4096):
        data[position] ^= 1 + seed % 255
    return bytes(data)
