"""Everything that a pane beside a list shows of one file: what the catalog knows, the description
that its creator wrote, and the picture that stands for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelhub.catalog.paths import decode_path
from modelhub.html_text import plain_text
from modelhub.placement.previews import UNRATED, allowed_bits, existing_preview

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileDetails, PreviewRow
    from modelhub.config import Config

LONGEST_DESCRIPTION = 20_000
"""Characters of a description that are shown."""


class _Described(msgspec.Struct):
    description: str | None = None


@dataclass(frozen=True, slots=True)
class About:
    """One file.

    :param preview: the picture that stands for it, of those that are on this disk.
    :param hidden: why no picture is shown although there is one; empty: none is hidden.
    """

    details: FileDetails
    description: str
    preview: Path | None
    hidden: str


def about(catalog: Catalog, config: Config, file_id: int) -> About:
    """Everything about one file; nothing is asked of the network.

    :raises UnknownFile: the catalog has no such file.
    :raises CatalogError: the catalog cannot be read.
    """
    details = catalog.show(file_id)
    preview, hidden = _preview(details, config)
    return About(details, _description(catalog, details), preview, hidden)


def _description(catalog: Catalog, details: FileDetails) -> str:
    """What the creator wrote of the model, then of the version, as plain text."""
    row = details.row
    texts: list[str] = []
    for which in ({"model_id": row.model_id}, {"version_id": row.version_id}):
        number = next(iter(which.values()))
        answer = catalog.raw_answer(**which) if number is not None else None
        if answer is not None:
            texts.append(_text_of(answer[0]))
    return "\n\n".join(filter(None, texts))[:LONGEST_DESCRIPTION]


def _text_of(answer: str) -> str:
    try:
        found = msgspec.json.decode(answer, type=_Described).description
    except msgspec.DecodeError:
        return ""
    return plain_text(found[: 10 * LONGEST_DESCRIPTION]) if found else ""


def _preview(details: FileDetails, config: Config) -> tuple[Path | None, str]:
    """A picture within the level that the user allows; or why there is none.

    A picture beside the file, of which nobody says what it shows, is held to what is published of
    the model's pictures: where all of those are above the level, it is hidden as well.
    """
    most = config.sidecars.max_nsfw
    allowed = allowed_bits(most)
    shown = [one for one in details.previews if not _level(one) & ~allowed]
    for one in shown:
        if one.file is not None and (path := decode_path(one.file)).is_file():
            return path, ""
    beside = existing_preview(details.row.file)
    if beside is None:
        return None, ""
    if details.previews and not shown:
        return None, f"picture above {most} hidden"
    return beside, ""


def _level(preview: PreviewRow) -> int:
    return preview.nsfw_level or UNRATED
