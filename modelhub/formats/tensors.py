"""What a reader finds in a file of any format: its tensors and its metadata, no data.

Every reader (safetensors, torch, GGUF, ...) gives a :class:`Header`; identification, hashing of
tensors, conversion and the listings work on that and know no format.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from modelhub.formats.identity import Identity


class FileFormat(StrEnum):
    """How the bytes of a file are arranged, told by its content and never by its name."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch zip"
    """What ``torch.save`` writes since torch 1.6."""
    TORCH_LEGACY = "torch legacy"
    """A row of pickles, then the storages; or the tar of even older times."""
    PICKLE = "pickle"
    """A plain pickle with no storages of torch's."""
    GGUF = "gguf"
    ONNX = "onnx"
    DIFFUSERS = "diffusers"
    """A folder with ``model_index.json``."""
    HDF5 = "hdf5"
    NUMPY = "numpy"
    ZIP = "zip"
    SEVEN_ZIP = "7z"
    RAR = "rar"
    TAR = "tar"
    GZIP = "gzip"
    HTML = "html"
    JSON = "json"
    IMAGE = "image"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"

    @property
    def catalog_name(self) -> str:
        """The word by which the catalog lists it (``format:ckpt``)."""
        return _CATALOG_NAMES.get(self, "other")


_CATALOG_NAMES = {
    FileFormat.SAFETENSORS: "safetensors",
    FileFormat.TORCH_ZIP: "ckpt",
    FileFormat.TORCH_LEGACY: "ckpt",
    FileFormat.PICKLE: "ckpt",
    FileFormat.GGUF: "gguf",
    FileFormat.ONNX: "onnx",
    FileFormat.DIFFUSERS: "diffusers",
    FileFormat.ZIP: "archive",
    FileFormat.SEVEN_ZIP: "archive",
    FileFormat.RAR: "archive",
    FileFormat.TAR: "archive",
    FileFormat.GZIP: "archive",
}


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One tensor: what it is, and where its data are.

    The fields are those of a safetensors header, so that one is decoded straight into these.
    """

    dtype: str
    """As safetensors names it (``F16``, ``BF16``, ``F8_E4M3``, ``I64``), or GGUF's type (``Q4_K``)
    for quantised data that safetensors has no name for."""
    shape: tuple[int, ...]
    """In the order of torch: the outermost dimension first."""
    data_offsets: tuple[int, int]
    """Start and end of the data in bytes, counted from :attr:`Header.data_start`. Of a torch file,
    those of the whole storage within its member, and (0, 0) where that is not known."""


class SharedTensors(dict[str, Tensor]):
    """The tensors of several headers that describe the very same ones; never changed."""

    __slots__ = ("identity",)

    identity: Identity | None
    """What they are, once that was made out: of a plain safetensors file, it follows from the
    tensors alone."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self.identity = None


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself before its data."""

    format: FileFormat
    tensors: Mapping[str, Tensor]
    """By name. Of a torch checkpoint, the names are those inside its ``state_dict`` where it has
    one; :attr:`extras` has what stood beside."""
    metadata: Mapping[str, str] = {}
    """``__metadata__`` of safetensors; the key-value pairs of GGUF and the scalars beside the
    tensors of a torch file, as text."""
    data_start: int = 0
    """Where the data begin, in bytes from the start of the file."""
    size: int = 0
    """Of the file, or of all the files of a sharded model, in bytes."""
    extras: tuple[str, ...] = ()
    """Top-level keys of a torch file beside its tensors: ``optimizer_states``, ``epoch``, ..."""
    parts: tuple[str, ...] = ()
    """Relative paths of the files that are one model: shards, or a diffusers folder's weights."""
    notices: tuple[str, ...] = ()
    """What is odd and harmless."""
