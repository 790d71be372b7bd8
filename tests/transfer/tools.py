"""What the tests of the transfer engine share: a publisher on the demo hub, and a client."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from modelhub.config import Config
from modelhub.demo.hub import DemoHub, random_bytes
from modelhub.progress import Advanced, Event, Notice, Stage, StageEntered
from modelhub.transfer import (
    AlreadyThere,
    Downloaded,
    DownloadRequest,
    Expected,
    TransferSettings,
    download,
)

MIB = 1 << 20
QUICK = TransferSettings(
    connections=4, min_free=0, timeout=2.0, retries=4, backoff=0.02, max_wait=5.0
)
AnyEvent = TypeVar("AnyEvent", bound=Event)


def noise(size: int, seed: int = 1) -> bytes:
    return random_bytes(size, seed)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest().upper()


@dataclass
class Links:
    """A link source that counts."""

    make: Callable[[], str]
    given: int = 0

    def link(self) -> str:
        self.given += 1
        return self.make()


@dataclass
class Client:
    """Downloads one file of the hub to one folder, and remembers what it was told."""

    hub: DemoHub
    folder: Path
    data: bytes
    name: str = "model.safetensors"
    settings: TransferSettings = QUICK
    events: list[Event] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.file = self.hub.publish_bytes(self.name, self.data)
        self.links = Links(lambda: self.hub.link(self.file.id))
        self.expected = Expected(size=len(self.data), size_is_exact=True, sha256=sha256(self.data))

    def request(self) -> DownloadRequest:
        return DownloadRequest("task", self.links, self.folder, self.name, self.expected)

    def start(self, **more: Any) -> Downloaded | AlreadyThere:
        settings = replace(self.settings, **more)
        return download(self.request(), settings, Config(), self.events.append, self.cancel)

    def fetch(self, **more: Any) -> Downloaded:
        done = self.start(**more)
        assert isinstance(done, Downloaded)
        assert done.partial.read_bytes() == self.hub.stored(self.file.id).path.read_bytes()
        return done

    def seen(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.seen(Notice)]

    @property
    def stages(self) -> list[Stage]:
        return [event.stage for event in self.seen(StageEntered)]

    @property
    def progress(self) -> list[Advanced]:
        return self.seen(Advanced)

    @property
    def leftovers(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()

    @property
    def partial(self) -> Path:
        return self.folder / f".{self.name}.part"
