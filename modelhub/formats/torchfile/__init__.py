"""Files of ``torch.save`` in all their forms, read without executing anything.

Which form a file has is told by its first bytes, as ``torch.load`` does it
(``torch/serialization.py``, ``_is_zipfile``): a zip archive that is appended to a pickle is not
what torch would read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.pickles import FilePart
from modelhub.formats.tensors import Header
from modelhub.formats.torchfile.opened import Loaded, TorchFile, finished
from modelhub.formats.torchfile.pickled import load_pickles
from modelhub.formats.torchfile.tarred import TAR_MAGIC, TAR_MAGIC_AT, load_tar
from modelhub.formats.torchfile.tensors import Storage, TorchTensor
from modelhub.formats.torchfile.zipped import load_zip

__all__ = ["Storage", "TorchFile", "TorchTensor", "open_torch", "open_torch_in", "read_torch"]


def read_torch(file: BinaryIO, size: int) -> Header:
    """The header of a torch file or of a plain pickle. Reads no tensor's data.

    The format is ``ZIP`` or ``TAR``, without tensors, where it is an archive but none of torch's.

    :param file: seekable, unbuffered or not.
    :param size: of the file in bytes.
    :raises FormatError: it is none, is damaged, cut off, or made to mislead; with the offset.
    :raises FileUnreadable: it cannot be read, or became shorter meanwhile.
    """
    return finished(_load(file, size, locate=False), size).header


def open_torch(path: Path) -> TorchFile:
    """All that is known of a torch file, with the position of each tensor's data in it.

    :raises FormatError: as :func:`read_torch`; also when the local header of any storage in a zip
        contradicts the archive's directory.
    :raises FileUnreadable: it cannot be opened or read, or is no regular file.
    """
    from modelhub.formats.reading import require_regular

    require_regular(path)
    try:
        with open(path, "rb", opener=_open_unblocked) as file:
            return open_torch_in(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error
    except FileUnreadable as error:
        raise FileUnreadable(f"cannot read {path}: {error.message}") from error
    except FormatError as error:
        raise error.of(path) from error


def open_torch_in(file: BinaryIO, size: int) -> TorchFile:
    """The same of a file that is open; errors do not name it.

    :param file: seekable; it is not needed any more afterwards.
    :param size: of the file in bytes.
    :raises FormatError, FileUnreadable: as :func:`open_torch`.
    """
    return finished(_load(file, size, locate=True), size)


def _open_unblocked(path: str, flags: int) -> int:
    # Were the file replaced by a FIFO since it was looked at, opening it would wait for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _load(file: BinaryIO, size: int, *, locate: bool) -> Loaded:
    head = FilePart(file, size).read(0, TAR_MAGIC_AT + len(TAR_MAGIC))
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return load_zip(file, size, locate=locate)
    if head[TAR_MAGIC_AT:] == TAR_MAGIC:
        return load_tar(file, size)
    return load_pickles(file, size)
