"""Pulling: each reference goes through the same row of stages.

resolve -> choose -> plan -> (present already?) -> transfer -> verify -> scan -> place -> record
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from modelhub.catalog import FileState
from modelhub.civitai.choose import choose_file
from modelhub.civitai.links import host_of
from modelhub.civitai.references import FileWish, parse_reference
from modelhub.errors import Cancelled, ModelhubError, NoMatchingFile, UnsafeFileError
from modelhub.placement.roots import prepare_folder
from modelhub.progress import (
    Notice,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
)
from modelhub.services.index.contents import pickles_of
from modelhub.services.pull.outcome import FailedPull, PulledFile, PullOptions, PullOutcome
from modelhub.services.pull.place import Companions, put_in_place, write_companions
from modelhub.services.pull.plan import Plan, plan
from modelhub.services.pull.present import (
    Present,
    Standing,
    find_in_catalog,
    find_on_disk,
    what_stands,
)
from modelhub.services.pull.record import identified, record, record_preview
from modelhub.services.pull.resolve import Resolved, resolve
from modelhub.services.pull.safety import (
    find_quarantined,
    put_in_quarantine,
    reason_of,
    refuse_known,
    withheld,
    withholds,
)
from modelhub.services.scan import release_file, require_safe
from modelhub.transfer import (
    AlreadyThere,
    Downloaded,
    DownloadRequest,
    TransferSettings,
    download,
    release,
)

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.civitai.client import CivitaiClient
    from modelhub.civitai.schema import ModelFile, Version
    from modelhub.config import Config
    from modelhub.progress import Listener
    from modelhub.services.index.contents import Pickles


@dataclass(frozen=True, slots=True)
class Puller:
    """What the stages of one pull share."""

    options: PullOptions
    config: Config
    client: CivitaiClient
    catalog: Catalog
    listener: Listener
    cancel: Event

    def pull(self, task: str, reference: str) -> PullOutcome:
        """Take one reference through all stages; an error of ours is an outcome, not raised."""
        self.listener(TaskStarted(task, reference))
        try:
            pulled = self._pull(task, reference)
        except ModelhubError as error:
            stopped = isinstance(error, Cancelled)
            outcome = Outcome.CANCELLED if stopped else Outcome.FAILED
            self.listener(TaskFinished(task, outcome, error.message))
            return FailedPull(reference, error)
        outcome = Outcome.PLANNED if pulled.planned else pulled.outcome
        self.listener(TaskFinished(task, outcome, str(pulled.path)))
        return pulled

    def _pull(self, task: str, reference: str) -> PulledFile:
        started = time.monotonic()
        self._enter(task, Stage.RESOLVE)
        hosts = (host_of(self.config.civitai.url),)
        resolved = resolve(
            self.client, parse_reference(reference, hosts=hosts), version=self.options.version
        )
        if resolved.notice:
            self.listener(Notice(task, resolved.notice, warning=True))
        file, reason = self._choose(resolved)
        planned = plan(self.config, self.options, resolved, file, reason)
        self.listener(TaskRenamed(task, planned.relative.name))
        self.listener(Notice(task, _choice_in_words(resolved.version.value, file, reason)))
        pulled = self._get(task, reference, planned)
        return replace(pulled, seconds=time.monotonic() - started)

    def _choose(self, resolved: Resolved) -> tuple[ModelFile, str]:
        version = resolved.version.value
        wish = _wish(resolved.wish, self.options, version)
        model = resolved.model.value if resolved.model is not None else None
        choice = choose_file(version, wish, model=model)
        return choice.file, choice.reason

    def _get(self, task: str, reference: str, planned: Plan) -> PulledFile:
        held = find_quarantined(self.catalog, planned)
        refuse_known(self.catalog, self.config, self.options, planned, held)
        if self.options.dry_run:
            found = find_in_catalog(self.catalog, self.config, planned, self.cancel, dry_run=True)
            return _result(reference, planned, found, planned_only=True)
        prepare_folder(
            planned.root, planned.relative.parent, create_root=not self.config.library.root
        )
        if held is not None:
            release_file(self.catalog, held.file)
        present = find_in_catalog(self.catalog, self.config, planned, self.cancel)
        seen = what_stands(planned)
        if present is None:
            present = find_on_disk(planned, task, self.listener, self.cancel)
        if present is not None:
            return self._keep(task, reference, planned, present)
        return self._fetch(task, reference, planned, seen)

    def _fetch(self, task: str, reference: str, planned: Plan, seen: Standing) -> PulledFile:
        request = DownloadRequest(
            task=task,
            source=_Link(self.client, planned.resolved.version.value.id, planned.file),
            folder=planned.folder,
            partial_name=planned.partial_name,
            expected=planned.expected,
        )
        found: list[Present] = []

        def done_meanwhile() -> Path | None:
            if what_stands(planned) == seen:
                return None  # what was read a moment ago is not read again
            present = find_on_disk(planned, task, self.listener, self.cancel)
            if present is None:
                return None
            found.append(present)
            return present.path

        fetched = download(
            request,
            TransferSettings.of(self.config),
            self.config,
            self.listener,
            self.cancel,
            recheck=done_meanwhile,
        )
        if isinstance(fetched, AlreadyThere):
            return self._keep(task, reference, planned, found[-1])
        return self._place(task, reference, planned, fetched)

    def _place(self, task: str, reference: str, planned: Plan, fetched: Downloaded) -> PulledFile:
        pickles = self._scanned(task, planned, fetched)
        if pickles and withholds(self.config, self.options, pickles.report.verdict):
            raise self._withheld(task, planned, fetched, pickles)
        path = put_in_place(planned, fetched)
        present = Present(path, Outcome.DONE, fetched.hashes, fetched.verified_by)
        pulled = self._keep(task, reference, planned, present, pickles)
        return replace(
            pulled,
            fetched=fetched.fetched_bytes,
            resumed=fetched.resumed_bytes,
            download_seconds=fetched.seconds,
        )

    def _scanned(self, task: str, planned: Plan, fetched: Downloaded) -> Pickles | None:
        """What a scan says of the file, on its way to its place.

        Stopped here, its lock is given up: this process may live on for days, and another one, or
        another host, is to go on with the file.
        """
        try:
            self._enter(task, Stage.SCAN)
            pickles = pickles_of(fetched.partial, name=planned.relative.name)
            self._enter(task, Stage.PLACE)
        except BaseException:
            release(fetched.partial)
            raise
        return pickles

    def _withheld(
        self, task: str, planned: Plan, fetched: Downloaded, pickles: Pickles
    ) -> UnsafeFileError:
        """Put the file into quarantine; the error that says so."""
        path = put_in_quarantine(planned, fetched)
        self._enter(task, Stage.RECORD)
        version = planned.resolved.version.value
        record(
            self.catalog,
            planned,
            path,
            fetched.hashes,
            happened=f"{planned.resolved.model_name} {version.name}: put into quarantine, "
            f"{pickles.report.verdict}: {reason_of(pickles.report)}",
            verified_by=fetched.verified_by,
            found=identified(path, pickles, name=planned.relative.name),
            state=FileState.QUARANTINED,
        )
        return withheld(planned, path, pickles.report)

    def _keep(
        self,
        task: str,
        reference: str,
        planned: Plan,
        present: Present,
        pickles: Pickles | None = None,
    ) -> PulledFile:
        """Sidecars and the catalog, for a file that is in its place.

        The catalog first: a file that is there and not recorded is the worse half.
        """
        self._enter(task, Stage.RECORD)
        version = planned.resolved.version.value
        happened = f"{planned.resolved.model_name} {version.name}: {_DONE[present.outcome]}"
        known = self.catalog.find_local_by_path(present.path) is not None
        contents = identified(present.path, pickles)
        record(
            self.catalog,
            planned,
            present.path,
            present.hashes,
            happened=None if known and present.outcome is Outcome.PRESENT else happened,
            verified_by=present.verified_by,
            found=contents,
        )
        companions = Companions()
        if present.path.parent == planned.folder:
            companions = write_companions(
                self.config,
                planned,
                present.path,
                present.path.stat().st_size,
                present.hashes.sha256,
                self.cancel,
            )
            record_preview(self.catalog, planned, companions.preview)
        verdict = contents.pickle_verdict if contents else None
        warning = require_safe(verdict or "safe", present.path, allow=True)
        if warning:
            companions.notices.insert(0, warning)
        for notice in companions.notices:
            self.listener(Notice(task, notice, warning=True))
        result = _result(reference, planned, present, companions=companions)
        return replace(result, verdict=verdict)

    def _enter(self, task: str, stage: Stage) -> None:
        if self.cancel.is_set():
            raise Cancelled("stopped")
        self.listener(StageEntered(task, stage))


_DONE = {
    Outcome.DONE: "downloaded and verified",
    Outcome.PRESENT: "already here",
    Outcome.LINKED: "linked to the same content",
}


@dataclass(frozen=True, slots=True)
class _Link:
    """Fresh links to one published file."""

    client: CivitaiClient
    version_id: int
    file: ModelFile

    def link(self) -> str:
        found = self.client.download_link(
            self.version_id, file_id=self.file.id, published_url=self.file.download_url
        )
        return found.url


def _wish(of_reference: FileWish, options: PullOptions, version: Version) -> FileWish:
    """What the reference asks for, with the options put over it.

    :raises NoMatchingFile: `--file` names a file that the version does not have.
    """
    wish = FileWish(
        file_id=of_reference.file_id,
        type=options.file_type or of_reference.type,
        format=options.format or of_reference.format,
        fp=options.precision or of_reference.fp,
        size=options.size or of_reference.size,
        quant_type=of_reference.quant_type,
    )
    if options.file is None:
        return wish
    for file in version.files:
        if options.file == str(file.id) or options.file.casefold() == file.name.casefold():
            return replace(wish, file_id=file.id)
    names = ", ".join(f"{file.name} ({file.id})" for file in version.files[:10])
    raise NoMatchingFile(
        f"version {version.id} “{version.name}” has no file {options.file}", hint=f"it has {names}"
    )


def _choice_in_words(version: Version, file: ModelFile, reason: str) -> str:
    return f"version {version.id} “{version.name}”, file {file.id}: {reason}"


def _result(
    reference: str,
    planned: Plan,
    present: Present | None,
    *,
    companions: Companions | None = None,
    planned_only: bool = False,
) -> PulledFile:
    resolved = planned.resolved
    companions = companions or Companions()
    notices = list(companions.notices)
    if present is not None and present.notice:
        notices.insert(0, present.notice)
    size = planned.expected.size or 0
    if present is not None and present.path.exists():
        size = present.path.stat().st_size
    return PulledFile(
        reference=reference,
        outcome=present.outcome if present is not None else Outcome.DONE,
        path=present.path if present is not None else planned.target,
        size=size,
        sha256=present.hashes.sha256 if present is not None else planned.expected.sha256,
        verified_by=present.verified_by if present is not None else None,
        model_id=resolved.model_id,
        model=resolved.model_name,
        version_id=resolved.version.value.id,
        version=resolved.version.value.name,
        file_id=planned.file.id,
        file=planned.file.name,
        reason=planned.reason,
        planned=planned_only,
        sidecars=companions.sidecars,
        notices=notices,
    )
