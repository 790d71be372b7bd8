"""The parts that a model lacks, taken from the catalog, and tokenizers from wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelhub.catalog import FileState
from modelhub.errors import ModelhubError, PartsMissing
from modelhub.formats.gguf_vocabulary import has_vocabulary
from modelhub.formats.identity import ModelKind
from modelhub.render.pipelines.architectures import Needed, pipeline_for
from modelhub.render.pipelines.missing import Missing, in_words, missing_parts
from modelhub.render.pipelines.tokenizerplaces import tokenizer_within
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
            if one.kind is None and (within := tokenizer_within(one.part, recipe.parts)):
                self._tell(f"{base.path.name}: {one.why}; {within.name} has one within")
                continue
            found = self._part(one) if one.kind is not None else self._words(one, recipe, base)
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
            if one.kind is not None or encoder not in recipe.parts or one.part in recipe.parts:
                continue
            if tokenizer_within(one.part, recipe.parts) is None:
                found = self._words(one, recipe, base)
                if found is not None:
                    self._tell(f"{base.path.name}: {found} is the tokenizer of its {encoder}")
                    recipe = _with_part(recipe, one.part, found)
        return recipe

    def _words(self, one: Missing | Needed, recipe: Recipe, base: ModelFile) -> Path | None:
        """A tokenizer, or a text encoder that has one within."""
        return self._tokenizer(one.fits, recipe) or self._words_of_encoder(one.part, base)

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
        """A file of the catalog that supplies it."""
        if missing.kind is None:
            return None
        return next((one.path for one in self._fitting(missing.kind, missing.fits)), None)

    def _words_of_encoder(self, tokenizer: str, base: ModelFile) -> Path | None:
        """A GGUF text encoder of the catalog that has the words of a tokenizer."""
        pipeline = pipeline_for(base.identity)
        encoder = tokenizer.replace("tokenizer", "text_encoder")
        for one in (*pipeline.parts, *pipeline.optional) if pipeline is not None else ():
            if one.part == encoder and one.kind is not None:
                fitting = self._fitting(one.kind, one.fits, "format:gguf")
                return next((it.path for it in fitting if has_vocabulary(it.header)), None)
        return None

    def _fitting(
        self, kind: ModelKind, fits: Sequence[str], query: str = ""
    ) -> Iterator[ModelFile]:
        """The files of the catalog that are safe and fit, the smallest first.

        GGUF files come last: they take as much memory, most of them have lost more, and they are
        no faster to read.
        """
        rows = [
            row
            for row in self._catalog.list_files(f"type:{kind.value} {query}", limit=_MOST_PARTS)
            if row.state is not FileState.MISSING
            and row.parts == 1
            and row.fault is None
            and row.verdict != "dangerous"
        ]
        rows.sort(
            key=lambda row: (
                row.guessed,
                -(row.rating or 0),
                row.format == "gguf",
                row.size,
                row.id,
            )
        )
        for row in rows:
            with suppress(ModelhubError):
                found = self._files.at(row.file)
                identity = found.identity
                told = (identity.architecture, identity.edition, *identity.text_encoders)
                if set(told).intersection(fits):
                    yield found


def _with_part(recipe: Recipe, part: str, path: Path) -> Recipe:
    if part == "vae":
        return replace(recipe, vae=str(path))
    return replace(recipe, parts={**recipe.parts, part: str(path)})
