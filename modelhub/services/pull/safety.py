"""Stage five: the verified bytes are scanned before they get a name under which a UI loads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import FileState
from modelhub.errors import ModelhubError, UnsafeFileError
from modelhub.services.pull.present import catalogued
from modelhub.services.scan.quarantine import base_of, put_away
from modelhub.services.scan.report import dangerous_names
from modelhub.transfer import commit, release

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow
    from modelhub.config import Config
    from modelhub.formats.scan import ScanReport
    from modelhub.services.pull.outcome import PullOptions
    from modelhub.services.pull.plan import Plan
    from modelhub.transfer import Downloaded

_WITHHELD = {
    "dangerous": frozenset({"dangerous"}),
    "suspicious": frozenset({"dangerous", "suspicious"}),
    "never": frozenset[str](),
}
"""By ``pull.quarantine``: the verdicts with which a file does not get its place."""


def withholds(config: Config, options: PullOptions, verdict: str | None) -> bool:
    """Whether a file with this verdict does not get its place."""
    allowed = options.allow_unsafe or config.download.unsafe == "allow"
    return not allowed and verdict in _WITHHELD[config.pull.quarantine]


def put_in_quarantine(plan: Plan, downloaded: Downloaded) -> Path:
    """Give the verified file a name in quarantine.

    :raises NameTaken: every variant of it is in use.
    :raises DiskError: the disk refuses.
    """
    try:
        base = base_of(plan.root, plan.folder)
        return put_away(base, plan.target, lambda place: commit(downloaded.partial, place))
    except ModelhubError:
        release(downloaded.partial)
        raise


def withheld(plan: Plan, path: Path, report: ScanReport) -> UnsafeFileError:
    """What is said of a file that has just been put into quarantine at `path`."""
    return UnsafeFileError(
        f"{plan.relative.name} is {report.verdict}: {reason_of(report)}; it was put into "
        f"quarantine: {path}",
        hint=_release_hint(path, plan),
    )


def reason_of(report: ScanReport) -> str:
    """Why a file is not safe, in a few words."""
    names = dangerous_names(report)
    if names:
        return f"it names {names}"
    return report.faults[0].reason if report.faults else "its pickles do what no model needs"


def _release_hint(path: Path, plan: Plan) -> str:
    return (
        f"`modelhub scan '{path}'` shows all of it; `modelhub scan --release '{path}'` puts it to "
        f"{plan.folder}; another version, or a safetensors file, may be clean"
    )


def find_quarantined(catalog: Catalog, plan: Plan) -> FileRow | None:
    """The file of an earlier pull of the same content, if it is in quarantine still."""
    rows = (row for row in catalogued(catalog, plan) if row.state is FileState.QUARANTINED)
    return next((row for row in rows if row.file.is_file()), None)


def refuse_known(
    catalog: Catalog, config: Config, options: PullOptions, plan: Plan, held: FileRow | None
) -> None:
    """Refuse what is known to be unsafe without downloading or linking it once more.

    :param held: the same content in quarantine.
    :raises UnsafeFileError: it is withheld, and in quarantine or in another folder.
    """
    if held is not None and withholds(config, options, held.verdict or "dangerous"):
        raise UnsafeFileError(
            f"{plan.relative.name} is in quarantine, as it is {held.verdict or 'unsafe'}: "
            f"{held.file}",
            hint=_release_hint(held.file, plan),
        )
    for row in catalogued(catalog, plan):
        elsewhere = row.state is FileState.HASHED and row.file.parent != plan.folder
        if elsewhere and withholds(config, options, row.verdict):
            raise UnsafeFileError(
                f"{plan.relative.name} is {row.verdict}, and here already as {row.file}: it was "
                f"not linked to {plan.folder}",
                hint="--allow-unsafe does it all the same",
            )
