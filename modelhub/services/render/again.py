"""A picture once more, by all that was recorded of it; and whether it is the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelhub.errors import (
    Cancelled,
    CatalogError,
    FileUnreadable,
    FormatError,
    ModelhubError,
    UnknownRender,
)
from modelhub.formats.reading import require_regular
from modelhub.progress import Listener, Outcome, Stage, StageEntered, TaskFinished, TaskStarted
from modelhub.render.images.pictures import require_pillow
from modelhub.render.pool import RenderPool
from modelhub.render.request import Request
from modelhub.render.worker.started import require_extra
from modelhub.services.render.files import ModelFiles
from modelhub.services.render.hashes import FileHash, FileHashes, is_tokenizer, tokenizer_hash
from modelhub.services.render.kept import (
    Finished,
    KeptFile,
    KeptRender,
    day_folder,
    kept_render,
    record_picture,
    require_places,
    write_picture,
)
from modelhub.services.render.outcome import RenderedImage
from modelhub.services.render.relaying import Relay
from modelhub.services.render.workers import workers

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, RenderRow
    from modelhub.config import Config

_TASK = "again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A picture that was made once more.

    :param identical: whether its pixels are those of the first one.
    :param other: what is not as it was then: the device, versions of torch or diffusers.
    """

    image: RenderedImage
    of: int
    identical: bool
    other: tuple[str, ...]


def render_again(
    number: int,
    *,
    out: Path | None,
    config: Config,
    catalog: Catalog,
    listener: Listener,
    cancel: Event,
    pool: RenderPool | None = None,
) -> Again:
    """Make a picture of the catalog once more.

    :param out: the folder to write to; None: that of today.
    :param pool: workers that are kept warm beyond this; None: of its own.
    :raises UnknownRender: the catalog has no such picture.
    :raises FileUnreadable: a file that it was made of is gone, or another by now.
    :raises MissingExtra: torch, or what else rendering needs, is not installed.
    :raises ModelhubError: as :func:`modelhub.services.render.render` tells of a picture.
    """
    require_extra()
    require_pillow()
    row = catalog.render(number)
    if row is None:
        raise UnknownRender(f"the catalog has no render {number}")
    kept = kept_render(row)
    folder = day_folder() if out is None else out.absolute()
    require_places(folder, None)
    listener(TaskStarted(_TASK, f"render {number}"))
    try:
        with workers(config, kept.device_wish.device, pool) as ours, FileHashes(catalog) as hashes:
            originals = _Originals(kept, catalog, hashes, cancel)
            one = _rendered(originals, number, ours, listener, cancel)
        tested = originals.paths.get(row.sha256, originals.paths[kept.files[0].sha256])
        path, now = write_picture(one, folder, f"{tested.stem}-again-{number}")
    except ModelhubError as error:
        stopped = isinstance(error, Cancelled)
        outcome = Outcome.CANCELLED if stopped else Outcome.FAILED
        listener(TaskFinished(_TASK, outcome, "" if stopped else error.message))
        raise
    image = _recorded(catalog, row, tested, path, now, one.rendered.notices)
    listener(TaskFinished(_TASK, Outcome.DONE, str(path)))
    return Again(
        image=image,
        of=number,
        identical=now.pixels_sha256 == kept.pixels_sha256,
        other=_otherwise(kept, now),
    )


def _rendered(
    originals: _Originals, number: int, pool: RenderPool, listener: Listener, cancel: Event
) -> Finished:
    """The picture, of files that are what they were, before and after."""
    kept = originals.kept
    listener(StageEntered(_TASK, Stage.HASH))
    known = originals.find()
    wish = kept.device_wish
    asked = replace(wish, device=None) if "," in (wish.device or "") else wish
    request = Request(
        id=_TASK, recipe=kept.recipe(originals.paths), settings=kept.settings, wish=asked
    )
    rendered = pool.render(request, Relay(listener), cancel)
    originals.check()
    return Finished(
        request=replace(request, wish=wish),
        rendered=rendered,
        hashes=known,
        label=kept.label,
        again_of=number,
    )


def _recorded(
    catalog: Catalog,
    row: RenderRow,
    tested: Path,
    path: Path,
    now: KeptRender,
    notices: tuple[str, ...],
) -> RenderedImage:
    number = None
    try:
        number = record_picture(catalog, path, now, row.sha256)
    except CatalogError as error:
        notices = (*notices, f"{path} is not in the catalog: {error.message}")
    return RenderedImage(
        path=path, id=number, label=now.label, tested=tested, kept=now, notices=notices
    )


@dataclass(frozen=True, slots=True)
class _Originals:
    """The files that a picture was made of.

    :ivar paths: where each is now, by its SHA256; empty before :meth:`find`.
    """

    kept: KeptRender
    catalog: Catalog
    hashes: FileHashes
    cancel: Event
    paths: dict[str, Path] = field(default_factory=dict)

    def find(self) -> dict[str, FileHash]:
        """Find all of them; their hashes by their paths.

        :raises FileUnreadable: one is gone, or is another by now.
        """
        known: dict[str, FileHash] = {}
        for file in self.kept.files:
            path = self.paths[file.sha256] = self._found(file)
            known[str(path)] = FileHash(file.sha256, file.size, file.autov3)
        return known

    def check(self) -> None:
        """See that they still are what they were.

        :raises FileUnreadable: one is not.
        """
        for file in self.kept.files:
            self._check(file, self.paths[file.sha256])

    def _found(self, file: KeptFile) -> Path:
        """The file where it was, or wherever the catalog knows its content to be."""
        rows = self.catalog.find_local_by_sha256(file.sha256)
        error: FileUnreadable | None = None
        for path in dict.fromkeys([file.file, *(row.file for row in rows)]):
            try:
                self._check(file, path)
            except FileUnreadable as failure:
                error = error or failure
            else:
                return path
        assert error is not None
        raise error

    def _check(self, file: KeptFile, path: Path) -> None:
        if not path.exists():
            raise FileUnreadable(
                f"{path} is gone, and the {file.role} of this picture was in it",
                hint="put it back, and run `modelhub index` if it is elsewhere now",
            )
        if is_tokenizer(path):
            found = tokenizer_hash(path)
        elif require_regular(path).st_size != file.size:
            raise _changed(file, path)
        else:
            files = ModelFiles(
                self.catalog, allow_unsafe=self.kept.allow_unsafe, warn=lambda _: None
            )
            try:
                self.hashes.begin([files.at(path)])
            except FormatError as error:
                raise _changed(file, path) from error
            found = self.hashes.of(path, self.cancel)
        if found.sha256 != file.sha256:
            raise _changed(file, path)


def _changed(file: KeptFile, path: Path) -> FileUnreadable:
    return FileUnreadable(
        f"{path} is another file than the {file.role} that this picture was made of",
        hint=f"its SHA256 was {file.sha256}",
    )


def _otherwise(then: KeptRender, now: KeptRender) -> tuple[str, ...]:
    found = []
    if then.device != now.device:
        found.append(f"device: {then.device}, now {now.device}")
    names = sorted({*then.versions, *now.versions})
    found += [
        f"{name}: {then.versions.get(name, 'none')}, now {now.versions.get(name, 'none')}"
        for name in names
        if then.versions.get(name) != now.versions.get(name)
    ]
    if (then.weights, then.arithmetic) != (now.weights, now.arithmetic):
        found.append(f"computed in {then.arithmetic}, now in {now.arithmetic}")
    return tuple(found)
