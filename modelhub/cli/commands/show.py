"""`modelhub show`: everything known about a file or a published model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import civitai_client, opened_catalog
from modelhub.cli.output import json_option, print_fields, print_json
from modelhub.cli.scan_lines import scan_lines
from modelhub.services.listed import file_name
from modelhub.text import clean, human_count, human_size, shorten

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from modelhub.catalog import Catalog, Derivation, FileDetails, Part, RenderRow
    from modelhub.civitai.schema import Model, ModelFile, Version
    from modelhub.services.show import PublishedDetails

_DESCRIPTION_LINES = 12
_HISTORY_LINES = 8
_RENDERS = 10


@click.command()
@click.argument("file", metavar="FILE|REF")
@click.option("--full", is_flag=True, help="The whole description and history.")
@click.option("--evidence", is_flag=True, help="Why it is said to be what it is.")
@json_option
@pass_app
def command(app: App, file: str, full: bool, evidence: bool, as_json: bool) -> None:
    """Show everything known about a file or model.

    A path, a file name or its start, a hash or its first 8 or more digits, or a version's id means
    a file in the library. What is none of these, and is a reference (an id, a URL, an AIR, a hash),
    is asked of Civitai: versions, files, hashes and trigger words, without downloading anything.

    \b
    Examples:
      modelhub show sakushimix
      modelhub show --evidence sakushimix
      modelhub show 107842
      modelhub show 'https://civitai.com/models/107842?modelVersionId=428028'
    """
    from modelhub.errors import UnknownFile
    from modelhub.services.show import show_local, show_published

    with opened_catalog(app) as catalog:
        try:
            details = show_local(catalog, file)
        except UnknownFile:
            with civitai_client(app) as client:
                published = show_published(catalog, client, app.config, file)
            print_json(_document(published)) if as_json else _print_published(published, full=full)
            return
        vaes = _vaes(catalog, details)
    if as_json:
        print_json(_local_document(details) | {"same_vae": vaes})
    else:
        _print_local(details, vaes, full=full, evidence=evidence)


def _vaes(catalog: Catalog, details: FileDetails) -> list[Path]:
    """The VAE files here whose weights a checkpoint has baked in, as far as they were compared."""
    if not details.row.vae or details.row.sha256 is None:
        return []
    from modelhub.services.vaes import same_vae

    return [row.file for row in same_vae(catalog, details.row.sha256)]


def _local_document(details: FileDetails) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(details, enc_hook=str)
    return {"where": "library", "file": str(details.row.file)} | document


def _print_local(details: FileDetails, vaes: list[Path], *, full: bool, evidence: bool) -> None:
    row = details.row
    _heading(row.model_name or file_name(row), row.version_name)
    print_fields(
        [
            ("File", row.file),
            ("Size", f"{human_size(row.size)} ({human_count(row.size)} bytes)"),
            ("Parts", row.parts if row.parts > 1 else ""),
            ("State", row.state if row.state != "hashed" else ""),
            ("Fault", row.fault),
            *_what_it_is(details),
            ("Same VAE", ", ".join(map(str, vaes))),
            ("Verdict", row.verdict or ("unsafe, by Civitai's scan" if row.unsafe else "")),
            ("Rating", f"{row.rating}/5" if row.rating else ""),
            ("Tags", ", ".join(row.tags)),
            ("Note", details.note),
            ("Trigger words", ", ".join(details.own_trigger_words or details.trigger_words)),
            ("Trained words", ", ".join(details.trained_words)),
            ("Added", _minute(row.added_at)),
            ("Last used", _minute(row.used_at)),
            ("Verified", _verified(details)),
            ("Asked Civitai", _minute(details.asked_at) if not details.publications else ""),
        ]
    )
    _section("Your values", ((_spelled(name), text) for name, text in details.user_values.items()))
    _section("Pickles", scan_lines(details.scan))
    _section("Remarks", [(str(n), text) for n, text in enumerate(_remarks(details.header), 1)])
    if evidence:
        _print_evidence(details)
    _section("Hashes", details.hashes.items())
    for publication in details.publications:
        fields = [
            ("Model", f"{publication.model_name} ({publication.model_id})"),
            ("Version", f"{publication.version_name} ({publication.version_id})"),
            ("Creator", publication.creator),
            ("AIR", publication.air),
            ("Published", _day(publication.published_at)),
            ("Tags there", ", ".join(publication.published_tags)),
            ("Gone since", _day(publication.gone_at)),
        ]
        _section("On Civitai", fields)
    _section("Previews", [(str(n), p.file) for n, p in enumerate(details.previews, 1) if p.file])
    _section("Test images", [(f"#{one.id}", _render(one)) for one in details.renders[:_RENDERS]])
    _section("Parts", [(str(n), _part(part)) for n, part in enumerate(details.parts, 1)])
    _section("Made from", map(_derived, details.made_from))
    _section("Made into", map(_derived, details.made_into))
    _section("Also at", [(str(n), copy.file) for n, copy in enumerate(details.copies, 1)])
    events = details.events if full else details.events[:_HISTORY_LINES]
    _section("History", [(f"{e.at.astimezone():%Y-%m-%d %H:%M}", e.text) for e in events])


def _part(part: Part) -> str:
    unsafe = part.verdict not in (None, "safe")
    return f"{part.path}: {part.verdict}" if unsafe else part.path


def _derived(one: Derivation) -> tuple[str, object]:
    from modelhub.catalog import decode_path

    where = decode_path(one.files[0]) if one.files else f"{one.sha256[:10]} (not here)"
    return f"{_minute(one.at)}", f"{where}: {one.operation}"


def _what_it_is(details: FileDetails) -> list[tuple[str, object]]:
    """What was published or found out about it; guesses are marked."""
    row, identity = details.row, details.identity or {}
    guessed = _guessed(identity)
    fields = [
        ("Type", "kind", f"{row.type or ''} ({row.adapter})" if row.adapter else row.type),
        ("Base model", "", row.base),
        ("Architecture", "architecture", _joined(row.architecture, row.edition)),
        ("Variant", "variants", ", ".join(row.variants)),
        ("Family", "family", row.family),
        ("Precision", "precision", row.precision),
        ("Precisions", "precisions", _by_part(identity.get("precisions"))),
        ("Format", "", row.format),
        ("Parameters", "", human_count(details.parameters) if details.parameters else ""),
        ("EMA", "ema", _yes_no(row.ema)),
        ("Pruned", "pruned", _yes_no(row.pruned)),
        ("VAE", "vae", details.known_vae or _yes_no(row.vae)),
        ("Text encoders", "text_encoders", _joined_list(identity.get("text_encoders"))),
        ("Rank", "rank", identity.get("rank")),
        ("Resolution", "resolution", identity.get("resolution")),
        ("Title", "title", identity.get("title")),
        ("Author", "author", identity.get("author")),
    ]
    return [
        (label, f"{value} (a guess)" if value and name in guessed else value)
        for label, name, value in fields
    ]


def _render(one: RenderRow) -> str:
    from modelhub.catalog import decode_path

    return f"{_minute(one.created_at)} {decode_path(one.file)}"


def _remarks(header: Any) -> list[str]:
    """What is odd and harmless, or incomplete: what reading the file remarked."""
    notices = header.get("notices") if isinstance(header, dict) else None
    return [str(one) for one in notices] if isinstance(notices, list) else []


def _evidence(identity: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = identity.get("evidence")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _guessed(identity: Mapping[str, Any]) -> set[object]:
    """The fields for which there is nothing better than a guess."""
    sure = {one.get("field") for one in _evidence(identity) if one.get("certain", True)}
    return {one.get("field") for one in _evidence(identity)} - sure


def _print_evidence(details: FileDetails) -> None:
    lines = [
        (
            _spelled(str(one.get("field", ""))),
            f"{one.get('value', '')}: {one.get('because', '')}"
            + ("" if one.get("certain", True) else " (a guess)"),
        )
        for one in _evidence(details.identity or {})
    ]
    _section("Evidence", lines or [("none", "the file has not been identified")])
    training = (details.identity or {}).get("training")
    if isinstance(training, dict):
        _section("Training", ((_spelled(str(name)), text) for name, text in training.items()))


def _joined(*texts: str | None) -> str:
    return ", ".join(text for text in texts if text)


def _joined_list(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else ""


def _by_part(values: Any) -> str:
    """Precisions, where they differ from part to part."""
    if not isinstance(values, dict) or len(set(map(str, values.values()))) < 2:
        return ""
    return ", ".join(f"{part} {value}" for part, value in values.items())


def _yes_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _minute(when: datetime | None) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M}" if when else ""


def _verified(details: FileDetails) -> str:
    if details.verified_at is None:
        return ""
    result = "the same" if details.verify_ok else "NOT what it was"
    return f"{_minute(details.verified_at)}: {result}"


def _spelled(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _print_published(published: PublishedDetails, *, full: bool) -> None:
    resolved = published.resolved
    version = resolved.version.value
    model = resolved.model.value if resolved.model is not None else None
    _heading(resolved.model_name, version.name)
    here = "yes" if version.id in published.here else "no: `modelhub pull` gets it"
    print_fields(
        [
            ("In the library", here),
            ("Model id", resolved.model_id),
            ("Version id", version.id),
            ("Type", resolved.model_type),
            ("Base model", version.base_model),
            ("Creator", resolved.creator),
            ("AIR", version.air),
            ("Published", (version.published_at or "")[:10]),
            ("Trigger words", ", ".join(version.trained_words)),
            ("Tags", ", ".join(model.tags) if model else ""),
            ("Licence", _licence(model)),
        ]
    )
    for file in version.files:
        _section(
            (file.name or "(no name)") + (" (primary)" if file.primary else ""), _file_fields(file)
        )
    if model is not None and len(model.versions) > 1:
        others = [one for one in model.versions if one.id != version.id]
        _section("Other versions", [(str(one.id), _version_line(one, published)) for one in others])
    _print_description(version.description or (model.description if model else None), full=full)


def _file_fields(file: ModelFile) -> list[tuple[str, object]]:
    meta = file.metadata
    traits = (file.type, meta.format, meta.size, meta.fp, meta.quant_type)
    return [
        ("File id", file.id),
        ("What", ", ".join(trait for trait in traits if trait)),
        ("Size", human_size(file.size_bytes)),
        ("Scan", "dangerous" if file.called_dangerous else file.pickle_scan_result),
        *file.hashes.published.items(),
    ]


def _licence(model: Model | None) -> str:
    if model is None:
        return ""
    commercial = model.allow_commercial_use or []
    uses = [commercial] if isinstance(commercial, str) else commercial
    parts = [
        "credit needed" if model.allow_no_credit is False else "",
        f"commercial use: {', '.join(uses)}" if uses else "no commercial use",
        "no merges" if model.allow_derivatives is False else "",
    ]
    return "; ".join(part for part in parts if part)


def _version_line(version: Version, published: PublishedDetails) -> str:
    here = "here" if version.id in published.here else ""
    parts = (version.name, version.base_model, (version.published_at or "")[:10], here)
    return ", ".join(part for part in parts if part)


def _document(published: PublishedDetails) -> dict[str, Any]:
    import json

    resolved = published.resolved
    return {
        "where": "civitai",
        "here": sorted(published.here),
        "version": json.loads(resolved.version.raw),
        "model": json.loads(resolved.model.raw) if resolved.model is not None else None,
    }


def _heading(name: str, version: str | None) -> None:
    click.secho(clean(f"{name} - {version}" if version else name), bold=True, color=_color())


def _section(title: str, fields: Iterable[tuple[str, object]]) -> None:
    shown = [(name, value) for name, value in fields if value not in (None, "")]
    if shown:
        click.echo()
        click.secho(clean(title), bold=True, color=_color())
        print_fields(shown, indent=2)


def _print_description(html: str | None, *, full: bool) -> None:
    from modelhub.html_text import plain_text

    text = plain_text(html or "")
    if not text:
        return
    lines = text.split("\n")
    shown = lines if full else [shorten(line, 400) for line in lines[:_DESCRIPTION_LINES]]
    click.echo()
    click.echo(clean("\n".join(shown), lines=True))
    if len(shown) < len(lines):
        click.echo("... (--full shows all of it)")


def _day(when: Any) -> str:
    return f"{when.astimezone():%Y-%m-%d}" if when is not None else ""


def _color() -> bool | None:
    return click.get_current_context().color
