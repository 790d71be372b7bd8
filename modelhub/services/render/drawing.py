"""The grid of a sheet: its pictures side by side, labelled, with their differences in figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelhub.disk import disk_errors
from modelhub.errors import NameTaken
from modelhub.render.answers import Rendered
from modelhub.render.axes import AxisKind
from modelhub.render.images.difference import Difference, compare
from modelhub.render.images.grid import Cell, grid
from modelhub.render.matrix import precision_reference
from modelhub.services.render.kept import write_new
from modelhub.services.render.outcome import Apart, Grid
from modelhub.services.render.sheets import Sheet
from modelhub.whole_files import create_file

Place = tuple[int, int]
_SHOWN_PROMPT = 400


def drawn(
    sheet: Sheet, made: Mapping[Place, Rendered], failures: Mapping[Place, str], stem: str
) -> tuple[bytes, Grid]:
    """The grid as a PNG, and what is said of it; its path is not known yet.

    :param made: the pictures, by row and column; `failures` says why the others are missing.
    """
    cells = [
        [_cell(made.get((row, column)), failures.get((row, column), "")) for column in columns]
        for row, columns in enumerate(range(len(line)) for line in sheet.cells)
    ]
    columns = list(_columns(sheet, made))
    apart: list[Apart] = []
    reference = precision_reference(sheet.axes[0])
    if reference is not None:
        others = [one for one in range(len(columns)) if one != reference]
        differing = [_compared(row, others, reference) for row in cells]
        apart = [
            _figures(found, sheet, columns, (row, other, reference))
            for row, line in enumerate(differing)
            for other, found in zip(others, line, strict=True)
            if found is not None
        ]
        cells = [
            [*row, *map(_difference_cell, line)] for row, line in zip(cells, differing, strict=True)
        ]
        columns += [f"{columns[one]} − {columns[reference]}" for one in others]
    title = f"{stem}: {' and '.join(axis.name for axis in sheet.axes)}"
    png = grid(cells, rows=sheet.rows, columns=columns, title=title, footnote=_footnote(made))
    said = Grid(
        path=Path(),
        title=title,
        rows=sheet.rows,
        columns=tuple(columns),
        differences=tuple(apart),
    )
    return png, said


def write_grid(png: bytes, wanted: Path | None, folder: Path, stem: str) -> Path:
    """Write a grid, whole; where the user named a file, under that name alone.

    :raises NameTaken: there is a file of that name.
    :raises DiskError: it cannot be written.
    """
    if wanted is None:
        return write_new(folder, stem, png)
    path = wanted.absolute()
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            create_file(path, png)
        except FileExistsError as error:
            raise NameTaken(
                f"{path} is there already, and nothing is replaced",
                hint="give another name with --grid; the pictures are kept",
            ) from error
    return path


def _cell(made: Rendered | None, failure: str) -> Cell:
    return Cell(failure=failure or "not made") if made is None else Cell(made.png)


def _columns(sheet: Sheet, made: Mapping[Place, Rendered]) -> tuple[str, ...]:
    """The labels; of precisions, with what was computed in, where that is another one."""
    if sheet.axes[0].kind is not AxisKind.DTYPE:
        return sheet.columns
    labels = []
    for column, label in enumerate(sheet.columns):
        one = next((made[place] for place in sorted(made) if place[1] == column), None)
        labels.append(label if one is None else arithmetic_words(one))
    return tuple(labels)


def arithmetic_words(made: Rendered) -> str:
    """``fp16``, or ``fp16 weights, fp32 arithmetic`` where they are not the same."""
    if made.weights == made.arithmetic:
        return made.weights
    return f"{made.weights} weights, {made.arithmetic} arithmetic"


def _compared(row: Sequence[Cell], others: list[int], reference: int) -> list[Difference | None]:
    against = row[reference].picture
    return [
        None if against is None or (one := row[other].picture) is None else compare(one, against)
        for other in others
    ]


def _difference_cell(found: Difference | None) -> Cell:
    if found is None:
        return Cell(failure="nothing to compare: a picture is missing")
    scale = f"; {found.scale}" if found.max_difference else ""
    return Cell(found.picture, caption=f"{found.sentence}{scale}")


def _figures(
    found: Difference, sheet: Sheet, columns: Sequence[str], place: tuple[int, int, int]
) -> Apart:
    row, other, reference = place
    of = f"{columns[other]} and {columns[reference]}"
    return Apart(
        of=f"{sheet.rows[row]}: {of}" if sheet.rows else of,
        verdict=str(found.verdict),
        psnr=None if math.isinf(found.psnr) else round(found.psnr, 3),
        ssim=round(found.ssim, 6),
        max_difference=found.max_difference,
        mean_difference=round(found.mean_difference, 4),
        sentence=found.sentence,
    )


def _footnote(made: Mapping[Place, Rendered]) -> str:
    """What all pictures share."""
    rendered = list(made.values())
    if not rendered:
        return ""
    first = rendered[0].settings
    words = {
        "seed": first.seed,
        "steps": first.steps,
        "CFG": None if first.cfg is None else f"{first.cfg:g}",
        "sampler": first.sampler,
        "schedule": first.schedule,
        "clip skip": first.clip_skip,
    }
    names = {"CFG": "cfg", "clip skip": "clip_skip"}
    shared = [
        f"{name} {value}"
        for name, value in words.items()
        if value is not None
        and len({getattr(one.settings, names.get(name, name)) for one in rendered}) == 1
    ]
    shared.append(f"{rendered[0].width}x{rendered[0].height}")
    if len({arithmetic_words(one) for one in rendered}) == 1:
        shared.append(arithmetic_words(rendered[0]))
    shared.append(rendered[0].device)
    prompts = {one.settings.prompt for one in rendered}
    prompt = f"{first.prompt[:_SHOWN_PROMPT]}\n" if len(prompts) == 1 and first.prompt else ""
    return prompt + " · ".join(shared)
