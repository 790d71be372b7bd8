"""One result: its name held, its sources hashed meanwhile, written, verified, recorded."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypedDict

from modelhub.convert.options import Overflow, Target
from modelhub.convert.plan import with_provenance
from modelhub.disk import disk_errors
from modelhub.errors import CatalogError
from modelhub.formats.hashes import ALL_HASHES, ContentHashes, hash_file
from modelhub.progress import Advanced, Listener, Notice, Outcome, Stage, StageEntered
from modelhub.services.convert.existing import is_same, made_before, may_be_same, name_taken
from modelhub.services.convert.locking import sole_writer
from modelhub.services.convert.naming import source_stem
from modelhub.services.convert.outcome import ConvertedFile
from modelhub.services.convert.preparing import Prepared, enter
from modelhub.services.convert.recording import record_folder, record_result, root_of
from modelhub.services.convert.report import kept_wider
from modelhub.services.convert.request import ConvertRequest
from modelhub.services.convert.source_hash import SourceHash, SourceHashes, known_sha256

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.config import Config
    from modelhub.convert.planning import Plan
    from modelhub.convert.readers import Source
    from modelhub.convert.writers import Phase, Progress, Written


class _Watched(TypedDict):
    """What all writers are told besides."""

    overflow: Overflow
    progress: Progress
    cancel: Event
    unchanged: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Maker:
    """What the steps of one conversion share."""

    ready: Prepared
    target: Path
    request: ConvertRequest
    task: str
    config: Config
    catalog: Catalog
    listener: Listener
    cancel: Event

    def make(self) -> ConvertedFile:
        """The result, new or of an earlier run.

        :raises NameTaken: another file has the name.
        :raises ModelhubError: as the writers do; then nothing is left behind.
        """
        with ExitStack() as stack:
            stack.enter_context(sole_writer(self.target, self.task, self.listener, self.cancel))
            hashes = stack.enter_context(self._hashes())
            plan = self._with_provenance(hashes)
            if os.path.lexists(self.target):
                return self._present(plan, hashes)
            if self.request.output is not None:
                with disk_errors(self.target):
                    self.target.parent.mkdir(parents=True, exist_ok=True)
            written = self._write(plan, hashes)
            return self._recorded(written, plan, hashes.values(self.cancel))

    def _hashes(self) -> SourceHashes:
        return SourceHashes([self._hash(one) for one in (self.ready.source, *self.ready.others)])

    def _hash(self, source: Source) -> SourceHash:
        path, files = source.path, source.files
        known = known_sha256(self.catalog, path) if len(files) == 1 else None
        return SourceHash(files, folder=path if path.is_dir() else path.parent, known=known)

    def _with_provenance(self, hashes: SourceHashes) -> Plan:
        """The plan with metadata that name its sources, or hold the places for their hashes."""
        title = source_stem(self.ready.source.path)
        return hashes.named_in(with_provenance(self.ready.plan, hashes.shown[0], title=title))

    def _present(self, plan: Plan, hashes: SourceHashes) -> ConvertedFile:
        """What an earlier run made.

        :raises NameTaken: it is something else.
        """
        target = self.target
        in_file = may_be_same(target, plan)
        if not in_file and plan.target is not Target.CKPT:
            raise name_taken(target)
        enter(self.task, Stage.HASH, self.listener, self.cancel)
        values = hashes.values(self.cancel)
        if not (
            (in_file and is_same(target, plan, hashes.provenance(self.cancel)))
            or made_before(self.catalog, target, plan.operation, values[0])
        ):
            raise name_taken(target)
        size = _size(target)
        return ConvertedFile(
            source=self.ready.source.path,
            outcome=Outcome.PRESENT,
            path=target,
            operation=plan.operation,
            size=size,
            source_size=self.ready.source.header.size,
            source_sha256=values[0],
            recorded=self._record_again(plan, values),
            notices=self.ready.notices,
        )

    def _record_again(self, plan: Plan, values: tuple[str, ...]) -> bool:
        """Record a result of a run that ended before it could; whether the catalog lists it."""
        target = self.target
        if self.catalog.find_local_by_path(target) is not None or target.is_dir():
            return True
        hashes = self._hash_again(target)
        return record_result(self.catalog, target, hashes, values, plan.operation)

    def _hash_again(self, path: Path) -> ContentHashes:
        with disk_errors(path):
            return hash_file(path, cancel=self.cancel)

    def _write(self, plan: Plan, hashes: SourceHashes) -> Written:
        watched: _Watched = {
            "overflow": self.request.options.overflow,
            "progress": self._progress(),
            "cancel": self.cancel,
            "unchanged": self.ready.check_unchanged,
        }
        # Only the catalog asks for others than SHA256, and it does not list what is in no root.
        kinds = ALL_HASHES if root_of(self.catalog, self.target) else ()
        if plan.target is Target.SAFETENSORS:
            from modelhub.convert.writers import write_safetensors

            hashes.start()
            late = partial(hashes.late_metadata, plan, self.cancel)
            return write_safetensors(plan, self.target, late_metadata=late, hashes=kinds, **watched)
        enter(self.task, Stage.HASH, self.listener, self.cancel)
        hashes.values(self.cancel)
        plan = self._with_provenance(hashes)
        if plan.target is Target.CKPT:
            from modelhub.convert.writers import write_ckpt

            return write_ckpt(plan, self.target, hashes=kinds, **watched)
        from modelhub.convert.diffusers import to_diffusers
        from modelhub.convert.writers import write_diffusers

        return write_diffusers(to_diffusers(plan), self.target, **watched)

    def _progress(self) -> Callable[[Phase, int, int], None]:
        """The writers' phases as stages of the task."""
        stages = {"search": Stage.COMPARE, "write": Stage.CONVERT, "verify": Stage.VERIFY}
        entered: list[str] = []

        def tell(phase: Phase, done: int, total: int) -> None:
            if entered[-1:] != [phase.value]:
                entered.append(phase.value)
                self.listener(StageEntered(self.task, stages[phase.value], total))
            self.listener(Advanced(self.task, done, total))

        return tell

    def _recorded(self, written: Written, plan: Plan, values: tuple[str, ...]) -> ConvertedFile:
        self.listener(StageEntered(self.task, Stage.RECORD))
        notices = list(self.ready.notices)
        if written.not_finite:
            names = ", ".join(written.not_finite[:3])
            notices.append(f"infinite or undefined values in the source, kept as they are: {names}")
        recorded = False
        try:
            recorded = self._record(written, plan, values)
        except CatalogError as error:
            # The result is whole and in its place; what is lacking is only its record.
            text = f"{written.path} is not in the catalog: {error.message}"
            notices.append(text)
            self.listener(Notice(self.task, text, warning=True))
        return ConvertedFile(
            source=self.ready.source.path,
            outcome=Outcome.DONE,
            path=written.path,
            operation=plan.operation,
            size=written.nbytes,
            source_size=self.ready.source.header.size,
            sha256=written.sha256 or None,
            source_sha256=values[0],
            kept_wider=kept_wider(written.kept),
            recorded=recorded,
            seconds_writing=written.seconds_writing,
            seconds_verifying=written.seconds_verifying,
            notices=tuple(notices),
        )

    def _record(self, written: Written, plan: Plan, values: tuple[str, ...]) -> bool:
        catalog, path = self.catalog, written.path
        hashes = written.hashes
        if hashes is not None:
            if hashes.blake3 is None and root_of(catalog, path):
                # Its folder became a root meanwhile.
                hashes = self._hash_again(path)
            return record_result(catalog, path, hashes, values, plan.operation)
        return record_folder(catalog, self.config, path, values, plan.operation, self.cancel)


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
