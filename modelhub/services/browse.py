"""Browsing Civitai: page after page of a search, what of it is here, and pictures of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from modelhub.catalog import FileState
from modelhub.civitai.choose import choose_file
from modelhub.civitai.client import CivitaiClient
from modelhub.civitai.links import host_of
from modelhub.civitai.references import FileWish, HashRef, ModelRef, VersionRef, parse_reference
from modelhub.errors import Cancelled, ModelhubError, UnknownModel, UsageError
from modelhub.placement.preview_fetch import fetch_preview
from modelhub.services.jobs.model import Job, JobKind, JobRequest
from modelhub.services.jobs.plain import to_plain
from modelhub.services.pull import PullOptions

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.civitai.answers import Answer
    from modelhub.civitai.filters import ModelFilters
    from modelhub.civitai.schema import Enums, Model, ModelFile, Page, Version
    from modelhub.config import Config


@dataclass(frozen=True, slots=True)
class Browsed:
    """A model that a search found.

    :param here: ids of its versions of which a file is in the library.
    """

    model: Model
    here: frozenset[int]

    @property
    def newest(self) -> Version | None:
        """The newest version that has files."""
        return next((version for version in self.model.versions if version.files), None)


class Browsing:
    """A search with a client of its own, and what can be asked about what it finds.

    Any thread may ask; :meth:`next_page` one at a time. To be stopped, or used with ``with``: the
    connections are closed once nobody waits for an answer any more.

    :raises ConfigError: the settings or the stored key are wrong.
    """

    def __init__(
        self, config: Config, key: str | None, catalog: Catalog, filters: ModelFilters
    ) -> None:
        self._config, self._catalog, self._filters = config, catalog, filters
        self._cancel = threading.Event()
        self._client = CivitaiClient(config, key, cancel=self._cancel)
        self._lock = threading.Lock()
        self._waiting = 0
        self._pages: Iterator[Answer[Page[Model]]] | None = None
        self._given = 0
        self.more = False
        """Whether the search has further models, as far as the last page tells."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Have whatever waits end with `Cancelled`; nothing can be asked afterwards."""
        with self._lock:
            unused = not self._waiting and not self._cancel.is_set()
            self._cancel.set()
        if unused:
            self._client.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with self._lock:
            if self._cancel.is_set():
                raise Cancelled("this search was given up")
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                last = not self._waiting and self._cancel.is_set()
            if last:
                self._client.close()

    def next_page(self) -> list[Browsed]:
        """The next models that the search finds, in Civitai's order; nothing: there are no more.

        :raises UsageError: a filter is not understood by the server.
        :raises NetworkError, AccessError: as the client does; asking again goes on from there.
        :raises Cancelled: the search was stopped.
        """
        with self._asking():
            try:
                named = self._named() if not self._given else None
                for page in self._onward():
                    self._given += 1
                    metadata = page.value.metadata
                    self.more = bool(metadata.next_cursor or metadata.next_page)
                    items = [one for one in page.value.items if not named or one.id != named.id]
                    if named or items:
                        return [
                            self.described(one) for one in (*([named] if named else []), *items)
                        ]
            except ModelhubError:
                self._pages = None
                raise
        self.more = False
        return []

    def _named(self) -> Model | None:
        """The model that the words name by its id, link, AIR or hash, if they do."""
        words = self._filters.query or ""
        try:
            reference = parse_reference(words, hosts=[host_of(self._config.civitai.url)])
            match reference:
                case ModelRef(model_id=number):
                    return self._client.model(number).value
                case VersionRef(version_id=number):
                    found = self._client.version(number)
                case HashRef(value=value):
                    found = self._client.version_by_hash(value)
            number = found.value.model_id or 0
            return self._client.model(number).value if number else None
        except (UsageError, UnknownModel):
            return None

    def _onward(self) -> Iterator[Answer[Page[Model]]]:
        """The pages that were not given yet: an error ended the listing of the client."""
        if self._pages is None:
            pages = self._client.models(self._filters)
            self._pages = islice(pages, self._given, None)
        return self._pages

    def described(self, model: Model) -> Browsed:
        """A model with what of it is here now."""
        here = (one.id for one in model.versions if self._is_here(one))
        return Browsed(model, frozenset(here))

    def _is_here(self, version: Version) -> bool:
        rows = self._catalog.find_local_by_version(version.id)
        return any(row.state is not FileState.MISSING for row in rows)

    def places(self, version: Version) -> Mapping[int, Path]:
        """Where the files of a version are on this disk, by their ids."""
        found: dict[int, Path] = {}
        for file in version.files:
            if file.hashes.sha256 is None:
                continue
            rows = self._catalog.find_local_by_sha256(file.hashes.sha256)
            place = next((row.file for row in rows if row.state is not FileState.MISSING), None)
            if place is not None:
                found[file.id] = place
        return found

    def picture(self, version: Version) -> tuple[bytes, str]:
        """The first image of a version that the settings allow; or nothing, and why.

        :raises Cancelled: the search was stopped.
        """
        images = msgspec.to_builtins(version.images)
        return fetch_preview(self._config, images, cancel=self._cancel)

    def enums(self) -> Enums:
        """The model types and base models as they are today.

        :raises NetworkError, AccessError: as the client does.
        :raises Cancelled: the search was stopped.
        """
        with self._asking():
            return self._client.enums().value


def chosen_file(version: Version, model: Model) -> ModelFile | None:
    """The file that `pull` takes where nothing else is said; None where there is none to take."""
    try:
        return choose_file(version, FileWish(), model=model).file
    except ModelhubError:
        return None


def licence(model: Model) -> list[str]:
    """What the creator allows, a sentence each; nothing where the answer does not say."""
    said = []
    if model.allow_no_credit is not None:
        said.append("credit is not asked for" if model.allow_no_credit else "give credit")
    if model.allow_commercial_use is not None:
        uses = model.allow_commercial_use
        named = [uses] if isinstance(uses, str) else list(uses)
        allowed = [one for one in named if one.casefold() != "none"]
        said.append(f"commercial use: {', '.join(allowed) if allowed else 'none'}")
    if model.allow_derivatives is not None:
        said.append("may be merged" if model.allow_derivatives else "must not be merged")
    if model.allow_different_license is not None:
        other = "under another licence" if model.allow_different_license else "under this licence"
        said.append(f"merges {other}")
    return said


def pull_job(model: Model, version: Version, file: ModelFile) -> JobRequest:
    """The job that pulls one published file."""
    return JobRequest(
        kind=JobKind.DOWNLOAD,
        arguments={
            "reference": f"{model.id}@{version.id}",
            "options": to_plain(PullOptions(file=str(file.id))),
        },
        title=f"{model.name}: {file.name}",
    )


def pulled_version(job: Job) -> int | None:
    """The version that a job of :func:`pull_job` is about; None for other jobs."""
    _, _, version = str(job.arguments.get("reference", "")).partition("@")
    return int(version) if job.kind is JobKind.DOWNLOAD and version.isdecimal() else None
