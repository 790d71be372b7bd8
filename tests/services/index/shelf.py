"""Small real model files, and a library to put them into."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from modelhub.catalog import Catalog, FileRow, FileState
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Index
from modelhub.progress import Event, silent
from modelhub.services.index import Happening, IndexReport, index

OLD = time.time_ns() - 3600 * 10**9
"""An hour ago: a file of then rests."""


def lora(seed: int = 0, *, tensors: int = 4) -> bytes:
    """A safetensors file: a LoRA for SD 1.x, another for each `seed`."""
    header: dict[str, object] = {
        "__metadata__": {"ss_network_module": "networks.lora", "ss_training_comment": str(seed)}
    }
    offset = 0
    for number in range(tensors // 2):
        name = f"lora_unet_down_blocks_{number}_attentions_0_transformer_blocks_0_attn2_to_k"
        for part, shape in (("lora_down", [4, 768]), ("lora_up", [320, 4])):
            size = shape[0] * shape[1] * 2
            header[f"{name}.{part}.weight"] = {
                "dtype": "F16",
                "shape": shape,
                "data_offsets": [offset, offset + size],
            }
            offset += size
    return safetensors(header, offset, seed)


def safetensors(header: dict[str, object], size: int, seed: int = 0) -> bytes:
    """A safetensors file with this header and `size` bytes of data."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + seed.to_bytes(8, "little") * (size // 8)


@dataclass
class Library:
    """A root, a catalog, and what an index run says of them."""

    root: Path
    catalog: Catalog
    config: Config
    told: list[Happening] = field(default_factory=list)

    def put(self, path: str, content: bytes | None = None, *, mtime_ns: int = OLD) -> Path:
        """Write a file that rests, by default a LoRA of its own."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lora(abs(hash(path)) % 2**32) if content is None else content)
        os.utime(file, ns=(mtime_ns, mtime_ns))
        return file

    def index(
        self,
        *targets: Path,
        hash: bool = True,
        listener: Callable[[Event], None] = silent,
        **settings: object,
    ) -> IndexReport:
        """Index the targets, by default the root."""
        config = replace(self.config, index=replace(self.config.index, **settings))
        return index(
            targets or [self.root],
            config=config,
            catalog=self.catalog,
            hash=hash,
            listener=listener,
            tell=self.told.append,
        )

    def paths(self, query: str = "") -> list[str]:
        """The paths that a query finds, in order."""
        return sorted(row.path for row in self.rows(query))

    def rows(self, query: str = "") -> Sequence[FileRow]:
        """What a query finds."""
        return self.catalog.list_files(query, limit=None)

    def row(self, path: str) -> FileRow:
        """The file at a path below the root."""
        row = self.catalog.find_local_by_path(self.root / path)
        assert row is not None, f"the catalog does not know {path}"
        return row

    def states(self) -> dict[str, FileState]:
        """Each file's state, by its path."""
        return {row.path: row.state for row in self.rows()}


def settings(folder: Path) -> Config:
    """Settings with a catalog in `folder`, and files that rest soon."""
    url = f"sqlite:///{folder / 'catalog.db'}"
    return Config(
        catalog=CatalogSettings(database_url=url),
        index=Index(settle=0.2, wait=5.0, processes=2),
    )
