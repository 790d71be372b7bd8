"""A run: what is asked is made ready, rendered, written, recorded, and drawn side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelhub.config.paths import library_root
from modelhub.errors import (
    Cancelled,
    CatalogError,
    DiskError,
    FileUnreadable,
    ModelhubError,
    UnknownFile,
)
from modelhub.progress import (
    Listener,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskStarted,
)
from modelhub.render.answers import Rendered
from modelhub.render.defaults import check
from modelhub.render.images.pictures import require_pillow
from modelhub.render.pool import RenderPool
from modelhub.render.request import Request, Settings
from modelhub.render.worker.started import require_extra
from modelhub.services.convert.sources import chosen_sources
from modelhub.services.render.asking import Asking, Ready
from modelhub.services.render.drawing import Place, drawn, write_grid
from modelhub.services.render.files import ModelFiles
from modelhub.services.render.hashes import FileHash, FileHashes, tokenizer_hash
from modelhub.services.render.kept import (
    Finished,
    KeptRender,
    day_folder,
    record_picture,
    require_places,
    write_picture,
)
from modelhub.services.render.outcome import FailedImage, RenderedImage, RenderReport
from modelhub.services.render.relaying import Relay
from modelhub.services.render.sheets import Refused, Sheet, sheets
from modelhub.services.render.wish import RenderWish
from modelhub.services.render.workers import workers

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.config import Config

_TASK = "render"
_LONGEST_LABEL = 60


def render(
    texts: Sequence[str],
    wish: RenderWish,
    *,
    config: Config,
    catalog: Catalog,
    listener: Listener,
    cancel: Event,
    pool: RenderPool | None = None,
) -> RenderReport:
    """Make test images of files: of each one, or grids of what is compared.

    Each picture is on disk, whole, and in the catalog as soon as it is made; one that fails does
    not stop the others. After a `cancel` the report says so, and has what was finished.

    :param texts: the files: paths, patterns, names that the catalog knows, queries.
    :param pool: workers that are kept warm beyond this run; None: of its own.
    :raises MissingExtra: torch, or what else rendering needs, is not installed.
    :raises UnknownFile, AmbiguousFile: a text means no file, or several.
    :raises UsageError: what is asked for makes no sense.
    :raises DiskError: the pictures could not be written.
    """
    require_extra()
    require_pillow()
    settings = wish.seeded()
    check(settings)
    folder = day_folder() if wish.out is None else wish.out.absolute()
    require_places(folder, wish.grid)
    paths = chosen_sources(catalog, texts)
    report = RenderReport()

    planned = _planned(paths, wish, settings, config, catalog, report, listener)
    needed = any(
        isinstance(cell, Ready) for sheet in planned for row in sheet.cells for cell in row
    )
    # A pool starts no process before it is asked for a picture, or told to start.
    idle = nullcontext(pool or RenderPool())
    making = workers(config, wish.device.device, pool) if needed else idle
    with making as ours, FileHashes(catalog) as hashes:
        relay = Relay(listener, report.notices)
        run = Run(wish, folder, catalog, ours, hashes, listener, relay, cancel)
        run.begin_hashing(planned)
        for number, sheet in enumerate(planned):
            run.make(sheet, number, report)
    return report


def _planned(
    paths: Sequence[Path],
    wish: RenderWish,
    settings: Settings,
    config: Config,
    catalog: Catalog,
    report: RenderReport,
    listener: Listener,
) -> list[Sheet]:
    """What to make, before any process is started: mistakes are told at once."""

    def tell(text: str) -> None:
        report.notices.append(text)
        listener(Notice(_TASK, text))

    def warn(text: str) -> None:
        report.notices.append(text)
        listener(Notice(_TASK, text, warning=True))

    listener(TaskStarted(_TASK, "render"))
    listener(StageEntered(_TASK, Stage.READ))
    files = ModelFiles(catalog, allow_unsafe=wish.allow_unsafe, warn=warn)
    asking = Asking(wish, settings, catalog, files, tell, [library_root(config)])
    planned = list(sheets(paths, wish, files, asking))
    listener(TaskFinished(_TASK, Outcome.DONE))
    return planned


@dataclass(slots=True)
class _Sheet:
    """What came of a sheet so far."""

    made: dict[Place, Rendered] = field(default_factory=dict)
    images: dict[Place, RenderedImage] = field(default_factory=dict)
    failures: dict[Place, ModelhubError] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """What the sheets of a run share.

    :ivar obstacle: why no more pictures can be written; the rest is not rendered then.
    """

    wish: RenderWish
    folder: Path
    catalog: Catalog
    pool: RenderPool
    hashes: FileHashes
    listener: Listener
    relay: Relay
    cancel: Event
    obstacle: DiskError | None = None

    def begin_hashing(self, planned: Sequence[Sheet]) -> None:
        """Hash all files that will take part, while the workers start."""
        cells = [cell for sheet in planned for row in sheet.cells for cell in row]
        ready = [cell for cell in cells if isinstance(cell, Ready)]
        self.hashes.begin(file for cell in ready for file in cell.files.values())

    def make(self, sheet: Sheet, number: int, report: RenderReport) -> None:
        """Render all cells of a sheet, and draw its grid; failures are told in the report."""
        found = _Sheet()
        places = {f"{number}-{row}-{column}": (row, column) for row, column in sheet.order}
        requests = []
        for name, place in places.items():
            self.listener(TaskStarted(name, _title(sheet, place)))
            cell = _at(sheet, place)
            if isinstance(cell, Refused):
                self._failed(found, name, place, cell.error)
            elif self.obstacle is not None:
                self._failed(found, name, place, self.obstacle)
            else:
                requests.append(self._placed(cell, name))
        self._render(sheet, places, requests, found)
        report.images += _in_order(sheet, found)
        report.stopped = any(isinstance(one.error, Cancelled) for one in report.failed)
        if sheet.axes and found.made and not report.stopped and self.obstacle is None:
            self._draw(sheet, found, report)

    def _placed(self, cell: Ready, name: str) -> Request:
        """The request under its task's name; of several devices, each worker has its own."""
        request = replace(cell.request, id=name)
        if "," in (request.wish.device or ""):
            request = replace(request, wish=replace(request.wish, device=None))
        return request

    def _render(
        self,
        sheet: Sheet,
        places: Mapping[str, Place],
        requests: Sequence[Request],
        found: _Sheet,
    ) -> None:
        for request, outcome in self.pool.render_all(requests, self.relay, self.cancel):
            place = places[request.id]
            if isinstance(outcome, ModelhubError):
                self._failed(found, request.id, place, outcome)
                continue
            if self.obstacle is not None:
                self._failed(found, request.id, place, self.obstacle)
                continue
            try:
                found.images[place] = self._kept(sheet, place, request, outcome)
                found.made[place] = outcome
            except ModelhubError as error:
                self._failed(found, request.id, place, error)
                if isinstance(error, DiskError) and not isinstance(error, FileUnreadable):
                    self.obstacle = error

    def _failed(self, found: _Sheet, task: str, place: Place, error: ModelhubError) -> None:
        found.failures[place] = error
        stopped = isinstance(error, Cancelled)
        outcome = Outcome.CANCELLED if stopped else Outcome.FAILED
        self.listener(TaskFinished(task, outcome, "" if stopped else error.message))

    def _kept(
        self, sheet: Sheet, place: Place, request: Request, rendered: Rendered
    ) -> RenderedImage:
        """Write and record one picture."""
        cell = _at(sheet, place)
        assert isinstance(cell, Ready)
        self.listener(StageEntered(request.id, Stage.RECORD))
        one = Finished(
            request=replace(request, wish=self.wish.device),
            rendered=rendered,
            hashes=self._hashed(cell),
            label=sheet.label(*place),
        )
        path, kept = write_picture(one, self.folder, _stem(cell, rendered, one.label))
        number, notices = self._recorded(path, kept, one.hashes[str(cell.tested.path)].sha256)
        self.listener(TaskFinished(request.id, Outcome.DONE, str(path)))
        return RenderedImage(
            path=path,
            id=number,
            label=one.label,
            tested=cell.tested.path,
            kept=kept,
            notices=(*rendered.notices, *notices),
        )

    def _hashed(self, cell: Ready) -> dict[str, FileHash]:
        found = {path: self.hashes.of(one.path, self.cancel) for path, one in cell.files.items()}
        return found | {path: tokenizer_hash(Path(path)) for path in cell.tokenizers}

    def _recorded(self, path: Path, kept: KeptRender, sha256: str) -> tuple[int | None, list[str]]:
        try:
            return record_picture(self.catalog, path, kept, sha256), []
        except (CatalogError, UnknownFile) as error:
            # The picture is whole and in its place; what is lacking is only its record.
            return None, [f"{path} is not in the catalog: {error.message}"]

    def _draw(self, sheet: Sheet, found: _Sheet, report: RenderReport) -> None:
        why = {place: error.message for place, error in found.failures.items()}
        png, said = drawn(sheet, found.made, why, sheet.tested.stem)
        stem = f"{sheet.tested.stem}-{'-'.join(axis.kind.value for axis in sheet.axes)}"
        wanted = self.wish.grid if not report.grids else None
        try:
            path = write_grid(png, wanted, self.folder, stem)
        except DiskError as error:
            report.images.append(FailedImage(label="grid", tested=sheet.tested, error=error))
            return
        report.grids.append(dataclasses.replace(said, path=path))


def _stem(cell: Ready, rendered: Rendered, label: str) -> str:
    """The name of a picture: its model, the seed, and what is varied."""
    varied = f"-{label[:_LONGEST_LABEL].replace(', ', '-').replace(' ', '_')}" if label else ""
    return f"{cell.tested.path.stem}-{rendered.settings.seed}{varied}"


def _title(sheet: Sheet, place: Place) -> str:
    label = sheet.label(*place)
    return f"{sheet.tested.name}: {label}" if label else sheet.tested.name


def _at(sheet: Sheet, place: Place) -> Ready | Refused:
    return sheet.cells[place[0]][place[1]]


def _in_order(sheet: Sheet, found: _Sheet) -> Iterator[RenderedImage | FailedImage]:
    for place in sorted(sheet.order):
        cell = _at(sheet, place)
        tested = cell.tested.path if isinstance(cell, Ready) else sheet.tested
        if place in found.images:
            yield found.images[place]
        elif place in found.failures:
            error = found.failures[place]
            yield FailedImage(label=sheet.label(*place), tested=tested, error=error)
