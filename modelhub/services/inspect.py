"""`inspect`: what a file is by itself, on this disk or as Civitai publishes it; no catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import FormatError, MalformedReference, NoMatchingFile, UnknownFile, UsageError
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.formats.reading import read_model
from modelhub.formats.safetensors import MAX_TENSORS
from modelhub.formats.tensors import FileFormat, Header, Tensor

if TYPE_CHECKING:
    from modelhub.civitai.client import CivitaiClient
    from modelhub.civitai.schema import TensorMetadata
    from modelhub.config import Config
    from modelhub.formats.scan import ScanReport

_INT64 = 1 << 63
_LONGEST_SHAPE = 64


@dataclass(frozen=True, slots=True)
class Published:
    """Where a published file is from.

    :param reason: why this file of the version was taken.
    """

    model: str
    version: str
    version_id: int
    file_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """A file, read and identified.

    :param name: the path, or the name under which it is published.
    """

    name: str
    header: Header
    identity: Identity
    published: Published | None = None
    scans: Mapping[str, ScanReport] = field(default_factory=dict)
    """The reports on its files that can carry pickles, by their paths; a shard's is relative."""

    @property
    def verdict(self) -> str | None:
        """The worst of its files; None where none can carry a pickle."""
        verdicts = [one.verdict for one in self.scans.values()]
        return max(verdicts, key=lambda one: one.severity).value if verdicts else None


def local_path(text: str) -> Path | None:
    """The path that `text` is, if something is there (be it a broken link)."""
    try:
        path = Path(text).expanduser()
        path.lstat()
    except PermissionError:
        # Something may be there: reading it will say what is in the way.
        return path
    except (OSError, ValueError, RuntimeError):
        return None
    return path


def inspect_local(path: Path) -> Inspection:
    """The model that `path` is or belongs to.

    :raises FormatError, FileUnreadable: as :func:`modelhub.formats.reading.read_model`.
    """
    header = read_model(path)
    identity = identify(header, name=path.resolve().name)
    return Inspection(str(path), header, identity, scans=_scans(path, header))


def _scans(path: Path, header: Header) -> dict[str, ScanReport]:
    from modelhub.services.scan import pickles_in

    found = {}
    folder = path if path.is_dir() else path.parent
    for name in header.parts or (path.name,):
        report = pickles_in(folder / name)
        if report is not None:
            found[name] = report
    return found


def inspect_published(client: CivitaiClient, config: Config, text: str) -> Inspection:
    """The file that a pull of the reference `text` would take, by Civitai's table of its tensors.

    :raises UnknownFile: `text` is no reference (nor, as the caller has found, a path).
    :raises NoMatchingFile: the file is neither safetensors nor GGUF; Civitai reads no others.
    :raises UnknownModel, NoFilesPublished, ArchivedModel: as a pull of it would.
    """
    from modelhub.civitai.choose import choose_file
    from modelhub.civitai.links import host_of
    from modelhub.civitai.references import parse_reference
    from modelhub.services.pull.resolve import resolve

    try:
        reference = parse_reference(text, hosts=(host_of(config.civitai.url),))
    except MalformedReference as error:
        raise UnknownFile(
            f"there is no file {text!r}, and it is no reference to Civitai",
            hint="give a path, or an id, a URL, an AIR or a hash",
        ) from error
    resolved = resolve(client, reference, version=None)
    version = resolved.version.value
    model = resolved.model.value if resolved.model is not None else None
    choice = choose_file(version, resolved.wish, model=model)
    name = choice.file.name or f"file {choice.file.id}"
    try:
        table = client.tensor_metadata(choice.file.id).value
    except UsageError as error:
        raise NoMatchingFile(
            f"{name}: Civitai has no table of its tensors, only of safetensors and GGUF files "
            f"({error.message})",
            hint="`modelhub pull` it, then inspect the file",
        ) from error
    header = header_of(table, size=choice.file.size_bytes or 0)
    published = Published(
        resolved.model_name, version.name, version.id, choice.file.id, choice.reason
    )
    return Inspection(name, header, identify(header, name=name), published)


def header_of(table: TensorMetadata, *, size: int) -> Header:
    """A header as good as Civitai's table allows: it has no metadata.

    :raises FormatError: a tensor is there twice, or of an impossible shape.
    """
    tensors: dict[str, Tensor] = {}
    start = 0
    if len(table.tensors) > MAX_TENSORS:
        raise FormatError(f"Civitai's table has {len(table.tensors):,} tensors")
    for entry in table.tensors:
        length = entry.size_bytes or 0
        fits = len(entry.shape) <= _LONGEST_SHAPE and all(
            0 <= number < _INT64 for number in (*entry.shape, length)
        )
        if entry.name in tensors or not fits:
            raise FormatError(f"Civitai's table of tensors makes no sense at {entry.name[:80]!r}")
        tensors[entry.name] = Tensor(entry.dtype, tuple(entry.shape), (start, start + length))
        start += length
    is_gguf = (table.format or "").casefold() == "gguf"
    return Header(
        format=FileFormat.GGUF if is_gguf else FileFormat.SAFETENSORS,
        tensors=tensors,
        size=size or start,
        notices=("by Civitai's table of its tensors, which has no metadata",),
    )
