"""Tensors under the names, and in the shapes, of the other layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from modelhub.convert.values import Planned, Values
from modelhub.convert.views import Concatenated, Reshaped, Rows, Transposed
from modelhub.errors import FormatError
from modelhub.formats.diffusers_names import Change, Pair
from modelhub.formats.diffusers_names.pairs import THIRDS


def in_diffusers(pairs: Iterable[Pair], tensors: Mapping[str, Planned]) -> Iterator[Planned]:
    """The tensors of the original layout as diffusers has them, in the order of the pairs.

    :param tensors: by their names in the original layout; all that the pairs name.
    :raises FormatError: one has a shape that it cannot have.
    """
    for pair in pairs:
        old = tensors[pair.original]
        try:
            values = _as_diffusers(pair.change, old.values)
        except ValueError as error:
            raise _of_wrong_shape(old) from error
        yield Planned(pair.diffusers, values, old.dtype)


def _as_diffusers(change: Change, values: Values) -> Values:
    shape = values.shape
    if change in THIRDS:
        rows, rest = divmod(shape[0] if shape else 1, len(THIRDS))
        if rest:
            raise ValueError("no three parts")
        start = THIRDS.index(change) * rows
        return Rows(values, start, start + rows)
    if change is Change.TRANSPOSED:
        return Transposed(values)
    if change is Change.POINTWISE and len(shape) > 2:
        return Reshaped(values, shape[:2])
    return values


def in_original(pairs: Iterable[Pair], tensors: Mapping[str, Planned]) -> Iterator[Planned]:
    """The tensors of diffusers as the original layout has them, in the order of the pairs.

    :param tensors: by their names in diffusers; all that the pairs name.
    :raises FormatError: one has a shape that it cannot have, or lacks those that it belongs to.
    """
    thirds: dict[str, list[Pair]] = {}
    singles: dict[str, Pair] = {}
    order: dict[str, None] = {}
    for pair in pairs:
        order[pair.original] = None
        if pair.change in THIRDS:
            thirds.setdefault(pair.original, []).append(pair)
        else:
            singles[pair.original] = pair
    for name in order:
        if name in thirds:
            yield _together(name, thirds[name], tensors)
        else:
            pair = singles[name]
            old = tensors[pair.diffusers]
            try:
                yield Planned(name, _as_original(pair.change, old.values), old.dtype)
            except ValueError as error:
                raise _of_wrong_shape(old) from error


def _together(name: str, pairs: list[Pair], tensors: Mapping[str, Planned]) -> Planned:
    by_change = {pair.change: tensors[pair.diffusers] for pair in pairs}
    if len(by_change) != len(THIRDS):
        raise FormatError(f"of {name} only {len(by_change)} of three parts are there", hint="")
    parts = [by_change[change] for change in THIRDS]
    if len({one.dtype for one in parts}) != 1:
        raise FormatError(f"the three parts of {name} are of different types", hint="")
    try:
        return Planned(name, Concatenated([one.values for one in parts]), parts[0].dtype)
    except ValueError as error:
        raise _of_wrong_shape(parts[0]) from error


def _as_original(change: Change, values: Values) -> Values:
    if change is Change.TRANSPOSED:
        return Transposed(values)
    if change is Change.POINTWISE and len(values.shape) == 2:
        return Reshaped(values, (*values.shape, 1, 1))
    return values


def _of_wrong_shape(tensor: Planned) -> FormatError:
    shape = list(tensor.values.shape)[:8]
    return FormatError(f"the tensor {tensor.name} has the shape {shape}", hint="")
