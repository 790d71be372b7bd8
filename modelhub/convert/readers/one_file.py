"""The tensors of one file, of any format that has some."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelhub.convert.readers.blocks import READABLE, Blocks, blocks_library
from modelhub.convert.readers.opened import OpenFile
from modelhub.convert.readers.stored import Channels, Dequantised, StoredValues
from modelhub.convert.values import Values
from modelhub.errors import ConversionRefused, FileUnreadable, FormatError
from modelhub.formats.magic import HEAD_SIZE, sniff
from modelhub.formats.reading import TORCH_FORMATS, read_header
from modelhub.formats.tensor_data import (
    ITEM_SIZES,
    StoredTensor,
    of_header,
    of_torch,
    refuse_overlaps,
    stored,
)
from modelhub.formats.tensors import Header
from modelhub.formats.torchfile import TorchFile, TorchTensor, open_torch_in
from modelhub.formats.torchfile.quantised import INTEGERS, PerChannel

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class FileParts:
    """What one open file holds.

    :param views: by name, what is the same of two tensors that are the same view.
    """

    file: OpenFile
    header: Header
    values: Mapping[str, Values]
    views: Mapping[str, object]
    beside: Mapping[str, TorchTensor] = field(default_factory=dict)
    inert: Mapping[str, int] = field(default_factory=dict)


def open_file(path: Path) -> FileParts:
    """Open one file and find its tensors; the file stays open.

    :raises FormatError, FileUnreadable, SourceChanged, ConversionRefused, MissingExtra: as
        :func:`modelhub.convert.readers.open_source`.
    """
    file = OpenFile(path)
    try:
        return _parts(file)
    except FormatError as error:
        file.close()
        raise error if error.path is not None else error.of(path) from error
    except OSError as error:
        file.close()
        raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error
    except BaseException:
        file.close()
        raise


def _parts(file: OpenFile) -> FileParts:
    head = os.pread(file.descriptor, HEAD_SIZE, 0)
    if sniff(head, file.size) in TORCH_FORMATS:
        with open(file.descriptor, "rb", closefd=False) as stream:
            torch = open_torch_in(stream, file.size)
        tensors = _readable(file, of_torch(torch), torch.tensors)
        values = _values(file, tensors, torch)
        views = {one.name: one.view for one in tensors if 0 not in one.shape}
        parts = FileParts(file, torch.header, values, views, torch.beside, torch.inert)
    else:
        header = read_header(file.path)
        tensors = _readable(file, of_header(header), {})
        parts = FileParts(file, header, {one.name: _stored(file, one) for one in tensors}, {})
    # The header was read by the file's name, or took its time.
    file.check_unchanged()
    return parts


def _readable(
    file: OpenFile, tensors: Sequence[StoredTensor], torch: Mapping[str, TorchTensor]
) -> list[StoredTensor]:
    """The tensors, quantised ones as the integers that are stored.

    Refuses types that are packed or unknown, and files whose tensors overlap endlessly.
    """
    unreadable: dict[str, list[str]] = {}
    found = []
    for one in tensors:
        if one.dtype in INTEGERS and torch[one.name].quantizer is not None:
            one = replace(one, dtype=INTEGERS[one.dtype])
        elif one.dtype not in ITEM_SIZES and (one.dtype not in READABLE or one.swapped):
            unreadable.setdefault(one.dtype, []).append(one.name)
        found.append(one)
    if unreadable:
        told = "; ".join(f"{dtype}: {_named(names)}" for dtype, names in unreadable.items())
        raise ConversionRefused(
            f"{file.path} holds tensors that are quantised or packed in ways not known ({told})",
            hint="take the file that it was made of: what was quantised has lost its precision",
        )
    if any(one.dtype in READABLE for one in found):
        blocks_library()
    # Those of blocks are of GGUF files, whose header has been refused if any two overlap.
    refuse_overlaps([one for one in found if one.dtype in ITEM_SIZES], file.size, file.path)
    return found


def _stored(file: OpenFile, tensor: StoredTensor) -> Values:
    return Blocks(file, tensor) if tensor.dtype in READABLE else StoredValues(file, tensor)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


def _values(file: OpenFile, tensors: Sequence[StoredTensor], torch: TorchFile) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for one in tensors:
        quantizer = torch.tensors[one.name].quantizer
        integers = StoredValues(file, one)
        if isinstance(quantizer, PerChannel):
            channels = _channels(file, one, quantizer, torch.byteorder)
            found[one.name] = Dequantised(integers, channels)
        else:
            found[one.name] = integers if quantizer is None else Dequantised(integers, quantizer)
    return found


def _channels(
    file: OpenFile, tensor: StoredTensor, quantizer: PerChannel, byteorder: str
) -> Channels:
    scales, zero_points = (
        StoredValues(file, stored(f"{tensor.name} ({what})", one, byteorder))
        for what, one in (("scales", quantizer.scales), ("zero points", quantizer.zero_points))
    )
    return Channels(scales, zero_points, tensor.shape, quantizer.axis)
