"""Opens any model that has its tensors in files, for its values to be read.

A file is opened once and read by position from then on, never mapped into memory: a file that gets
shorter while it is mapped ends the process, here it is an error that names the tensor.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from modelhub.convert.readers.one_file import FileParts, open_file
from modelhub.convert.readers.source import Beside, Source
from modelhub.convert.values import Values
from modelhub.errors import ConversionRefused, SourceChanged
from modelhub.formats.grouping import INCOMPLETE
from modelhub.formats.reading import read_model
from modelhub.formats.tensors import FileFormat, Header

_MOST_FILES = 512
"""Open at a time; the largest published models have some two hundred."""


def open_source(path: Path) -> Source:
    """The model that `path` is, or belongs to, opened to be converted. Close it afterwards.

    :param path: a file (safetensors, GGUF, every form of ``torch.save``, pickles
        of arrays); any shard of a model in several files, or their index; a diffusers folder or the
        ``model_index.json`` in it, whose tensors are named ``<folder>/<name>``.
    :raises FormatError: a file is damaged or made to mislead.
    :raises FileUnreadable: a file cannot be opened or read, or is no regular file.
    :raises SourceChanged: a file was written to meanwhile.
    :raises ConversionRefused: it has no tensors, or some that cannot be read; files are missing.
    :raises MissingExtra: it is a quantised GGUF file, and what reads one is not installed.
    """
    with ExitStack() as opened:
        header = read_model(path) if _is_of_several(path) else None
        if header is None or not header.parts:
            parts = open_file(path)
            opened.callback(parts.file.close)
            found = _Found(parts.header)
            found.take(parts, "")
        else:
            found = _Found(header)
            for name, prefix in _files_of(path, header):
                parts = open_file(name)
                opened.callback(parts.file.close)
                found.take(parts, prefix)
        source = found.source(path)
        opened.pop_all()
    return source


def _is_of_several(path: Path) -> bool:
    is_folder = os.path.isdir(path)  # noqa: PTH112 (never raises)
    return is_folder or path.name.endswith(".json") or "-of-" in path.name


def _files_of(path: Path, header: Header) -> Iterator[tuple[Path, str]]:
    """Each file of a model in several, with what its tensors' names begin with."""
    if any(INCOMPLETE in notice for notice in header.notices):
        missing = next(notice for notice in header.notices if INCOMPLETE in notice)
        raise ConversionRefused(f"{path}: {missing}", hint="download the missing files first")
    if len(header.parts) > _MOST_FILES:
        raise ConversionRefused(f"{path} is in {len(header.parts):,} files: too many to open")
    root = path if os.path.isdir(path) else path.parent  # noqa: PTH112 (never raises)
    for part in header.parts:
        folder = part.rpartition("/")[0] if header.format is FileFormat.DIFFUSERS else ""
        yield root / part, f"{folder}/" if folder else ""


@dataclass(slots=True)
class _Found:
    """What the files of one model hold together."""

    header: Header
    values: dict[str, Values] = field(default_factory=dict)
    files: list[FileParts] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)
    shared: list[tuple[str, ...]] = field(default_factory=list)
    inert: Counter[str] = field(default_factory=Counter)

    def take(self, parts: FileParts, prefix: str) -> None:
        """Add what one file holds, under names that begin with `prefix`."""
        self.files.append(parts)
        self.values |= {prefix + name: one for name, one in parts.values.items()}
        self.inert.update(parts.inert)
        for name, one in parts.beside.items():
            self.beside.append(Beside(prefix + name, one.nbytes, one.dtype, one.shape))
        for names in _same(parts.views):
            self.shared.append(tuple(prefix + name for name in names))

    def source(self, path: Path) -> Source:
        """All of it, as one source."""
        if not self.values:
            known = self.header.format is not FileFormat.UNKNOWN
            what = self.header.format if known else "of no known format"
            raise ConversionRefused(f"{path} holds no tensors that can be read: it is {what}")
        if self.values.keys() != self.header.tensors.keys():
            raise SourceChanged(f"{path} changed while it was read")
        quantised = [name for name, one in self.values.items() if self._is_quantised(name, one)]
        notices = self.header.notices
        if quantised:
            notices += (f"{len(quantised):,} quantised tensors are read as fp32",)
        return Source(
            path,
            replace(self.header, notices=notices),
            {name: self.values[name] for name in self.header.tensors},
            [one.file for one in self.files],
            inert_counts=dict(self.inert.most_common()),
            beside=self.beside,
            shared=self.shared,
        )

    def _is_quantised(self, name: str, values: Values) -> bool:
        return self.header.tensors[name].dtype != values.dtype


def _same(views: Mapping[str, object]) -> Iterable[tuple[str, ...]]:
    """The names of each view that has several."""
    names: dict[object, list[str]] = defaultdict(list)
    for name, view in views.items():
        names[view].append(name)
    return [tuple(one) for one in names.values() if len(one) > 1]
