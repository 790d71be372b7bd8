"""What was rendered before: listed, shown, deleted, made a model's preview image."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import EventRecord, FileState, decode_path
from modelhub.disk import disk_errors
from modelhub.errors import FileUnreadable, NameTaken, UnknownFile, UnknownRender
from modelhub.placement.previews import existing_preview, preview_path
from modelhub.services.render.kept import KeptRender, kept_render
from modelhub.whole_files import create_file, take_name

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow, RenderRow

_LARGEST_PICTURE = 1 << 30
_MOST_OLD = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRender:
    """A picture of the catalog.

    :param model: the name of the file that it is of, as far as the catalog still has it.
    :param present: whether its file is there.
    """

    row: RenderRow
    kept: KeptRender
    path: Path
    model: str
    present: bool


def find_renders(
    catalog: Catalog, query: str = "", *, limit: int = 50, before: int | None = None
) -> list[ShownRender]:
    """The pictures of the files that a query finds, or all; the latest first.

    :param before: the id of a picture, to page on.
    :raises QuerySyntaxError: the query has a mistake.
    """
    rows = catalog.renders(query or None, limit=limit, before=before)
    return [_shown(catalog, row) for row in rows]


def show_render(catalog: Catalog, number: int) -> ShownRender:
    """One picture.

    :raises UnknownRender: there is none of that number.
    """
    row = catalog.render(number)
    if row is None:
        raise UnknownRender(f"the catalog has no render {number}")
    return _shown(catalog, row)


def _shown(catalog: Catalog, row: RenderRow) -> ShownRender:
    kept = kept_render(row)
    path = decode_path(row.file)
    tested = next((one for one in kept.files if one.sha256 == row.sha256), kept.files[0])
    files = catalog.find_local_by_sha256(row.sha256)
    name = files[0].file.name if files else tested.file.name
    return ShownRender(row=row, kept=kept, path=path, model=name, present=path.is_file())


def delete_render(catalog: Catalog, number: int) -> str:
    """Delete a picture: its file and its row. A file that is another by now is left alone.

    :returns: what became of the file, in a sentence.
    :raises UnknownRender: there is none of that number.
    :raises DiskError: the file cannot be removed; its row is still there.
    """
    shown = show_render(catalog, number)
    path = shown.path
    said = f"{path} was gone already"
    if os.path.lexists(path):
        if _is_ours(shown):
            with disk_errors(path):
                path.unlink()
            said = f"{path} deleted"
        else:
            said = f"{path} was kept: it is not the picture that was rendered"
    catalog.forget_render(number)
    return said


def make_preview(catalog: Catalog, number: int, *, replace: bool = False) -> list[Path]:
    """Make a picture the preview image of the model that it is of, beside each of its files.

    :param replace: where there is one, put it aside under another name.
    :returns: the previews that were written.
    :raises UnknownRender: there is no such picture.
    :raises UnknownFile: the catalog knows no file of the model that is on disk.
    :raises FileUnreadable: the picture is gone, or another by now.
    :raises NameTaken: there is a preview, and it is not to be replaced; nothing was written.
    """
    shown = show_render(catalog, number)
    if not _is_ours(shown):
        raise FileUnreadable(
            f"{shown.path} is gone, or not the picture that was rendered",
            hint=f"`modelhub render --again {number}` makes it once more",
        )
    rows = catalog.find_local_by_sha256(shown.row.sha256)
    files = [row for row in rows if row.state is not FileState.MISSING and row.file.is_file()]
    if not files:
        raise UnknownFile(f"{shown.model} is in no root: a preview is kept beside its file")
    for row in files:
        there = existing_preview(row.file)
        if there is not None and not replace:
            raise NameTaken(
                f"{row.file.name} has a preview already: {there}",
                hint="--replace puts it aside under another name",
            )
    png = shown.path.read_bytes()
    return [_written_preview(catalog, row, png, number) for row in files]


def _written_preview(catalog: Catalog, row: FileRow, png: bytes, number: int) -> Path:
    while (there := existing_preview(row.file)) is not None:
        _put_aside(there)
    path = preview_path(row.file, "png")
    with disk_errors(path):
        create_file(path, png)
    catalog.record_event(
        EventRecord(
            kind="preview",
            text=f"render {number} is the preview of {row.file.name}",
            sha256=row.sha256,
            local_file_id=row.id,
        )
    )
    return path


def _put_aside(preview: Path) -> None:
    """Rename a preview so that no tool takes it for one any more."""
    for number in range(1, _MOST_OLD):
        aside = preview.with_name(f"{preview.stem}.old-{number}{preview.suffix}")
        with disk_errors(preview):
            try:
                take_name(preview, aside)
            except FileExistsError:
                continue
        return
    raise NameTaken(f"{preview} cannot be put aside: too many were before")


def _is_ours(shown: ShownRender) -> bool:
    """Whether the file is the picture as it was written."""
    try:
        if shown.path.is_symlink() or shown.path.stat().st_size > _LARGEST_PICTURE:
            return False
        return hashlib.sha256(shown.path.read_bytes()).hexdigest() == shown.kept.file_sha256
    except OSError:
        return False
