"""The modules of a transformer under the names that its original code has for them.

A LoRA may be trained in the original code of a model, or for ComfyUI, where query, key and value
are mostly one layer; the pipelines of diffusers have a module for each. The correspondence is that
of the files (:mod:`modelhub.render.pipelines.flow.names`): what is cut there is cut here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modelhub.convert.lora.names import Piece
from modelhub.render.pipelines.architectures import layout_of
from modelhub.render.pipelines.flow.names import original_rules
from modelhub.render.pipelines.flow.renaming import Cut, Into

if TYPE_CHECKING:
    from modelhub.formats.identity import Identity
    from modelhub.render.addons.originals import Originals

_WEIGHT = ".weight"


def joined_modules(
    base: Identity, originals: Mapping[str, Originals]
) -> dict[str, Sequence[Piece]]:
    """By the original name of a layer, the modules that have its rows, in their order.

    :param base: what the model is; none are named of an architecture with no names of its own.
    :param originals: of the pipeline's modules, by component.
    """
    transformer = originals.get("transformer")
    if transformer is None:
        return {}
    rules = original_rules(layout_of(base))
    paths = [
        name.removesuffix(_WEIGHT)
        for name, _ in transformer.module.named_parameters()
        if name.endswith(_WEIGHT)
    ]
    numbers = {part for path in paths for part in path.split(".") if part.isdecimal()}
    return {
        name: pieces
        for stem, into in rules.items()
        for name, pieces in _named(stem, into, numbers, frozenset(paths))
    }


def _named(
    stem: str, into: Into, numbers: Collection[str], paths: Collection[str]
) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """One rule for each block that there is."""
    for number in numbers if "#" in stem else ("",):
        modules = [name.replace("#", number) for name in into.names]
        if not modules or not all(name in paths for name in modules):
            continue
        pieces: tuple[Piece, ...] = tuple(Piece(name) for name in modules)
        if into.cut is Cut.SWAPPED:
            pieces = (Piece(modules[0], 1, 2, 2), Piece(modules[0], 0, 1, 2))
        yield stem.replace("#", number), pieces
