"""How the server chooses among the files of a version.

As ``getPrimaryFile`` (``src/server/utils/model-helpers.ts``) and ``getFileForModelVersion``
(``src/server/services/file.service.ts``) of civitai/civitai do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelhub.demo.published import PublishedFile
from modelhub.demo.shelf import StoredFile

MAIN_TYPES = frozenset({"Model", "Pruned Model", "UNet", "Diffusion Model"})
_WEIGHTS = {"format": 100.0, "size": 10.0, "fp": 1.0, "quantType": 0.5}
_PREFERRED = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q4_K_M"}


def metadata(file: PublishedFile) -> dict[str, str]:
    """Format, size, precision and quantisation of a file, as far as it has them."""
    values = {
        "format": file.format,
        "size": file.size,
        "fp": file.fp,
        "quantType": file.quant_type,
    }
    return {name: value for name, value in values.items() if value}


def score(file: PublishedFile, preferred: Mapping[str, str] = _PREFERRED) -> float:
    """How primary a file is: what is as preferred counts for it, what is not counts against it."""
    total = 1000.0
    for name, value in metadata(file).items():
        total += _WEIGHTS[name] if value == preferred[name] else -_WEIGHTS[name]
    return total + (1000.0 if file.type in MAIN_TYPES else 0.0)


def primary_file(
    files: Sequence[StoredFile], preferred: Mapping[str, str] = _PREFERRED
) -> StoredFile | None:
    """The file that a download without parameters gives; the first of equals."""
    return max(files, key=lambda stored: score(stored.file, preferred), default=None)


def chosen_file(files: Sequence[StoredFile], wish: Mapping[str, str]) -> StoredFile | None:
    """The file for download parameters (type, format, size, fp, quantType, fileId), if any.

    `fileId` names one exactly. Otherwise the best of the wanted type is taken, and then refused
    when it has another format, size, precision or quantisation than was wanted.
    """
    if "fileId" in wish:
        return next((one for one in files if one.file.id == int(wish["fileId"])), None)
    if "type" in wish:
        files = [one for one in files if one.file.type == wish["type"]]
    wanted = {name: value for name, value in wish.items() if name in _WEIGHTS}
    best = primary_file(files, {**_PREFERRED, **wanted})
    if best is None:
        return None
    has = metadata(best.file)
    return best if all(has.get(name, value) == value for name, value in wanted.items()) else None
