"""Files for tests, with what was published about them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelhub.catalog import (
    BlobRecord,
    Catalog,
    FileState,
    LocalFileRecord,
    ModelRecord,
    RemoteFileRecord,
    VersionRecord,
)

ROOT = Path("/library")
NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)


def sha256_of(content: str) -> str:
    """The SHA256 of a content that a test names by a word."""
    return hashlib.sha256(content.encode()).hexdigest().upper()


def blob(content: str, **more: Any) -> BlobRecord:
    """The record of a content."""
    return BlobRecord(**{"sha256": sha256_of(content), "size": 1000, **more})


def local(path: str, *, size: int = 1000, mtime_ns: int = 1, **more: Any) -> LocalFileRecord:
    """The record of a file below :data:`ROOT`."""
    return LocalFileRecord(
        **{"root": ROOT, "path": Path(path), "size": size, "mtime_ns": mtime_ns, **more}
    )


class Shelf:
    """Puts files into a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def put(self, path: str, content: str | None = None, *, size: int = 1000, **facts: Any) -> int:
        """A hashed file, of a content named by its path unless told; facts are the blob's."""
        record = blob(path if content is None else content, size=size, **facts)
        return self.catalog.record_local_file(local(path, size=size), blob=record)

    def seen(self, path: str, **more: Any) -> int:
        """A file that was not hashed."""
        return self.catalog.record_local_file(local(path, **more))

    def publish(
        self,
        number: int,
        name: str,
        *,
        content: str | None = None,
        type: str = "Checkpoint",
        version: str = "v1",
        base: str | None = "SD 1.5",
        words: tuple[str, ...] | None = None,
        file: dict[str, Any] | None = None,
        **model: Any,
    ) -> None:
        """A model with one version (id times ten) and one file (times a hundred)."""
        sha256 = None if content is None else sha256_of(content)
        remote = {"name": f"{name}.safetensors", "type": "Model", "format": "SafeTensor"}
        self.catalog.record_published(
            ModelRecord(id=number, name=name, type=type, fetched_at=NOW, **model),
            [
                VersionRecord(
                    id=number * 10,
                    model_id=number,
                    name=version,
                    base_model=base,
                    fetched_at=NOW,
                    trained_words=words,
                )
            ],
            [
                RemoteFileRecord(
                    id=number * 100,
                    version_id=number * 10,
                    primary=True,
                    **{**remote, "sha256": sha256, **(file or {})},
                )
            ],
        )

    def missing(self, *ids: int) -> None:
        """Files that are gone."""
        self.catalog.set_state(ids, FileState.MISSING)

    def found(self, query: str) -> set[str]:
        """The paths that a query finds."""
        rows = self.catalog.list_files(query, limit=None)
        assert self.catalog.count(query) == len(rows)
        return {row.path for row in rows}
