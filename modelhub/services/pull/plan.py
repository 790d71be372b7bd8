"""Stage three: where the chosen file will be, and what is known of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelhub.civitai.answers import printable
from modelhub.config.paths import library_root
from modelhub.errors import UnsafeFileError
from modelhub.placement.layouts import Placeable, detect_root, place
from modelhub.placement.names import clean_name
from modelhub.transfer.model import Expected

if TYPE_CHECKING:
    from modelhub.civitai.schema import ModelFile
    from modelhub.config import Config
    from modelhub.services.pull.outcome import PullOptions
    from modelhub.services.pull.resolve import Resolved

_PARTIAL_NAME_BYTES = 120


@dataclass(frozen=True, slots=True)
class Plan:
    """A file that is going to be pulled.

    :param root: the folder that the layout's folders are in.
    :param relative: where the file goes below it, if that name is free.
    :param partial_name: the same for every run that fetches this file to this folder.
    """

    resolved: Resolved
    file: ModelFile
    reason: str
    root: Path
    relative: PurePosixPath
    expected: Expected
    partial_name: str

    @property
    def folder(self) -> Path:
        """The folder that the file goes to."""
        return self.root / self.relative.parent

    @property
    def target(self) -> Path:
        """The file's path, if that name is free."""
        return self.root / self.relative


def plan(
    config: Config, options: PullOptions, resolved: Resolved, file: ModelFile, reason: str
) -> Plan:
    """Decide where `file` goes; touches nothing.

    :raises UnsafeFileError: Civitai's scan calls the file dangerous, and that was not allowed.
    :raises ConfigError: layout, template or folders are wrong.
    """
    check_safe(config, options, file)
    root = detect_root(library_root(config), config.library.layout)
    item = _placeable(resolved, file)
    name = clean_name(file.name, max_bytes=_PARTIAL_NAME_BYTES)
    return Plan(
        resolved=resolved,
        file=file,
        reason=reason,
        root=root,
        relative=place(config.library, item),
        expected=expected_of(file),
        partial_name=f"{name}.{file.id}",
    )


def check_safe(config: Config, options: PullOptions, file: ModelFile) -> None:
    """Refuse what Civitai's scans call dangerous.

    :raises UnsafeFileError: it is, and neither the option nor the setting allows it.
    """
    if not file.called_dangerous or options.allow_unsafe or config.download.unsafe == "allow":
        return
    said = file.pickle_scan_message or file.virus_scan_message or "no details are given"
    raise UnsafeFileError(
        f"Civitai's scan calls {printable(file.name)} dangerous: {printable(_bare(said))}",
        hint="look for a safetensors version; --allow-unsafe pulls it all the same",
    )


def _bare(message: str) -> str:
    """The scanner's Markdown without its marks."""
    return message.replace("*", "").replace("`", "")


def expected_of(file: ModelFile) -> Expected:
    """What was published of the file's size and hashes."""
    hashes = file.hashes
    return Expected(
        size=file.size_bytes,
        size_is_exact=file.size_is_exact,
        sha256=hashes.sha256,
        blake3=hashes.blake3,
        crc32=hashes.crc32,
        autov1=hashes.autov1,
        autov2=hashes.autov2,
        autov3=hashes.autov3,
    )


def _placeable(resolved: Resolved, file: ModelFile) -> Placeable:
    version = resolved.version.value
    primary = version.primary_file()
    return Placeable(
        file_name=file.name or f"{resolved.model_name}_{version.name}",
        model_type=resolved.model_type,
        file_type=file.type or "Model",
        base_model=version.base_model or "",
        creator=resolved.creator,
        model=resolved.model_name,
        version=version.name,
        model_id=resolved.model_id,
        version_id=version.id,
        companion=primary.name if primary is not None else None,
    )
