"""`modelhub hash`: all hashes by which files are known, in one read of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.output import json_option, print_fields, print_json
from modelhub.errors import Cancelled, VerificationError
from modelhub.text import clean, human_count, human_size

if TYPE_CHECKING:
    from modelhub.services.hashing import FailedHash, HashedFile

_NAMES = {
    "sha256": "SHA256",
    "autov1": "AutoV1",
    "autov2": "AutoV2",
    "autov3": "AutoV3",
    "blake3": "BLAKE3",
    "crc32": "CRC32",
}


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    # Left to the service: one file that cannot be read hinders none of the others.
    type=click.Path(readable=False, path_type=Path),
)
@click.option(
    "--only",
    type=click.Choice(list(_NAMES), case_sensitive=False),
    multiple=True,
    help="This hash alone, a line a file as sha256sum prints it; may be given again.",
)
@json_option
@pass_app
def command(app: App, files: tuple[Path, ...], only: tuple[str, ...], as_json: bool) -> None:
    """Compute all hashes of files, each read once.

    SHA256, BLAKE3 and CRC32 of the whole file; AutoV1, AutoV2 and AutoV3 as Civitai and the web
    UIs know models. What a LoRA's own metadata say of its tensors (sshs_model_hash) is checked:
    where it differs, the command ends with the code 5.

    \b
    Examples:
      modelhub hash sakushimix.safetensors
      modelhub hash --only sha256 *.safetensors
    """
    from modelhub.cli.messages import show_error
    from modelhub.formats.hashes import ALL_HASHES
    from modelhub.services.hashing import FailedHash

    # AutoV2 is the start of SHA256, which is computed in any case.
    kinds = ALL_HASHES.intersection(only) if only else ALL_HASHES
    code = 0
    documents: list[dict[str, Any]] = []
    done, stopped = _hashed(app, files, kinds)
    for one in done:
        if isinstance(one, FailedHash):
            show_error(app, one.error)
            code = max(code, one.error.exit_code)
            continue
        if one.belied:
            code = max(code, VerificationError.exit_code)
        if as_json:
            documents.append(_document(one, only))
        elif only:
            _print_lines(one, only)
        else:
            _print_fields(one, app)
    if as_json:
        print_json(documents)
    if stopped is not None:
        raise stopped
    if code:
        click.get_current_context().exit(code)


def _hashed(
    app: App, files: Sequence[Path], kinds: Collection[str]
) -> tuple[list[HashedFile | FailedHash], Cancelled | None]:
    """What was done, and the error if Ctrl-C came before the end."""
    from modelhub.services.hashing import hash_files

    done: list[HashedFile | FailedHash] = []
    with app.progress() as listener:
        try:
            for one in hash_files(files, kinds, listener=listener, cancel=app.cancel):
                done.append(one)  # noqa: PERF402 (what is done stays where an error comes)
        except Cancelled as error:
            return done, error
    return done, None


def _document(file: HashedFile, only: tuple[str, ...]) -> dict[str, Any]:
    claims = [
        {"name": one.name, "claimed": one.claimed, "agrees": one.agrees, "remark": one.remark}
        for one in file.claims
    ]
    hashes = {name: getattr(file.hashes, name) for name in only or _NAMES}
    return {"file": str(file.path), "size": file.size, "hashes": hashes, "claims": claims}


def _print_lines(file: HashedFile, only: tuple[str, ...]) -> None:
    values = [getattr(file.hashes, name) or "-" for name in only]
    click.echo(f"{'  '.join(values)}  {clean(file.path)}")


def _print_fields(file: HashedFile, app: App) -> None:
    click.secho(clean(file.path), bold=True, color=app.color)
    fields: list[tuple[str, object]] = [
        ("Size", f"{human_size(file.size)} ({human_count(file.size)} bytes)")
    ]
    fields += [(shown, getattr(file.hashes, name)) for name, shown in _NAMES.items()]
    fields += [(claim.name, claim.verdict) for claim in file.claims]
    print_fields(fields, indent=2)
