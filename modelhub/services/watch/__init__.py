"""Watch: the catalog kept in step with the disk as things happen."""

from __future__ import annotations

from modelhub.services.watch.report import Remark, Told, Watching
from modelhub.services.watch.watcher import watch

__all__ = ["Remark", "Told", "Watching", "watch"]
