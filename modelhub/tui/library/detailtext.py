"""What the details pane says of a file, as styled text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.content import Content

from modelhub.catalog.paths import decode_path
from modelhub.services.listed import file_name, remarks
from modelhub.text import clean, human_count, human_size
from modelhub.tui.library.columns import stars

if TYPE_CHECKING:
    from modelhub.catalog import FileDetails, Publication
    from modelhub.services.about import About

MOST_LINES = 8
"""Of copies, renders, events."""
_LABEL = 13


def heading(details: FileDetails) -> Content:
    """Name, version, and the chips: kind, base model, precision, format, size."""
    row = details.row
    name = row.model_name or file_name(row)
    title = f"{name} · {row.version_name}" if row.version_name else name
    chips = [
        (row.adapter and row.type and f"{row.type} ({row.adapter})") or row.type,
        row.base,
        row.precision,
        row.format,
        human_size(row.size),
    ]
    parts: list[Content | tuple[str, str]] = [(clean(title), "bold"), "\n"]  # type: ignore[list-item]
    for chip in filter(None, chips):
        parts += [(f" {clean(chip)} ", "$foreground on $panel"), (" ", "")]
    odd = remarks(row)
    if odd:
        parts.append((f"\n⚠ {', '.join(map(clean, odd))}", "bold $warning"))
    if row.fault:
        parts.append((f"\n{clean(row.fault)}", "$warning"))
    return Content.assemble(*parts)


def body(about: About, *, newer: bool) -> Content:
    """Everything else, in sections."""
    details = about.details
    sections = [
        _words(details),
        _yours(details),
        _identity(details),
        *_civitai(details, newer=newer),
        _files(details),
        _section("Hashes", details.hashes.items()),
        _made(details),
        _renders(details),
        _text("Description", about.description),
        _history(details),
    ]
    return Content("\n\n").join([section for section in sections if section])


def trigger_words(details: FileDetails) -> tuple[str, ...]:
    """What `y` copies: the user's own words, else the published ones, else those of the trainer."""
    return details.own_trigger_words or details.trigger_words or details.trained_words


def _words(details: FileDetails) -> Content:
    words = trigger_words(details)
    if not words:
        return Content("")
    said = "yours" if details.own_trigger_words else ""
    said = said or ("as published" if details.trigger_words else "as the trainer left them")
    return Content.assemble(
        ("Trigger words", "bold $primary"),
        (f" {said}, y copies\n", "$foreground 60%"),
        (clean(", ".join(words)), "$success"),
    )


def _yours(details: FileDetails) -> Content:
    row = details.row
    fields = [
        ("Rating", f"{stars(row.rating)} {row.rating}/5" if row.rating else ""),
        ("Tags", ", ".join(row.tags)),
        ("Last used", minute(row.used_at) or "never"),
        *((spelled(name), text) for name, text in details.user_values.items()),
    ]
    found = _section("Yours", fields)
    if details.note:
        found = found.append(Content(f"\n{clean(details.note, lines=True)}"))
    return found


def _identity(details: FileDetails) -> Content:
    row, identity = details.row, details.identity or {}
    evidence = [one for one in identity.get("evidence") or () if isinstance(one, dict)]
    because = {str(one.get("field")): one for one in evidence}
    fields: list[tuple[str, str, str]] = [
        ("Kind", "kind", row.type or ""),
        ("Architecture", "architecture", ", ".join(filter(None, (row.architecture, row.edition)))),
        ("Family", "family", row.family or ""),
        ("Variants", "variants", ", ".join(row.variants)),
        ("Precision", "precision", row.precision or ""),
        ("Parameters", "", human_count(details.parameters) if details.parameters else ""),
        ("EMA", "ema", _yes_no(row.ema)),
        ("Pruned", "pruned", _yes_no(row.pruned)),
        ("VAE", "vae", details.known_vae or _yes_no(row.vae)),
        ("Rank", "rank", str(identity.get("rank") or "")),
        ("Resolution", "resolution", str(identity.get("resolution") or "")),
    ]
    lines = []
    for label, field, value in fields:
        if not value:
            continue
        told = because.get(field, {})
        guess = "" if told.get("certain", True) else " (a guess)"
        reason = f"\n{' ' * _LABEL}{clean(told['because'])}" if told.get("because") else ""
        lines.append(
            Content.assemble(
                (label.ljust(_LABEL), "$foreground 60%"),
                (clean(value) + guess, ""),
                (reason, "$foreground 55% italic"),
            )
        )
    if not lines:
        return Content("")
    return Content("\n").join([Content.styled("Identity", "bold $primary"), *lines])


def _civitai(details: FileDetails, *, newer: bool) -> Iterable[Content]:
    for number, one in enumerate(details.publications):
        yield _publication(one, newer=newer and number == 0)


def _publication(one: Publication, *, newer: bool) -> Content:
    fields = [
        ("Model", f"{one.model_name} ({one.model_id})"),
        ("Version", f"{one.version_name} ({one.version_id})"),
        ("Update", "↑ a newer version is known: u" if newer else ""),
        ("File", one.remote_name),
        ("Creator", one.creator),
        ("Base model", one.base_model),
        ("AIR", one.air),
        ("Published", f"{one.published_at:%Y-%m-%d}" if one.published_at else ""),
        ("Tags there", ", ".join(one.published_tags)),
        ("Gone since", f"{one.gone_at:%Y-%m-%d}" if one.gone_at else ""),
    ]
    return _section("On Civitai", fields)


def _files(details: FileDetails) -> Content:
    row = details.row
    fields: list[tuple[str, object]] = [
        ("File", row.file),
        ("Size", f"{human_size(row.size)} ({human_count(row.size)} bytes)"),
        ("Added", minute(row.added_at)),
        ("Verified", _verified(details)),
        ("Verdict", row.verdict or ("unsafe, by Civitai's scan" if row.unsafe else "")),
    ]
    fields += [("Part", part.path) for part in details.parts[:MOST_LINES]]
    fields += [("Also at", copy.file) for copy in details.copies[:MOST_LINES]]
    return _section("On this disk", fields)


def _made(details: FileDetails) -> Content:
    lines = []
    for label, found in (("Made from", details.made_from), ("Made into", details.made_into)):
        for one in found[:MOST_LINES]:
            where = decode_path(one.files[0]) if one.files else f"{one.sha256[:10]} (not here)"
            lines.append((label, f"{where}: {one.operation}"))
    return _section("Conversions", lines)


def _renders(details: FileDetails) -> Content:
    return _section(
        "Renders",
        [
            (f"#{one.id}", f"{minute(one.created_at)}  {one.prompt}")
            for one in details.renders[:MOST_LINES]
        ],
    )


def _history(details: FileDetails) -> Content:
    events = details.events[:MOST_LINES]
    return _section("History", [(f"{one.at.astimezone():%Y-%m-%d}", one.text) for one in events])


def _section(title: str, fields: Iterable[tuple[str, Any]]) -> Content:
    lines = [
        Content.assemble((clean(label).ljust(_LABEL), "$foreground 60%"), clean(value))
        for label, value in fields
        if value not in (None, "")
    ]
    if not lines:
        return Content("")
    return Content("\n").join([Content.styled(title, "bold $primary"), *lines])


def _text(title: str, text: str) -> Content:
    if not text:
        return Content("")
    return Content.assemble((f"{title}\n", "bold $primary"), clean(text, lines=True))


def _yes_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def minute(when: datetime | None) -> str:
    """A time, local, to the minute."""
    return f"{when.astimezone():%Y-%m-%d %H:%M}" if when else ""


def _verified(details: FileDetails) -> str:
    if details.verified_at is None:
        return ""
    return (
        f"{minute(details.verified_at)}: {'the same' if details.verify_ok else 'NOT what it was'}"
    )


def spelled(name: str) -> str:
    """A name of a field, as people write it."""
    return name.replace("_", " ").capitalize()
