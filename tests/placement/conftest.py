from __future__ import annotations

from .disks import other_disk, read_only_folder, shared_blocks_disk

__all__ = ["other_disk", "read_only_folder", "shared_blocks_disk"]
