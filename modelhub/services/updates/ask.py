"""Civitai asked about each model of which something is here, once; and the answers recorded."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelhub.catalog import FileState, VersionRecord
from modelhub.civitai.answers import Answer
from modelhub.civitai.reference_values import FileWish
from modelhub.errors import (
    AccessError,
    Cancelled,
    ModelhubError,
    NetworkError,
    UnexpectedAnswer,
    UnknownModel,
)
from modelhub.progress import (
    Listener,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
    silent,
)
from modelhub.services.listed import every_batch
from modelhub.services.published import file_records, model_record, version_record
from modelhub.services.updates.newer import Here, Update, newer_versions

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, PublishedAs, RemoteFileRecord
    from modelhub.civitai.client import CivitaiClient
    from modelhub.civitai.schema import Model

_TASK = "updates"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneModel:
    """A model, or a version of one, that Civitai has no more; what is here stays described."""

    model_id: int
    model_name: str
    version_id: int | None
    version_name: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedModel:
    """A model about which Civitai gave no answer that can be used."""

    model_id: int
    model_name: str
    reason: str


@dataclass(slots=True)
class UpdatesReport:
    """What was asked, and what came of it."""

    models: int = 0
    """Models of which something is here."""
    checked: int = 0
    """Those of them that Civitai answered about."""
    unmatched: int = 0
    """Files of which no publication is known: `modelhub match` asks about them."""
    hidden: int = 0
    """Newer versions left out because they cannot be downloaded."""
    updates: list[Update] = field(default_factory=list)
    gone: list[GoneModel] = field(default_factory=list)
    unchecked: list[UncheckedModel] = field(default_factory=list)
    stopped: ModelhubError | None = None
    """Why it ended before the end; what was answered until then is recorded and told."""


@dataclass(slots=True)
class _Owned:
    """What is here of one model."""

    name: str
    versions: dict[int, list[tuple[PublishedAs, str]]] = field(default_factory=dict)
    """By id of the version: the files here, and what each was published as."""

    def here(self) -> list[Here]:
        return [
            Here(
                version_id=version_id,
                version_name=files[0][0].version_name,
                base_model=files[0][0].base_model,
                published_at=files[0][0].published_at,
                paths=tuple(dict.fromkeys(path for _, path in files)),
                published_as=tuple(
                    dict.fromkeys(_traits(one) for one, _ in files if one.file_id is not None)
                ),
            )
            for version_id, files in self.versions.items()
        ]


def _traits(published: PublishedAs) -> FileWish:
    return FileWish(
        type=published.file_type,
        format=published.format,
        fp=published.fp,
        size=published.variant,
        quant_type=published.quant_type,
    )


def updates(
    *,
    catalog: Catalog,
    client: CivitaiClient,
    query: str = "",
    any_base: bool = False,
    unavailable: bool = False,
    listener: Listener = silent,
    cancel: threading.Event | None = None,
) -> UpdatesReport:
    """Find newer versions of the published files that are here.

    Each model is asked for once, at the pace of the client, and from its cache where the server
    says that nothing changed. An error of the network or a cancellation ends the run, keeps what
    is done, and is told in the report.

    :param query: only files that this query of the search language finds.
    :param any_base: also versions for a base model for which no version is here.
    :param unavailable: also versions that cannot be downloaded (yet).
    :raises QuerySyntaxError: the query has a mistake.
    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    report = UpdatesReport()
    owned = _owned(catalog, query, report)
    report.models = len(owned)
    listener(TaskStarted(_TASK, "Civitai"))
    listener(StageEntered(_TASK, Stage.MATCH))
    asking = _Asking(catalog, client, report, any_base=any_base, unavailable=unavailable)
    try:
        for number, (model_id, here) in enumerate(sorted(owned.items()), start=1):
            if cancel is not None and cancel.is_set():
                raise Cancelled("stopped before all models were asked about")
            listener(TaskRenamed(_TASK, f"{number:,} of {len(owned):,}: {here.name}"))
            asking.about(model_id, here)
    except (NetworkError, AccessError, Cancelled) as error:
        report.stopped = error
    outcome = Outcome.DONE if report.stopped is None else Outcome.FAILED
    if isinstance(report.stopped, Cancelled):
        outcome = Outcome.CANCELLED
    listener(TaskFinished(_TASK, outcome, f"{report.checked:,} of {report.models:,} asked about"))
    return report


def _owned(catalog: Catalog, query: str, report: UpdatesReport) -> dict[int, _Owned]:
    """What is on disk, by model."""
    owned: dict[int, _Owned] = {}
    for rows in every_batch(catalog, query):
        present = [row for row in rows if row.state is not FileState.MISSING]
        published = catalog.published_as([row.id for row in present])
        for row in present:
            if row.id not in published:
                report.unmatched += 1
            for one in published.get(row.id, ()):
                known = owned.setdefault(one.model_id, _Owned(one.model_name))
                known.versions.setdefault(one.version_id, []).append((one, str(row.file)))
    return owned


class _Asking:
    """The questions of one run."""

    def __init__(
        self,
        catalog: Catalog,
        client: CivitaiClient,
        report: UpdatesReport,
        *,
        any_base: bool,
        unavailable: bool,
    ) -> None:
        self._catalog = catalog
        self._client = client
        self._report = report
        self._any_base = any_base
        self._unavailable = unavailable

    def about(self, model_id: int, owned: _Owned) -> None:
        """Ask about one model, record the answer, and report what is newer.

        :raises NetworkError, AccessError, Cancelled: as the client does.
        """
        try:
            answer = self._client.model(model_id)
        except UnknownModel:
            self._catalog.record_gone(model_id=model_id)
            self._gone(model_id, owned, None)
            self._report.checked += 1
            return
        except UnexpectedAnswer as error:
            name = owned.name
            self._report.unchecked.append(
                UncheckedModel(model_id=model_id, model_name=name, reason=error.message)
            )
            return
        self._record(answer)
        self._report.checked += 1
        self._look_for_gone(answer.value, owned)
        for update in newer_versions(
            answer.value, owned.here(), any_base=self._any_base, now=datetime.now(UTC)
        ):
            if update.unavailable and not self._unavailable:
                self._report.hidden += 1
                continue
            rows = self._catalog.find_local_by_version(update.version_id)
            paths = tuple(str(row.file) for row in rows if row.state is not FileState.MISSING)
            self._report.updates.append(dataclasses.replace(update, on_disk=paths))

    def _record(self, answer: Answer[Model]) -> None:
        versions: list[VersionRecord] = []
        files: list[RemoteFileRecord] = []
        for version in answer.value.versions:
            record = version_record(Answer(version, ""), answer.value.id)
            # A model's answer leaves out what is empty, and tells less of a version than its own.
            words = record.trained_words or None
            versions.append(dataclasses.replace(record, raw=None, trained_words=words))
            files += file_records(version)
        model = model_record(answer, Answer(answer.value.versions[0], "")) if versions else None
        if model is not None:
            self._catalog.record_published(model, versions, files)

    def _look_for_gone(self, model: Model, owned: _Owned) -> None:
        """Ask for the versions here that the model does not list: it lists none without files."""
        listed = {version.id for version in model.versions}
        for version_id, files in owned.versions.items():
            if version_id in listed or files[0][0].version_gone_at is not None or model.mode:
                continue
            try:
                self._client.version(version_id)
            except UnknownModel:
                self._catalog.record_gone(version_id=version_id)
                self._gone(model.id, owned, version_id)
            except UnexpectedAnswer:
                continue

    def _gone(self, model_id: int, owned: _Owned, version_id: int | None) -> None:
        concerned = owned.here()
        if version_id is not None:
            concerned = [one for one in concerned if one.version_id == version_id]
        self._report.gone.append(
            GoneModel(
                model_id=model_id,
                model_name=owned.name,
                version_id=version_id,
                version_name=concerned[0].version_name if version_id is not None else "",
                paths=tuple(path for one in concerned for path in one.paths),
            )
        )
