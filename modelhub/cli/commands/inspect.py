"""`modelhub inspect`: what a file is by itself, on this disk or before it is downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import civitai_client
from modelhub.cli.output import Column, json_option, print_fields, print_json, print_table
from modelhub.text import clean, human_count, human_size, plural, shorten

if TYPE_CHECKING:
    from modelhub.formats.identity import Identity
    from modelhub.formats.tensors import Tensor
    from modelhub.services.inspect import Inspection

_TRIGGER_WORDS = 20
_LONGEST_VALUE = 300


@click.command()
@click.argument("file", metavar="FILE|REF")
@click.option("--tensors", is_flag=True, help="List the tensors: name, type, shape, bytes.")
@click.option(
    "--filter", "pattern", metavar="GLOB", help="Only tensors whose names fit: '*attn2*'."
)
@click.option("--metadata", is_flag=True, help="Print the metadata as they are in the file.")
@json_option
@pass_app
def command(
    app: App, file: str, tensors: bool, pattern: str | None, metadata: bool, as_json: bool
) -> None:
    """Show what a file is: kind, architecture, precision, parts, training; and how that is known.

    FILE is a model file, a shard of one, or a diffusers folder; it need not be in the library.
    REF (an id, a URL, an AIR, a hash) is a published file: Civitai is asked for the table of its
    tensors, and nothing is downloaded.

    \b
    Examples:
      modelhub inspect sakushimix.safetensors
      modelhub inspect 78056
      modelhub inspect lora.safetensors --tensors --filter '*to_k*'
    """
    from modelhub.services.inspect import inspect_local, inspect_published, local_path

    path = local_path(file)
    if path is not None:
        inspection = inspect_local(path)
    else:
        with civitai_client(app) as client:
            inspection = inspect_published(client, app.config, file)
    rows = _rows(inspection, pattern)
    if as_json:
        print_json(_document(inspection, rows if tensors or pattern else None))
    elif tensors or pattern:
        print_table(_COLUMNS, rows)
    elif metadata:
        _print_metadata(inspection)
    else:
        _print(inspection, app)


_Row = tuple[str, "Tensor"]


def _rows(inspection: Inspection, pattern: str | None) -> list[_Row]:
    from fnmatch import fnmatchcase

    items = inspection.header.tensors.items()
    return [row for row in items if pattern is None or fnmatchcase(row[0], pattern)]


def _bytes(row: _Row) -> int:
    """Of the tensor itself: in a torch file, several may share one storage."""
    from math import prod

    from modelhub.formats.safetensors import DTYPE_BITS

    _, tensor = row
    bits = DTYPE_BITS.get(tensor.dtype)
    if bits is None:
        return tensor.data_offsets[1] - tensor.data_offsets[0]
    return prod(tensor.shape) * bits // 8


def _shape(row: _Row) -> str:
    return "x".join(map(str, row[1].shape[:16])) or "scalar"


_COLUMNS: tuple[Column[_Row], ...] = (
    Column("Name", lambda row: row[0], flexible=True, middle=True),
    Column("Type", lambda row: row[1].dtype),
    Column("Shape", _shape, right=True),
    Column("Bytes", _bytes, human_count, right=True),
)


def _print_metadata(inspection: Inspection) -> None:
    metadata = inspection.header.metadata
    print_fields([(clean(key), metadata[key]) for key in sorted(metadata)])


def _document(inspection: Inspection, rows: Iterable[_Row] | None) -> dict[str, Any]:
    import msgspec

    from modelhub.services.scan import report_document

    header = inspection.header
    document: dict[str, Any] = {
        "where": "file" if inspection.published is None else "civitai",
        "name": inspection.name,
        "format": header.format.value,
        "size": header.size,
        "tensor_count": len(header.tensors),
        "identity": msgspec.to_builtins(inspection.identity),
        "guessed": sorted(inspection.identity.guessed),
        "metadata": dict(header.metadata),
        "extras": header.extras,
        "parts": header.parts,
        "notices": header.notices,
        "verdict": inspection.verdict,
        "scans": {name: report_document(one) for name, one in inspection.scans.items()},
    }
    if inspection.published is not None:
        document["published"] = msgspec.to_builtins(inspection.published)
    if rows is not None:
        document["tensors"] = [
            {"name": row[0], "dtype": row[1].dtype, "shape": row[1].shape, "bytes": _bytes(row)}
            for row in rows
        ]
    return document


def _print(inspection: Inspection, app: App) -> None:
    header, identity = inspection.header, inspection.identity
    click.secho(clean(inspection.name), bold=True, color=app.color)
    if inspection.published is not None:
        one = inspection.published
        print_fields(
            [
                ("On Civitai", f"{one.model} - {one.version} ({one.version_id})"),
                ("File id", f"{one.file_id}: {one.reason}"),
            ]
        )
    print_fields(
        [
            ("Format", header.format),
            ("Size", f"{human_size(header.size)} ({human_count(header.size)} bytes)"),
            *_identity_fields(identity),
            ("Verdict", inspection.verdict),
            ("Tensors", f"{plural(len(header.tensors), 'tensor')} (--tensors lists them)"),
            ("Metadata", _metadata_line(len(header.metadata))),
            ("Beside them", ", ".join(header.extras)),
        ]
    )
    _section("Precision by part", identity.precisions.items(), app)
    _section("Training", _shortened(identity.training.items()), app)
    _section("Claimed hashes", identity.claims.items(), app)
    _section("Files", [(str(n), part) for n, part in enumerate(header.parts, 1)], app)
    _section("Because", _evidence(identity), app)
    _print_scans(inspection, app)
    for notice in header.notices:
        app.warn(notice)


def _print_scans(inspection: Inspection, app: App) -> None:
    from modelhub.cli.scan_lines import scan_lines
    from modelhub.services.scan import report_document

    for name, report in inspection.scans.items():
        title = "Pickles" if len(inspection.scans) == 1 else f"Pickles in {name}"
        _section(title, scan_lines(report_document(report)), app)


def _identity_fields(identity: Identity) -> list[tuple[str, object]]:
    guessed = identity.guessed

    def told(field: str, value: object) -> object:
        return f"{value} (a guess)" if value and field in guessed else value

    kind = identity.kind.value if identity.kind is not None else "unknown"
    if identity.adapter:
        kind = f"{kind} ({identity.adapter})"
    words = identity.trigger_words
    more = f" and {len(words) - _TRIGGER_WORDS} more" if len(words) > _TRIGGER_WORDS else ""
    return [
        ("Kind", told("kind", kind)),
        ("Architecture", told("architecture", identity.architecture or "unknown")),
        ("Edition", told("edition", identity.edition)),
        ("Variants", told("variants", ", ".join(identity.variants))),
        ("Family", told("family", identity.family)),
        ("Precision", told("precision", identity.precision)),
        ("Parameters", human_count(identity.parameters) if identity.parameters else ""),
        ("Rank", identity.rank),
        ("EMA", _yes_or_no(identity.ema)),
        ("Pruned", _yes_or_no(identity.pruned)),
        ("VAE inside", _yes_or_no(identity.vae)),
        ("Text encoders", ", ".join(identity.text_encoders)),
        ("Title", identity.title),
        ("Author", identity.author),
        ("Resolution", told("resolution", identity.resolution)),
        ("Trigger words", ", ".join(words[:_TRIGGER_WORDS]) + more),
    ]


def _yes_or_no(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]


def _metadata_line(count: int) -> str:
    if not count:
        return "none"
    return f"{plural(count, 'entry', 'entries')} (--metadata prints them)"


def _evidence(identity: Identity) -> list[tuple[str, object]]:
    return [
        (one.field, f"{one.value}: {one.because}{'' if one.certain else ' (a guess)'}")
        for one in identity.evidence
    ]


def _shortened(fields: Iterable[tuple[str, str]]) -> list[tuple[str, object]]:
    return [(name, shorten(value, _LONGEST_VALUE)) for name, value in fields]


def _section(title: str, fields: Iterable[tuple[str, object]], app: App) -> None:
    shown = [(clean(name), value) for name, value in fields if value not in (None, "")]
    if shown:
        click.echo()
        click.secho(title, bold=True, color=app.color)
        print_fields(shown, indent=2)
