"""The recorded LoRA, and the sidecars that are expected for it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from modelhub.config.settings import SidecarKind
from modelhub.placement.sidecars import SidecarFacts
from modelhub.placement.sidecars.write import WRITERS

DATA = Path(__file__).parents[1] / "data" / "placement"
KINDS: tuple[SidecarKind, ...] = ("civitai.info", "a1111", "lora-manager", "stability-matrix")
SHA256 = "9753338ab693ca82bf89ed77a5d1912879e40051463ec6e330fb9866ce798668"
IMPORTED_AT = datetime.datetime(2025, 2, 9, 8, 7, 6, tzinfo=datetime.UTC)


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / name).read_text("utf-8"))
    return loaded


def lora_facts(folder: Path = Path("/library/loras"), **changes: Any) -> SidecarFacts:
    version = load("lora-version.json")
    values: dict[str, Any] = {
        "path": folder / "pp-storybook_rank2_bf16.safetensors",
        "size": 19281048,
        "sha256": SHA256,
        "version": version,
        "model": load("lora-model.json"),
        "file": version["files"][0],
        "preview": folder / "pp-storybook_rank2_bf16.preview.jpg",
        "preview_nsfw_level": 1,
        "preview_source": version["images"][0]["url"],
        "imported_at": IMPORTED_AT,
    }
    return SidecarFacts(**values | changes)


def expected_file(kind: SidecarKind) -> Path:
    return DATA / "expected" / f"lora{WRITERS[kind].SUFFIX}"


def write_expected() -> None:
    for kind in KINDS:
        expected_file(kind).parent.mkdir(exist_ok=True)
        content = json.dumps(WRITERS[kind].build(lora_facts()), indent=2, ensure_ascii=False)
        expected_file(kind).write_text(content + "\n", "utf-8")


if __name__ == "__main__":
    write_expected()
