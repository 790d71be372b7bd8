"""The demo hub: an API server and a storage server on loopback that answer as Civitai's do.

::

    with DemoHub() as hub:
        hub.url                      # http://127.0.0.1:PORT, the API
        hub.storage_url              # http://localhost:PORT, presigned links and images
        hub.faults.add(Fault(kind="drop", after=1_000_000))
        hub.publish_bytes("big.safetensors", data)
        hub.requests                 # what was asked, and answered with which status
"""

from __future__ import annotations

import random
import secrets
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from modelhub.demo.answers import Writer
from modelhub.demo.api import ApiHandler
from modelhub.demo.faults import Fault, FaultKind, Faults, ServerName
from modelhub.demo.httpd import LoopbackServer, Request, RequestSeen
from modelhub.demo.published import PublishedFile, PublishedModel, PublishedVersion
from modelhub.demo.shelf import Shelf, StoredFile
from modelhub.demo.signing import Signer
from modelhub.demo.storage import StorageHandler

__all__ = ["DemoHub", "Fault", "FaultKind", "RequestSeen", "random_bytes"]


class DemoHub:
    """Both servers, started by `with` (or :meth:`start`) and gone without a trace after it.

    :param port: of the API; 0 takes a free one. The storage server always takes a free one.
    :param catalogue: whether the demo models are published; they are made when first asked for.
    :param folder: keep the demo models' files there, and use those that are there already; None:
        a folder for this run alone.
    :param link_lifetime: how long storage links last, in seconds.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        catalogue: bool = True,
        folder: Path | None = None,
        link_lifetime: float = 3600.0,
    ) -> None:
        self.faults = Faults()
        self.signer = Signer(link_lifetime)
        self.key = "demo-" + secrets.token_hex(16)
        self.keys = {self.key}
        self.favorites: set[int] = set()
        """Ids of the models that the key's owner likes."""
        self.hidden: set[int] = set()
        """Ids of the models that the key's owner does not want to see."""
        self.search_is_down = False
        """Whether the search engine behind `query=` is down (503, Retry-After: 2)."""
        self._port = port
        self._catalogue = catalogue
        self._demo_folder = folder
        self._lock = threading.Lock()
        self._seen: list[RequestSeen] = []
        self._bytes_sent = {"api": 0, "storage": 0}
        self._servers: list[LoopbackServer] = []

    def start(self) -> None:
        """Start both servers.

        :raises OSError: the port is taken.
        """
        self.shelf = Shelf(Path(tempfile.mkdtemp(prefix="modelhub-demo-")))
        try:
            if self._catalogue:
                from modelhub.demo.catalogue import demo_models

                for model in demo_models(self._demo_folder):
                    self.shelf.add(model)
            api = LoopbackServer(self._port, ApiHandler, "api", self)
            self._servers.append(api)
            storage = LoopbackServer(0, StorageHandler, "storage", self)
            self._servers.append(storage)
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{api.server_port}"
        self.storage_url = f"http://localhost:{storage.server_port}"
        self.writer = Writer(self.shelf, self.url, self.storage_url)

    def stop(self) -> None:
        """End every connection, both servers, and delete what was made for this run."""
        self.faults.clear()
        while self._servers:
            self._servers.pop().stop()
        self.shelf.remove_files()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def publish(self, model: PublishedModel) -> PublishedModel:
        """Publish `model`; the answer is the same object with all ids filled in."""
        return self.shelf.add(model)

    def publish_bytes(
        self, name: str, data: bytes | int, *, type: str = "Checkpoint", file_type: str = "Model"
    ) -> PublishedFile:
        """A model of one version with one file.

        :param data: the content, or how many MiB of seeded random bytes it is to have.
        :returns: the file, with `id` and `version_id`.
        """
        content = data if isinstance(data, bytes) else random_bytes(data << 20)
        file = PublishedFile(name=name, content=content, type=file_type)
        version = PublishedVersion(name="v1", files=[file])
        self.publish(PublishedModel(name=Path(name).stem[:80], type=type, versions=[version]))
        return file

    def stored(self, file_id: int) -> StoredFile:
        """The file of that id as it is stored: `path`, `size`, `hashes`, `etag`.

        :raises KeyError: there is none.
        """
        stored = self.shelf.file(file_id)
        if stored is None:
            raise KeyError(file_id)
        return stored

    def link(self, file_id: int) -> str:
        """A fresh presigned link to a file."""
        from modelhub.demo.downloads import disposition

        stored = self.stored(file_id)
        return self.storage_url + self.signer.signed(stored.storage_path, disposition(stored.file))

    @property
    def requests(self) -> list[RequestSeen]:
        """All requests until now, in the order of their answers (control requests left out)."""
        with self._lock:
            return list(self._seen)

    def forget_requests(self) -> None:
        """Start a new list of requests, and a new count of bytes."""
        with self._lock:
            self._seen.clear()
            self._bytes_sent = {"api": 0, "storage": 0}

    def bytes_sent(self, server: ServerName = "storage") -> int:
        """Bytes of bodies that a server has sent, the part now on its way included."""
        with self._lock:
            return self._bytes_sent[server]

    def saw(self, server: ServerName, request: Request, status: int) -> None:
        """Remember a request."""
        if request.path.startswith("/demo/"):
            return
        seen = RequestSeen(
            server, request.method, request.path, request.query, request.headers, status
        )
        with self._lock:
            self._seen.append(seen)

    def count_bytes(self, server: ServerName, count: int) -> None:
        """Add to the bytes sent."""
        with self._lock:
            self._bytes_sent[server] += count


def random_bytes(size: int, seed: int = 1) -> bytes:
    """`size` bytes that no compression shrinks, always the same for a seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311 -- test data, no secret
