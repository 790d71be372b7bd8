"""The answers to a match, recorded: versions, their models, and which content they describe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelhub.catalog import EventRecord, FileState, LocalFileRecord, decode_path
from modelhub.civitai.answers import page_items
from modelhub.civitai.filters import ModelFilters
from modelhub.errors import NotFoundError, ServerFault, UnexpectedAnswer, UsageError
from modelhub.services.published import file_records, model_record, version_record

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow
    from modelhub.civitai.answers import Answer
    from modelhub.civitai.client import CivitaiClient
    from modelhub.civitai.schema import Model, Version

_MODELS_AT_ONCE = 100
_RECORDED_AT_ONCE = 50
"""Versions in one transaction: nobody else can write meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A content that is a published file."""

    sha256: str
    model_id: int
    model_name: str
    model_type: str
    version_id: int
    version_name: str
    matched_by: str
    """``SHA256``; or ``AutoV3``: the tensors are the published ones, the metadata is not."""
    is_new: bool
    """Whether no publication of it was known."""
    paths: tuple[str, ...]
    """The files here, absolute."""


class Recorder:
    """Asks for versions and models, and records them; each model is asked for once a run."""

    def __init__(self, catalog: Catalog, client: CivitaiClient) -> None:
        self._catalog = catalog
        self._client = client
        self._models: dict[int, Answer[Model] | None] = {}

    def record_by_sha256(self, sha256s: Sequence[str]) -> list[Described]:
        """Ask for the versions of at most a hundred contents, and record them.

        :raises NetworkError, AccessError, Cancelled: as the client does; nothing is recorded then.
        """
        wanted = set(sha256s)
        answers = sorted(self._client.versions_by_hashes(sha256s), key=lambda one: one.value.id)
        self._fetch_models(answers)
        # Asked before the transaction, in which each question costs more.
        here = {one: self._catalog.find_local_by_sha256(one) for one in wanted}
        found: list[Described] = []
        for start in range(0, len(answers), _RECORDED_AT_ONCE):
            with self._catalog.transaction():
                news: list[Described] = []
                for answer in answers[start : start + _RECORDED_AT_ONCE]:
                    published = {file.hashes.sha256 for file in answer.value.files}
                    of_it = {one: rows for one, rows in here.items() if one in published}
                    if of_it:
                        news += self._record(answer, of_it, "SHA256")
                self._catalog.record_asked([one.sha256 for one in news], datetime.now(UTC))
            found += news
        return found

    def record_by_tensors(self, sha256: str, autov3: str) -> Described | None:
        """Ask which version has a file with these tensors; None when there is none.

        The files here are recorded as of that version; their content stays what it is.

        :raises NetworkError, AccessError, Cancelled: as the client does.
        """
        try:
            answer = self._client.version_by_hash(autov3)
        except NotFoundError:
            return None
        if not any(file.hashes.autov3 == autov3 for file in answer.value.files):
            return None
        self._fetch_models([answer])
        rows = self._catalog.find_local_by_sha256(sha256)
        with self._catalog.transaction():
            found = self._record(answer, {sha256: rows}, "AutoV3")
            for row in rows if found else ():
                if row.state is FileState.MISSING:
                    continue
                place = LocalFileRecord(
                    root=decode_path(row.root),
                    path=decode_path(row.path),
                    size=row.size,
                    mtime_ns=row.mtime_ns,
                    state=row.state,
                )
                self._catalog.record_local_file(place, version_id=answer.value.id)
            self._catalog.record_asked([sha256], datetime.now(UTC))
        return next(iter(found), None)

    def _record(
        self, version: Answer[Version], here: Mapping[str, Sequence[FileRow]], by: str
    ) -> list[Described]:
        """Record a version; what it describes of `here`, the files by SHA256."""
        model = model_record(self._models.get(version.value.model_id or 0), version)
        if model is None:
            return []
        self._catalog.record_published(
            model, [version_record(version, model.id)], file_records(version.value)
        )
        found = [
            Described(
                sha256=sha256,
                model_id=model.id,
                model_name=model.name,
                model_type=model.type,
                version_id=version.value.id,
                version_name=version.value.name,
                matched_by=by,
                is_new=not any(row.version_id for row in rows),
                paths=tuple(str(row.file) for row in rows),
            )
            for sha256, rows in here.items()
        ]
        for one in found:
            if one.is_new:
                self._catalog.record_event(_event(one))
        return found

    def _fetch_models(self, versions: Iterable[Answer[Version]]) -> None:
        """Ask for the models of these versions, a hundred at once; those that are not listed, as
        archived ones are not, are described by their versions alone."""
        wanted = {one.value.model_id for one in versions if one.value.model_id is not None}
        missing = sorted(wanted - self._models.keys())
        for start in range(0, len(missing), _MODELS_AT_ONCE):
            part = missing[start : start + _MODELS_AT_ONCE]
            self._models |= dict.fromkeys(part)
            filters = ModelFilters(ids=part, nsfw=True, limit=_MODELS_AT_ONCE)
            try:
                page = next(iter(self._client.models(filters)), None)
                items = list(page_items(page)) if page is not None else []
            except (ServerFault, UnexpectedAnswer, NotFoundError, UsageError):
                continue
            self._models |= {item.value.id: item for item in items if item.value.id in part}


def _event(found: Described) -> EventRecord:
    said = f"recognised as “{found.model_name}” {found.version_name}".strip()
    if found.matched_by != "SHA256":
        said += ", by its tensors: the metadata is not the published one"
    return EventRecord(
        kind="matched",
        text=said,
        sha256=found.sha256,
        version_id=found.version_id,
        detail={"model": found.model_id, "by": found.matched_by},
    )
