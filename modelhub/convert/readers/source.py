"""A model that is open to be converted: its tensors, and what else its files hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from modelhub.convert.readers.opened import OpenFile
from modelhub.convert.values import Values
from modelhub.formats.tensors import FileFormat, Header


@dataclass(frozen=True, slots=True)
class Beside:
    """A tensor that is no weight of the model: of an optimizer's state, of an EMA copy beside.

    :param dtype: as safetensors names it, or torch's own name in capitals.
    """

    name: str
    nbytes: int
    dtype: str
    shape: tuple[int, ...]


class Source:
    """A model whose files are open; a context manager that closes them.

    :attr path: as it was given: a file, or a folder.
    :attr header: of the whole model. Its dtypes are those of the file; a quantised tensor
        (``QINT8``) is F32 in `tensors`.
    :attr tensors: by the names of the header, in their order.
    :attr inert_counts: how many objects in its pickles were not built, by the path of their class.
    :attr beside: tensors of a training checkpoint that are not of the model.
    :attr shared: names of tensors that are the very same view of the same bytes: tied weights.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        tensors: Mapping[str, Values],
        files: Sequence[OpenFile],
        *,
        inert_counts: Mapping[str, int],
        beside: Sequence[Beside],
        shared: Sequence[tuple[str, ...]],
    ) -> None:
        self.path = path
        self.header = header
        self.tensors = tensors
        self.inert_counts = inert_counts
        self.beside = tuple(beside)
        self.shared = tuple(shared)
        self._files = tuple(files)

    @property
    def format(self) -> FileFormat:
        """That of its files, or that of a folder."""
        return self.header.format

    @property
    def inert(self) -> tuple[str, ...]:
        """The paths of classes of which objects were not built, the most frequent first."""
        return tuple(self.inert_counts)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that its tensors are in."""
        return tuple(one.path for one in self._files)

    def check_unchanged(self) -> None:
        """Check that all files are as they were when they were opened.

        :raises SourceChanged: one was written to, cut off, replaced or removed since.
        """
        for one in self._files:
            one.check_unchanged()

    def close(self) -> None:
        """Close all files: values cannot be read any more."""
        for one in self._files:
            one.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
