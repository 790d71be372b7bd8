"""What is made of the files of a run: one picture of each, or grids of what is compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelhub.errors import Cancelled, ModelhubError, UsageError
from modelhub.formats.identity import ModelKind
from modelhub.render.axes import Axis, AxisKind, Value, parse_axis
from modelhub.render.matrix import Matrix, expand
from modelhub.render.request import Request
from modelhub.services.render.asking import MODELS, Asking, Ready
from modelhub.services.render.files import ModelFile, ModelFiles
from modelhub.services.render.wish import RenderWish

_OF_FILES = (AxisKind.FILE, AxisKind.LORA, AxisKind.VAE)
_AXIS_OF_KIND = {ModelKind.LORA: AxisKind.LORA, ModelKind.VAE: AxisKind.VAE}


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that cannot be made, found before anything was rendered."""

    error: ModelhubError


@dataclass(frozen=True, slots=True)
class Sheet:
    """The pictures that belong together: one, or the cells of a grid.

    :param tested: the file that they are of; of several, the first.
    :param axes: empty for a single picture.
    :param cells: row by row.
    :param order: row and column of each, in the order in which they are best made.
    """

    tested: Path
    axes: tuple[Axis, ...]
    cells: tuple[tuple[Ready | Refused, ...], ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    order: tuple[tuple[int, int], ...]

    def label(self, row: int, column: int) -> str:
        """What is varied in a cell; empty for a single picture."""
        words = (*self.columns[column : column + 1], *self.rows[row : row + 1])
        return ", ".join(words)


def sheets(
    paths: Sequence[Path], wish: RenderWish, files: ModelFiles, asking: Asking
) -> Iterator[Sheet]:
    """What to make of the files: one sheet for each, or a single one where they are compared.

    :raises UsageError: what is to be compared makes no sense.
    """
    axes = [_parsed(text, paths, wish) for text in wish.compare]
    if any(axis.kind is AxisKind.FILE for axis in axes):
        yield _compared(paths, axes, files, asking)
        return
    for number, path in enumerate(paths):
        try:
            tested = files.at(path)
            request = asking.request_for(tested, str(number))
        except (Cancelled, UsageError):
            raise
        except ModelhubError as error:
            yield _refused(path, error)
            continue
        yield _sheet(tested, request, [_resolved(axis, files) for axis in axes], files, asking)


def _parsed(text: str, paths: Sequence[Path], wish: RenderWish) -> Axis:
    return parse_axis(text, files=[str(path) for path in paths], vae=wish.vae)


def _compared(paths: Sequence[Path], axes: list[Axis], files: ModelFiles, asking: Asking) -> Sheet:
    """All files on one sheet. LoRAs and VAEs are compared on the same base."""
    named = next(axis for axis in axes if axis.kind is AxisKind.FILE)
    whole = _resolved(named, files)
    tested, error = None, None
    for value in whole.values:
        try:
            tested = files.at(Path(str(value)))
            break
        except ModelhubError as failure:
            error = error or failure
    if tested is None:
        assert error is not None
        raise error
    kind = _AXIS_OF_KIND.get(tested.identity.kind or ModelKind.OTHER)
    if kind is None and tested.identity.kind not in (*MODELS, None):
        raise UsageError("--compare file is for checkpoints, LoRAs or VAEs")
    request = asking.request_for(tested, "0")
    as_kind = whole if kind is None else dataclasses.replace(whole, kind=kind)
    resolved = [as_kind if axis is named else _resolved(axis, files) for axis in axes]
    return _sheet(tested, request, resolved, files, asking)


def _resolved(axis: Axis, files: ModelFiles) -> Axis:
    """The axis with the absolute paths of the files that its values name."""
    if axis.kind not in _OF_FILES:
        return axis
    values = tuple(_path(value, files) for value in axis.values)
    return dataclasses.replace(axis, values=tuple(dict.fromkeys(values)))


def _path(value: Value, files: ModelFiles) -> Value:
    return str(files.path_of(value)) if isinstance(value, str) else value


def _sheet(
    tested: ModelFile, request: Request, axes: list[Axis], files: ModelFiles, asking: Asking
) -> Sheet:
    if not axes:
        cell = _ready(asking, request, tested)
        return Sheet(tested.path, (), ((cell,),), (), (), ((0, 0),))
    # Precisions go across: their differences are columns beside them.
    axes.sort(key=lambda axis: axis.kind is not AxisKind.DTYPE)
    matrix: Matrix = expand(request, axes)
    return Sheet(
        tested.path,
        tuple(axes),
        tuple(tuple(_ready(asking, one, tested) for one in row) for row in matrix.cells),
        matrix.rows,
        matrix.columns,
        matrix.order,
    )


def _ready(asking: Asking, request: Request, tested: ModelFile) -> Ready | Refused:
    try:
        return asking.ready(request, tested)
    except Cancelled:
        raise
    except ModelhubError as error:
        return Refused(error)


def _refused(path: Path, error: ModelhubError) -> Sheet:
    return Sheet(path, (), ((Refused(error),),), (), (), ((0, 0),))
