"""The parts that a model lacks, taken from the catalog, and tokenizers from wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelhub.catalog import FileState
from modelhub.errors import ModelhubError, PartsMissing
from modelhub.render.pipelines.architectures import pipeline_for
from modelhub.render.pipelines.missing import Missing, in_words, missing_parts
from modelhub.render.request import Recipe
from modelhub.services.render.files import ModelFile, ModelFiles
from modelhub.services.render.vocabularies import find_tokenizer

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

_MOST_PARTS = 1_000
"""So many files are looked at for a part that a model lacks."""


class Completing:
    """Makes recipes whole.

    :param roots: folders of models beside those of the catalog.
    :param tell: is told which file supplies what.
    """

    def __init__(
        self,
        catalog: Catalog,
        files: ModelFiles,
        roots: Sequence[Path],
        tell: Callable[[str], None],
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._roots = roots
        self._tell = tell
        self._tokenizers: dict[str, Path | None] = {}

    def completed(self, recipe: Recipe, base: ModelFile) -> Recipe:
        """The recipe with all that it needs.

        :raises PartsMissing: a part is nowhere to be found.
        """
        lacking = missing_parts(base.header, base.identity, recipe)
        absent: list[Missing] = []
        for one in lacking:
            found = self._tokenizer(one.fits, recipe) if one.kind is None else self._part(one)
            if found is None:
                absent.append(one)
                continue
            supplier = found.name if one.kind is not None else str(found)
            self._tell(f"{base.path.name}: {one.why}; {supplier} supplies it")
            recipe = _with_part(recipe, one.part, found)
        if absent:
            hint = "; ".join(dict.fromkeys(one.wanted for one in absent))
            raise PartsMissing(f"{base.path}: {in_words(absent)}", hint=hint)
        return self._with_optional_tokenizers(recipe, base)

    def _with_optional_tokenizers(self, recipe: Recipe, base: ModelFile) -> Recipe:
        """With those of text encoders that were given though the model can do without them."""
        pipeline = pipeline_for(base.identity)
        for one in pipeline.optional if pipeline is not None else ():
            encoder = one.part.replace("tokenizer", "text_encoder")
            if one.kind is None and encoder in recipe.parts and one.part not in recipe.parts:
                found = self._tokenizer(one.fits, recipe)
                if found is not None:
                    self._tell(f"{base.path.name}: {found} is the tokenizer of its {encoder}")
                    recipe = _with_part(recipe, one.part, found)
        return recipe

    def _tokenizer(self, fits: Sequence[str], recipe: Recipe) -> Path | None:
        for name in fits:
            if name not in self._tokenizers:
                parts = [Path(path) for path in (recipe.model, *recipe.parts.values())]
                found = find_tokenizer(name, self._catalog, self._roots, parts)
                self._tokenizers[name] = found
            if self._tokenizers[name] is not None:
                return self._tokenizers[name]
        return None

    def _part(self, missing: Missing) -> Path | None:
        """A file of the catalog that supplies it; the smallest of those that are safe and fit."""
        if missing.kind is None:
            return None
        rows = [
            row
            for row in self._catalog.list_files(f"type:{missing.kind.value}", limit=_MOST_PARTS)
            if row.state is not FileState.MISSING
            and row.parts == 1
            and row.fault is None
            and row.verdict != "dangerous"
        ]
        rows.sort(key=lambda row: (row.guessed, -(row.rating or 0), row.size, row.id))
        for row in rows:
            with suppress(ModelhubError):
                found = self._files.at(row.file)
                identity = found.identity
                told = (identity.architecture, identity.edition, *identity.text_encoders)
                if set(told).intersection(missing.fits):
                    return found.path
        return None


def _with_part(recipe: Recipe, part: str, path: Path) -> Recipe:
    if part == "vae":
        return replace(recipe, vae=str(path))
    return replace(recipe, parts={**recipe.parts, part: str(path)})
