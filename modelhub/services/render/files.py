"""The files of a render: found by what the user called them, judged safe, read and identified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import AmbiguousFile, CannotRender
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.formats.reading import read_header
from modelhub.formats.tensors import Header
from modelhub.services.convert.sources import chosen_sources
from modelhub.services.scan import require_safe

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileDetails

TO_ONE_FILE = "make it one file first: `modelhub convert FOLDER --to safetensors`"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that takes part, and what is known of it.

    :param path: absolute.
    :param details: of the catalog; None: it does not know the file.
    """

    path: Path
    header: Header
    identity: Identity
    details: FileDetails | None

    @property
    def trigger_words(self) -> tuple[str, ...]:
        """The user's own, else those of its page, else those that its trainer left in it."""
        known = self.details
        if known is None:
            return self.identity.trigger_words
        return known.own_trigger_words or known.trigger_words or known.trained_words

    @property
    def version_id(self) -> int | None:
        """Which published version it is."""
        if self.details is None:
            return None
        if self.details.row.version_id is not None:
            return self.details.row.version_id
        return next((one.version_id for one in self.details.publications), None)


class ModelFiles:
    """Opens each file of a run once.

    :param allow_unsafe: take dangerous pickles too; nothing of them is ever run.
    :param warn: is told what the user should know of a file.
    """

    def __init__(
        self, catalog: Catalog, *, allow_unsafe: bool, warn: Callable[[str], None]
    ) -> None:
        self._catalog = catalog
        self._allow_unsafe = allow_unsafe
        self._warn = warn
        self._opened: dict[Path, ModelFile] = {}

    def named(self, text: str) -> ModelFile:
        """The one file that a text means.

        :raises UnknownFile: none; :raises AmbiguousFile: several.
        :raises UnsafeFileError, FormatError, FileUnreadable, CannotRender: as :meth:`at`.
        """
        return self.at(self.path_of(text))

    def path_of(self, text: str) -> Path:
        """Where the one file is that a text means.

        :raises UnknownFile: none; :raises AmbiguousFile: several.
        """
        found = chosen_sources(self._catalog, [text])
        if len(found) > 1:
            shown = ", ".join(path.name for path in found[:4])
            raise AmbiguousFile(f"{text!r} means {len(found)} files, and one is needed: {shown}")
        return found[0]

    def at(self, path: Path) -> ModelFile:
        """The file at a path.

        :raises UnsafeFileError: it is dangerous, and that was not allowed.
        :raises CannotRender: it is a model in several files.
        :raises FormatError, FileUnreadable: it is damaged, or cannot be read.
        """
        if path not in self._opened:
            self._opened[path] = self._read(path)
        return self._opened[path]

    def _read(self, path: Path) -> ModelFile:
        if path.is_dir():
            raise CannotRender(f"{path} is a folder, and one file is rendered", hint=TO_ONE_FILE)
        if warning := require_safe(None, path, allow=self._allow_unsafe):
            self._warn(warning)
        header = read_header(path)
        row = self._catalog.find_local_by_path(path)
        # A part of a model has the row of its first file: that is another content.
        is_itself = row is not None and row.parts == 1 and row.file.name == path.name
        details = self._catalog.show(row.id) if row is not None and is_itself else None
        return ModelFile(path, header, identify(header, name=path.name), details)
