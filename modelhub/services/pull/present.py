"""Stage four: content that is on this disk already is not downloaded again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import FileState
from modelhub.errors import DiskError
from modelhub.formats.hashes import ContentHashes, hash_file
from modelhub.placement.links import Linked, same_content_at
from modelhub.placement.names import free_variant
from modelhub.progress import Advanced, Outcome, Stage, StageEntered
from modelhub.transfer.verify import published_hashes

if TYPE_CHECKING:
    from threading import Event

    from modelhub.catalog import Catalog, FileRow
    from modelhub.config import Config
    from modelhub.progress import Listener
    from modelhub.services.pull.plan import Plan
    from modelhub.transfer import Expected


@dataclass(frozen=True, slots=True)
class Present:
    """The content is here: it was (`PRESENT`), or has been linked to its place (`LINKED`).

    :param verified_by: the published hash that says that it is the content.
    :param notice: what the user should know, or empty.
    """

    path: Path
    outcome: Outcome
    hashes: ContentHashes
    verified_by: str | None
    notice: str = ""


def find_in_catalog(
    catalog: Catalog, config: Config, plan: Plan, cancel: Event, *, dry_run: bool = False
) -> Present | None:
    """The content by what the catalog knows: no file is read.

    Where it is in another folder than `plan` wants it, `library.same_content` decides: it is
    linked or copied there, or only reported.

    :param dry_run: link nothing.
    :raises DiskError: the disk refuses the link.
    """
    rows = [row for row in catalogued(catalog, plan) if _unchanged(row)]
    if not rows:
        return None
    here = next((row for row in rows if row.file.parent == plan.folder), None)
    row = here or rows[0]
    present = Present(row.file, Outcome.PRESENT, _hashes_of(catalog, row), _proof(plan, row))
    if here is not None or config.library.same_content == "report":
        return present
    if dry_run:
        return Present(plan.target, Outcome.LINKED, present.hashes, present.verified_by)
    return _linked(plan, present, copy=config.library.same_content == "copy", cancel=cancel)


Standing = tuple[tuple[int, int, int] | None, ...]


def what_stands(plan: Plan) -> Standing:
    """Inode, size and time of what has the names that the file may get: equal while nobody put
    anything else there."""
    found: list[tuple[int, int, int] | None] = []
    for path in _possible_places(plan):
        try:
            state = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)


def find_on_disk(plan: Plan, task: str, listener: Listener, cancel: Event) -> Present | None:
    """The content at the very place where it would go: read and hashed, if its size fits.

    :raises Cancelled: `cancel` was set.
    """
    expected = plan.expected
    for path in _possible_places(plan):
        try:
            size = path.stat().st_size
            if not path.is_file() or (expected.size_is_exact and size != expected.size):
                continue
            hashes = _hashed(path, size, task, listener, cancel)
        except OSError:
            continue
        proof = proven_by(expected, hashes)
        if proof is not None:
            return Present(path, Outcome.PRESENT, hashes, proof)
    return None


def _hashed(path: Path, size: int, task: str, listener: Listener, cancel: Event) -> ContentHashes:
    def tell(done: int) -> None:
        listener(Advanced(task, done, size))

    listener(StageEntered(task, Stage.VERIFY, size))
    return hash_file(path, progress=tell, cancel=cancel)


def proven_by(expected: Expected, hashes: ContentHashes) -> str | None:
    """The strongest published hash, if it is that of `hashes`; None if it differs or is not.

    AutoV1 covers 64 KiB, and proves nothing.
    """
    name, published = next(iter(published_hashes(expected).items()), ("AutoV1", ""))
    agrees = name != "AutoV1" and getattr(hashes, name.lower()) == published
    return name if agrees else None


def _possible_places(plan: Plan) -> Iterator[Path]:
    yield plan.target
    stem, suffix = plan.target.stem, plan.target.suffix
    yield plan.target.with_name(f"{stem} ({plan.resolved.version.value.id}){suffix}")


def catalogued(catalog: Catalog, plan: Plan) -> list[FileRow]:
    """The files in the catalog that are what `plan` is to pull: by hash, else by what they were
    published as."""
    if plan.expected.sha256 is not None:
        return catalog.find_local_by_sha256(plan.expected.sha256)
    # No hash to go by: what was pulled as this very file before.
    return [
        row
        for row in catalog.find_local_by_version(plan.resolved.version.value.id)
        if any(
            publication.remote_file_id == plan.file.id
            for publication in catalog.show(row.id).publications
        )
    ]


def _unchanged(row: FileRow) -> bool:
    """Whether the file is as it was when it was hashed, as far as its size and time tell."""
    if row.state is not FileState.HASHED:
        return False
    try:
        stat = row.file.stat()
    except OSError:
        return False
    return stat.st_size == row.size and stat.st_mtime_ns == row.mtime_ns


def _hashes_of(catalog: Catalog, row: FileRow) -> ContentHashes:
    known = catalog.show(row.id).hashes
    return ContentHashes(
        sha256=row.sha256 or known["SHA256"],
        blake3=known.get("BLAKE3"),
        crc32=known.get("CRC32"),
        autov1=known.get("AutoV1"),
        autov3=known.get("AutoV3"),
    )


def _proof(plan: Plan, row: FileRow) -> str | None:
    same = plan.expected.sha256 is not None and row.sha256 == plan.expected.sha256.upper()
    return "SHA256" if same else None


def _linked(plan: Plan, present: Present, *, copy: bool, cancel: Event) -> Present | None:
    version_id = plan.resolved.version.value.id
    name = plan.relative.name
    while True:
        target = plan.folder / name
        result = same_content_at(
            present.path,
            target,
            sha256=present.hashes.sha256,
            trusted=True,
            copy=copy,
            cancel=cancel,
        )
        if result.how is Linked.TAKEN:
            name = free_variant(plan.folder, plan.relative.name, version_id=version_id)
            continue
        if result.how is Linked.DIFFERENT:
            return None
        if result.how is Linked.UNSUPPORTED:
            notice = f"{result.detail}; set library.same_content to copy to have it in both places"
            return Present(
                present.path, Outcome.PRESENT, present.hashes, present.verified_by, notice
            )
        if not result.done:
            raise DiskError(f"cannot link {target}: {result.detail}")
        outcome = Outcome.PRESENT if result.how is Linked.PRESENT else Outcome.LINKED
        return Present(target, outcome, present.hashes, present.verified_by, result.detail)
