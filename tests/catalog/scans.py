"""Scanned files for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelhub.catalog import Catalog, FileRow, Found, KnownFile, ScannedFile, prepare

from .shelf import blob

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
LORA = Found(
    format="safetensors",
    kind="lora",
    adapter="locon",
    architecture="sdxl",
    family="illustrious",
    precision="fp16",
    parameters=12_000_000,
    variants=("v-prediction",),
    trigger_words=("ink wash",),
    header='{"identity": {"kind": "lora"}, "metadata": {"ss_seed": "1"}, "parts": []}',
)


def scanned(path: str, **more: Any) -> ScannedFile:
    return ScannedFile(**{"path": path, "size": 1000, "mtime_ns": 5, "inode": 7, **more})


def scan(catalog: Catalog, root: int, *files: ScannedFile) -> None:
    catalog.record_scanned(root, [prepare(one, NOW) for one in files])


def known(catalog: Catalog, root: int) -> dict[str, KnownFile]:
    return {one.path: one for one in catalog.known_files(root)}


def row_of(catalog: Catalog, path: str) -> FileRow:
    row = catalog.find_local_by_path(Path("/library") / path)
    assert row is not None
    return row


def hashed(catalog: Catalog, file: KnownFile, content: str, **more: Any) -> bool:
    record = blob(content, size=file.size)
    return catalog.record_hashed(
        file.id, size=file.size, mtime_ns=file.mtime_ns, blob=record, **more
    )
