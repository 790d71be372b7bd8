"""Pictures side by side: a labelled grid, as one PNG.

All cells have the size of the largest picture; smaller ones hang from the upper edge. Tiny pictures
are enlarged by a whole number, without smoothing; what would become too large is scaled down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.errors import FormatError
from modelhub.render.images.lettering import Lettering, lettering, write
from modelhub.render.images.pictures import (
    MOST_PIXELS,
    opened_picture,
    picture_size,
    png_of,
    require_pillow,
)

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

LONGEST_SIDE = 16_384
_SMALLEST_CELL = 16
_LEGIBLE_CELL = 192
"""Pixels: narrower pictures are enlarged, so that their labels can be read."""
_EMPTY_CELL = (256, 256)
_FAINT, _PAPER, _WRONG = "#555555", "white", "#fbe3e0"


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of a grid.

    :param picture: a PNG file; None where there is none.
    :param failure: why there is none, written in its place.
    :param caption: written below the picture.
    """

    picture: bytes | None = None
    failure: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything stands, in pixels."""

    box: tuple[int, int]
    gap: int
    title: Lettering
    footnote: Lettering
    columns: tuple[Lettering, ...]
    rows: tuple[Lettering, ...]
    captions: tuple[tuple[Lettering, ...], ...]

    @property
    def left(self) -> int:
        widest = max((one.width for one in self.rows), default=0)
        return self.gap + (widest + self.gap if widest else 0)

    @property
    def top(self) -> int:
        tallest = max((one.height for one in self.columns), default=0)
        title = self.title.height + self.gap if self.title.lines else 0
        return self.gap + title + (tallest + self.gap // 2 if tallest else 0)

    def row_height(self, row: int) -> int:
        """Of the picture and its caption, or of the label where that is taller."""
        caption = max((one.height for one in self.captions[row]), default=0)
        return max(self.box[1] + caption, self.rows[row].height if self.rows else 0)

    def place(self, row: int, column: int) -> tuple[int, int]:
        """The upper left corner of a cell."""
        above = sum(self.row_height(one) + self.gap for one in range(row))
        return self.left + column * (self.box[0] + self.gap), self.top + above

    @property
    def size(self) -> tuple[int, int]:
        width, height = self.place(len(self.captions), len(self.captions[0]))
        width = max(width, 2 * self.gap + max(self.title.width, self.footnote.width))
        return width, height + (self.footnote.height + self.gap if self.footnote.lines else 0)


def grid(
    cells: Sequence[Sequence[Cell]],
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    footnote: str = "",
) -> bytes:
    """All cells in one PNG, at most 16,384 pixels a side and 89 million in all.

    A picture that cannot be read is told so in its place.

    :param cells: row by row, each as long as the others.
    :param rows: the label of each row, or none at all; `columns` the same.
    :raises ValueError: rows of different lengths, or more or fewer labels than cells.
    :raises MissingExtra: Pillow is not installed.
    """
    require_pillow()
    if not cells or not cells[0] or len({len(row) for row in cells}) != 1:
        raise ValueError("a grid needs cells, the same number in each row")
    if len(rows) not in (0, len(cells)) or len(columns) not in (0, len(cells[0])):
        raise ValueError("a grid needs as many labels as it has rows and columns, or none")
    read = [[_readable(cell) for cell in row] for row in cells]
    largest = _largest(read)
    scale = max(1.0, math.ceil(_LEGIBLE_CELL / max(largest)))
    while True:
        wide, high = (max(_SMALLEST_CELL, round(side * scale)) for side in largest)
        layout = _laid_out(read, (rows, columns), (title, footnote), (wide, high))
        width, height = layout.size
        over = max(width / LONGEST_SIDE, height / LONGEST_SIDE)
        over = max(over, math.sqrt(width * height / MOST_PIXELS))
        if over <= 1:
            return _drawn(read, layout, scale)
        if min(layout.box) <= _SMALLEST_CELL:
            raise ValueError("a grid of that many cells cannot be drawn")
        scale *= min(0.98, 1 / over)


def _readable(cell: Cell) -> Cell:
    if cell.picture is None:
        return cell
    try:
        picture_size(cell.picture)
    except FormatError as error:
        return Cell(failure=error.reason, caption=cell.caption)
    return cell


def _largest(cells: Sequence[Sequence[Cell]]) -> tuple[int, int]:
    sizes = [picture_size(one.picture) for row in cells for one in row if one.picture is not None]
    if not sizes:
        return _EMPTY_CELL
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _laid_out(
    cells: Sequence[Sequence[Cell]],
    labels: tuple[Sequence[str], Sequence[str]],
    around: tuple[str, str],
    box: tuple[int, int],
) -> _Layout:
    """The layout for cells of `box` pixels; `around` are the title and the footnote."""
    rows, columns = labels
    size = max(10, min(40, box[0] // 16))
    gap = max(4, size // 2)
    beside = max(round(box[0] * 0.6), 8 * size)
    left = gap + beside if any(rows) else 0
    whole = max(left + len(cells[0]) * (box[0] + gap), 20 * size)
    fitting = max(2, box[1] // round(size * 1.25))
    return _Layout(
        box=box,
        gap=gap,
        title=lettering(around[0], round(size * 1.3), whole, most_lines=4),
        footnote=lettering(around[1], max(10, round(size * 0.8)), whole, most_lines=12),
        columns=tuple(lettering(one, size, box[0], most_lines=6) for one in columns),
        rows=tuple(lettering(one, size, beside, most_lines=fitting) for one in rows),
        captions=tuple(
            tuple(lettering(one.caption, max(10, round(size * 0.8)), box[0]) for one in row)
            for row in cells
        ),
    )


def _drawn(cells: Sequence[Sequence[Cell]], layout: _Layout, scale: float) -> bytes:
    from PIL import Image, ImageDraw

    whole = Image.new("RGB", layout.size, _PAPER)
    draw = ImageDraw.Draw(whole)
    write(draw, layout.title, (layout.gap, layout.gap))
    for column, label in enumerate(layout.columns):
        x, y = layout.place(0, column)
        x += (layout.box[0] - label.width) // 2
        write(draw, label, (x, y - layout.gap // 2 - label.height))
    for row, line in enumerate(cells):
        if layout.rows:
            label = layout.rows[row]
            y = layout.place(row, 0)[1] + max(0, (layout.box[1] - label.height) // 2)
            write(draw, label, (layout.gap, y))
        for column, cell in enumerate(line):
            x, y = layout.place(row, column)
            _draw_cell(whole, draw, cell, (x, y), layout.box, scale)
            caption = layout.captions[row][column]
            x += (layout.box[0] - caption.width) // 2
            write(draw, caption, (x, y + layout.box[1]), _FAINT)
    below = layout.place(len(cells), 0)[1]
    write(draw, layout.footnote, (layout.gap, below), _FAINT)
    return png_of(whole)


def _draw_cell(
    whole: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Cell,
    place: tuple[int, int],
    box: tuple[int, int],
    scale: float,
) -> None:
    failure = cell.failure
    if cell.picture is not None:
        try:
            picture = _scaled(opened_picture(cell.picture), scale)
        except FormatError as error:
            failure = error.reason
        else:
            x = place[0] + (box[0] - picture.width) // 2
            whole.paste(picture, (x, place[1]))
            return
    corner = (place[0] + box[0] - 1, place[1] + box[1] - 1)
    draw.rectangle((place, corner), fill=_WRONG if failure else _PAPER)
    size = max(10, min(40, box[0] // 20))
    fitting = max(1, (box[1] - 8) // round(size * 1.25))
    words = lettering(failure, size, max(box[0] - 2 * size, size), most_lines=fitting)
    x = place[0] + max(0, (box[0] - words.width) // 2)
    write(draw, words, (x, place[1] + max(4, (box[1] - words.height) // 2)))


def _scaled(picture: Image.Image, scale: float) -> Image.Image:
    from PIL.Image import Resampling

    if scale == 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    smooth = Resampling.NEAREST if scale == round(scale) else Resampling.LANCZOS
    return picture.resize(size, smooth)
