"""A library to put in order: real files, indexed by the real index."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from modelhub.catalog import ModelRecord, PreviewRecord, RemoteFileRecord, VersionRecord
from modelhub.services.organize import OrganizeReport, Wish, organize, undo
from tests.services.index.shelf import OLD, Library, safetensors


@dataclass
class Desk(Library):
    """Organizes its library, and looks at what came of it."""

    notes: list[str] = field(default_factory=list)

    def organize(self, query: str = "", **options: Any) -> OrganizeReport:
        """A run that moves, unless `apply` is False."""
        into = options.pop("into", None)
        row = None if into is None else self.catalog.root(into)
        assert into is None or row is not None
        wish = Wish(
            query=query,
            into=row,
            layout=options.pop("layout", None),
            guesses=options.pop("guesses", False),
        )
        return organize(
            wish,
            catalog=self.catalog,
            config=self.config,
            apply=options.pop("apply", True),
            **options,
        )

    def undo(self, which: str = "last", **options: Any) -> OrganizeReport:
        return undo(which, catalog=self.catalog, **options)

    def set(self, **values: Any) -> None:
        self.config = replace(self.config, library=replace(self.config.library, **values))

    def beside(self, name: str, text: str = "{}") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def files(self, root: Path | None = None) -> list[str]:
        """Every file on disk, relative to the root."""
        root = root or self.root
        return sorted(str(one.relative_to(root)) for one in root.rglob("*") if one.is_file())

    def make(self, name: str, maker: Callable[[Path], None]) -> None:
        """Have a model of the demo hub written."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        maker(path)
        os.utime(path, ns=(OLD, OLD))

    def put_shards(self, stem: str, number: int) -> list[str]:
        """A model in several files, with their index; the names of the shards."""
        names = [f"{stem}-{n + 1:05}-of-{number:05}.safetensors" for n in range(number)]
        weights: dict[str, str] = {}
        for n, name in enumerate(names):
            header = _up_block(n)
            weights |= dict.fromkeys(header, Path(name).name)
            self.put(name, safetensors(header, 2 * 4 * 768 * len(header), n))
        self.beside(f"{stem}.safetensors.index.json", json.dumps({"weight_map": weights}))
        return names

    def agrees(self) -> None:
        """The catalog knows each model file at the one place where it is."""
        known = {row.path for row in self.rows("-state:missing")}
        models = {one for one in self.files() if one.endswith((".safetensors", ".ckpt"))}
        assert known == models
        report = self.index()
        assert (report.new, report.moved, report.missing) == (0, 0, 0)


def _up_block(number: int) -> dict[str, object]:
    """Half of a LoRA for SD 1.x: the matrices of one block."""
    name = f"lora_unet_up_blocks_{number}_attentions_0_transformer_blocks_0_attn2_to_k"
    parts = (("lora_down", [4, 768]), ("lora_up", [768, 4]))
    size = 2 * 4 * 768
    return {
        f"{name}.{part}.weight": {
            "dtype": "F16",
            "shape": shape,
            "data_offsets": [n * size, (n + 1) * size],
        }
        for n, (part, shape) in enumerate(parts)
    }


def publish(desk: Desk, path: str, preview: Path, *, type: str = "LORA") -> None:
    """Record that the content of a file is published, with a preview whose copy is here."""
    now = datetime.now(UTC)
    image = PreviewRecord(url="https://image.example/1.png", file=preview)
    desk.catalog.record_published(
        ModelRecord(id=7, name="Ink", type=type, fetched_at=now),
        [VersionRecord(id=70, model_id=7, name="v1", fetched_at=now, previews=(image,))],
        [RemoteFileRecord(id=700, version_id=70, name="x.bin", sha256=desk.row(path).sha256)],
    )
