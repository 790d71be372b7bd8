"""The files of a recipe: opened once each, and scanned before."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from modelhub.convert.readers import Source
from modelhub.errors import UnsafeFileError
from modelhub.formats.scan import Verdict, scan_file
from modelhub.formats.tensors import FileFormat
from modelhub.render.request import Recipe
from modelhub.render.sources import open_to_render


class RecipeFiles:
    """The files of a recipe, each opened once."""

    def __init__(self, recipe: Recipe, opened: ExitStack) -> None:
        self._allow_unsafe = recipe.allow_unsafe
        self._opened = opened
        self._sources: dict[str, Source] = {}

    def open(self, path: str) -> Source:
        """The file, and the scan's verdict on it where it may hold pickles.

        :raises CannotRender: it holds no tensors, or some that cannot be read.
        :raises UnsafeFileError: it is one that the scan calls dangerous.
        :raises FormatError, FileUnreadable, SourceChanged: as
            :func:`modelhub.render.sources.open_to_render`.
        """
        if path not in self._sources:
            source = self._opened.enter_context(open_to_render(Path(path)))
            if not self._allow_unsafe and source.format not in _WITHOUT_PICKLES:
                for one in source.files:
                    _refuse_dangerous(one)
            self._sources[path] = source
        return self._sources[path]

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that were opened."""
        return tuple(self._sources.values())


_WITHOUT_PICKLES = (FileFormat.SAFETENSORS, FileFormat.GGUF)


def _refuse_dangerous(path: Path) -> None:
    if scan_file(path).verdict is Verdict.DANGEROUS:
        raise UnsafeFileError(
            f"{path} may run code when other programs load it",
            hint="`modelhub scan` shows what it does; `--allow-unsafe` renders it all the same "
            "(nothing of it is ever executed here)",
        )
