"""What is told of a file that could be pulled, of its version, and of its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from modelhub.html_text import plain_text
from modelhub.services.browse import licence
from modelhub.text import clean, human_count, human_size, plural
from modelhub.tui.browse.listing import safety

if TYPE_CHECKING:
    from modelhub.civitai.schema import Model, ModelFile, Version

MUTED = "$foreground 65%"
_LOOKS = {"good": "$success", "warning": "$warning", "error": "bold $error"}
LONGEST_DESCRIPTION = 20_000
_MOST_TAGS = 20


def heading(model: Model) -> Content:
    """The name of the model, its kind and its creator."""
    facts = [model.type or "?", f"by {model.creator.username}" if model.creator.username else ""]
    if model.stats.download_count is not None:
        facts.append(f"{human_count(model.stats.download_count)} downloads")
    if model.stats.thumbs_up_count:
        facts.append(f"{human_count(model.stats.thumbs_up_count)} likes")
    if model.mode:
        facts.append(model.mode)
    if model.nsfw:
        facts.append("adult")
    return Content.assemble(
        (clean(model.name), "bold"),
        "\n",
        (" · ".join(clean(fact) for fact in facts if fact), MUTED),
    )


def facts(
    model: Model, version: Version | None, file: ModelFile | None, place: Path | None
) -> Content:
    """Everything about a file, then its version, then its model.

    :param place: where it is on this disk.
    """
    parts: list[Content] = []
    if file is not None:
        parts += _file(file, place)
    if version is not None:
        parts += _version(version)
    parts += _model(model)
    return Content("\n").join(parts)


def _field(name: str, text: str, look: str = "") -> Content:
    return Content.assemble((f"{name:<9} ", MUTED), (clean(text), look))


def _file(file: ModelFile, place: Path | None) -> list[Content]:
    size = file.size_bytes
    exact = f" ({human_count(size)} bytes)" if size is not None and file.size_is_exact else ""
    word, look = safety(file)
    scans = [file.pickle_scan_message or "", file.virus_scan_message or ""]
    said = " ".join(" ".join(text.split()) for text in scans if text)
    parts = [
        _field("file", file.name),
        _field("size", human_size(size) + exact),
        _field("safety", f"{word}  {said}".strip(), _LOOKS.get(look, "")),
    ]
    parts += [_field(name, value) for name, value in file.hashes.published.items()]
    if not file.hashes.published:
        parts.append(_field("hashes", "none published"))
    if place is not None:
        parts.append(_field("here", str(place), "$success"))
    return parts


def _version(version: Version) -> list[Content]:
    parts = [Content("")]
    if version.trained_words:
        parts.append(_field("trigger", ", ".join(version.trained_words)))
    if version.early_access_ends_at:
        parts.append(_field("access", f"early access until {version.early_access_ends_at}"))
    if version.usage_control not in (None, "Download"):
        parts.append(_field("access", "the creator has disabled downloads", "$warning"))
    if version.description:
        parts.append(_described(version.description))
    return parts


def _model(model: Model) -> list[Content]:
    parts = [Content("")]
    said = licence(model)
    if said:
        parts.append(_field("licence", " · ".join(said)))
    if model.tags:
        shown = model.tags[:_MOST_TAGS]
        more = len(model.tags) - len(shown)
        text = ", ".join(shown) + (f" and {plural(more, 'more', 'more')}" if more else "")
        parts.append(_field("tags", text))
    if model.description:
        parts += [Content(""), _described(model.description)]
    return parts


def _described(html: str) -> Content:
    return Content(clean(plain_text(html[:LONGEST_DESCRIPTION]).strip(), lines=True))
