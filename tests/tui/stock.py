"""A library with known files, for the tests of its screen."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
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
    open_catalog,
)
from tests.catalog.shelf import sha256_of
from tests.services.index.shelf import lora
from tests.tui.desk import Desk, Sitting

DAY = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
INK, OLD_MIX, DREAM, GONE, ODD = "ink", "old_mix", "dream", "gone", "odd"
_SD, _XL = {"architecture": "sd1"}, {"architecture": "sdxl"}
_FILES: dict[str, tuple[str, int, dict[str, Any]]] = {
    INK: (
        "loras/ink.safetensors",
        144 << 20,
        {"format": "safetensors", "kind": "lora", "precision": "fp16", **_SD},
    ),
    OLD_MIX: (
        "checkpoints/old_mix.ckpt",
        7 << 30,
        {
            "format": "ckpt",
            "kind": "checkpoint",
            "precision": "fp32",
            "pickle_verdict": "dangerous",
            **_SD,
        },
    ),
    DREAM: (
        "checkpoints/dream.safetensors",
        6 << 30,
        {"format": "safetensors", "kind": "checkpoint", "precision": "fp16", **_XL},
    ),
    GONE: (
        "vae/gone.safetensors",
        300 << 20,
        {"format": "safetensors", "kind": "vae", "precision": "fp16", **_SD},
    ),
    ODD: (
        "loras/odd\x1b[31m\u202etxt.safetensors",
        50 << 20,
        {"format": "safetensors", "kind": "lora", "precision": "bf16", **_XL},
    ),
}
_HTML = '{"id": %d, "description": "<p>Draws <b>in ink</b>.</p><ul><li>weight 0.8</li></ul>"}'


async def told(sitting: Sitting, *words: str) -> None:
    """Wait until toasts said all these words; tests run without showing them."""

    def said() -> str:
        return "\n".join(one.message for one in sitting.app._notifications)

    await sitting.until(lambda: all(word in said() for word in words))


def opened(desk: Desk) -> Catalog:
    """The catalog of the desk."""
    return open_catalog(desk.config)


def put(catalog: Catalog, root: Path, path: str, size: int, **facts: Any) -> int:
    """A file that only the catalog knows; the facts are those of its content."""
    blob = BlobRecord(sha256=sha256_of(path), size=size, **facts)
    record = LocalFileRecord(root=root, path=Path(path), size=size, mtime_ns=1)
    return catalog.record_local_file(record, blob=blob)


def publish(catalog: Catalog, number: int, name: str, kind: str, path: str, base: str) -> None:
    """A model with an older version, of which the file is here, and a newer one."""
    versions = [
        VersionRecord(
            id=number * 10 + place,
            model_id=number,
            name=f"v{place + 1}",
            base_model=base,
            published_at=DAY + timedelta(days=place),
            trained_words=("ink wash", "sumi-e"),
            fetched_at=DAY,
        )
        for place in range(2)
    ]
    files = [
        RemoteFileRecord(
            id=one.id * 10,
            version_id=one.id,
            name=Path(path).name,
            type="Model",
            sha256=sha256_of(path if one.name == "v1" else f"{path} v2"),
        )
        for one in versions
    ]
    model = ModelRecord(
        id=number, name=name, type=kind, creator="brush", fetched_at=DAY, raw=_HTML % number
    )
    catalog.record_published(model, versions, files)


def fill(desk: Desk) -> dict[str, int]:
    """Five files of five kinds; their ids by name."""
    with opened(desk) as catalog:
        ids = {
            name: put(catalog, desk.root, path, size, **facts)
            for name, (path, size, facts) in _FILES.items()
        }
        publish(catalog, 7, "Ink scenery", "LORA", "loras/ink.safetensors", "SD 1.5")
        catalog.set_state([ids[GONE]], FileState.MISSING)
        catalog.tag([ids[INK]], ["style"])
        catalog.rate([ids[DREAM]], 4)
        catalog.note([ids[DREAM]], "use with the VAE")
    return ids


def real_file(desk: Desk, path: str, seed: int) -> Path:
    """A LoRA on the disk that has rested for an hour."""
    file = desk.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lora(seed))
    old = time.time_ns() - 3600 * 10**9
    os.utime(file, ns=(old, old))
    return file
