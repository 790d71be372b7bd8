"""The header of any file, by its content; never blocking, in bounded time and memory.

Only regular files are opened (a FIFO would wait for its writer, a tape drive would rewind), a file
that changes while it is read is refused, and every error names the file.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.magic import HEAD_SIZE, oddities, sniff
from modelhub.formats.safetensors import read_safetensors
from modelhub.formats.tensors import FileFormat, Header

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MODEL_SUFFIXES = frozenset(
    {".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx", ".h5", ".pkl"}
)
TORCH_FORMATS = frozenset(
    {
        FileFormat.TORCH_ZIP,
        FileFormat.TORCH_LEGACY,
        FileFormat.PICKLE,
        # Whether an archive is torch's is told by its list of members, which its reader reads.
        FileFormat.ZIP,
        FileFormat.TAR,
    }
)
"""What may be a file of torch's: its reader tells."""
_NO_MODEL = frozenset(
    {FileFormat.HTML, FileFormat.JSON, FileFormat.IMAGE, FileFormat.TEXT, FileFormat.UNKNOWN}
)


def read_header(path: Path) -> Header:
    """The header of one regular file; a symbolic link to one is followed.

    A format without tensors (a web page, a 7z archive, an image) gives a header without any.

    :raises FormatError: the file is damaged; with its path and the offset.
    :raises FileUnreadable: it cannot be opened or read, is no regular file, or changed meanwhile.
    """
    descriptor, before = _open(path)
    try:
        try:
            header = _read(path, descriptor, before.st_size)
        except FormatError as error:
            require_unchanged(path, descriptor, before)
            raise error.of(path) from error
        except OSError as error:
            raise _unreadable(path, error) from error
        require_unchanged(path, descriptor, before)
    finally:
        os.close(descriptor)
    return header


def read_model(path: Path) -> Header:
    """The header of the whole model that `path` belongs to.

    :param path: a file; any shard of a model in several files, or their index; a diffusers folder,
        or the ``model_index.json`` in it.
    :raises FormatError, FileUnreadable: as :func:`read_header`, for each file that is read.
    """
    # Unlike Path.is_dir, this takes a folder that may not be looked into for no folder.
    if os.path.isdir(path):  # noqa: PTH112
        from modelhub.formats.diffusers_folder import read_folder

        return read_folder(path)
    if path.name == "model_index.json":
        from modelhub.formats.diffusers_folder import read_folder

        return read_folder(path.parent)
    if path.name.endswith(".json") and ".index." in path.name:
        from modelhub.formats.sharded import read_indexed

        return read_indexed(path)
    if "-of-" in path.name:
        from modelhub.formats.grouping import group_containing
        from modelhub.formats.sharded import read_shards

        group = group_containing(path.name, _names_beside(path))
        if group.expected is not None:
            return read_shards(path.parent, group)
    return read_header(path)


def require_regular(path: Path) -> os.stat_result:
    """The status of a regular file, or of the one that a symbolic link leads to.

    :raises FileUnreadable: it is not there, cannot be reached, or is something else.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 (the result is of os)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    _refuse_irregular(path, status)
    return status


def require_unchanged(path: Path, descriptor: int, before: os.stat_result) -> None:
    """Check that an open file is the one that `before` was told of, with the same content.

    :raises FileUnreadable: it is not.
    """
    now = os.fstat(descriptor)
    if (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
        before.st_dev,
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    ):
        raise FileUnreadable(
            f"{path} changed while it was read", hint="try again when it is fully written"
        )


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    :raises FormatError: it is larger.
    :raises FileUnreadable: as :func:`read_header`.
    """
    descriptor, status = _open(path)
    try:
        if status.st_size > limit:
            raise FormatError(f"{status.st_size:,} bytes are too many for this file", path=path)
        with io.FileIO(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _names_beside(path: Path) -> list[str]:
    try:
        return os.listdir(path.parent)  # noqa: PTH208 (names, not paths)
    except OSError as error:
        raise _unreadable(path.parent, error) from error


def _read(path: Path, descriptor: int, size: int) -> Header:
    head = os.pread(descriptor, HEAD_SIZE, 0)
    if len(head) < min(size, HEAD_SIZE):
        raise FormatError("the file got shorter while it was read", offset=len(head))
    found = sniff(head, size)
    with io.FileIO(descriptor, "rb", closefd=False) as raw:
        if found is FileFormat.SAFETENSORS:
            return read_safetensors(raw, size, head)
        return _read_other(path, raw, head, size, found)


def _read_other(path: Path, raw: io.FileIO, head: bytes, size: int, found: FileFormat) -> Header:
    if found is FileFormat.GGUF:
        from modelhub.formats.gguf import read_gguf

        return read_gguf(raw, size, head)
    if found in TORCH_FORMATS:
        from modelhub.formats.torchfile import read_torch

        return read_torch(io.BufferedReader(raw, HEAD_SIZE), size)
    notices = oddities(head, size, found)
    suffix = path.suffix.lower()
    if not notices and found in _NO_MODEL and suffix in _MODEL_SUFFIXES:
        what = "of no format that we know" if found is FileFormat.UNKNOWN else found.value
        notices = (f"named {suffix}, but its content is {what}",)
    return Header(format=found, tensors={}, size=size, notices=notices)


def _open(path: Path) -> tuple[int, os.stat_result]:
    # Looked at before it is opened: the opening alone makes some devices act.
    require_regular(path)
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        status = os.fstat(descriptor)
        _refuse_irregular(path, status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _refuse_irregular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise FileUnreadable(f"{path} is no regular file, but {kind}", hint="")


def _unreadable(path: Path, error: OSError | ValueError) -> FileUnreadable:
    if isinstance(error, OSError):
        return FileUnreadable(f"cannot read {path}: {error.strerror or error}")
    return FileUnreadable(f"cannot read {str(path)!r}: {error}")
