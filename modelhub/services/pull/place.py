"""Stage six: the verified file under its final name, with what belongs beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelhub.errors import ModelhubError, NameTaken
from modelhub.placement.kinds import Kind, kind_of
from modelhub.placement.names import free_variant
from modelhub.placement.preview_fetch import PreviewResult, save_preview
from modelhub.placement.sidecars import SidecarFacts, Written, write_sidecars
from modelhub.transfer import commit, release

if TYPE_CHECKING:
    from threading import Event

    from modelhub.config import Config
    from modelhub.services.pull.plan import Plan
    from modelhub.transfer import Downloaded

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Companions:
    """What is beside the model file now."""

    preview: PreviewResult | None = None
    sidecars: list[Path] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def put_in_place(plan: Plan, downloaded: Downloaded) -> Path:
    """Give the verified file its name, or a variant of it if that is taken; nothing is replaced.

    :raises NameTaken: every variant is in use.
    :raises DiskError: the disk refuses.
    """
    try:
        for _ in range(_ATTEMPTS):
            name = free_variant(
                plan.folder, plan.relative.name, version_id=plan.resolved.version.value.id
            )
            try:
                commit(downloaded.partial, plan.folder / name)
            except FileExistsError:
                continue
            return plan.folder / name
        raise NameTaken(f"names for {plan.target} are taken faster than they are found")
    except ModelhubError:
        # Verified bytes are kept for the next pull.
        release(downloaded.partial)
        raise


def write_companions(
    config: Config, plan: Plan, path: Path, size: int, sha256: str, cancel: Event
) -> Companions:
    """Preview and sidecars as configured. What fails is a notice: the model itself is in place.

    :raises Cancelled: `cancel` was set while the preview was fetched.
    """
    version = _object(plan.resolved.version.raw)
    model = _object(plan.resolved.model.raw) if plan.resolved.model is not None else {}
    preview = None
    # A config shares its checkpoint's stem, and with it the preview.
    if (
        config.sidecars.preview
        and kind_of(plan.resolved.model_type, plan.file.type or "", path.name) is not Kind.CONFIG
    ):
        images = version.get("images")
        preview = save_preview(
            config, images if isinstance(images, list) else [], path, cancel=cancel
        )
    facts = SidecarFacts(
        path=path,
        size=size,
        sha256=sha256,
        version=version,
        model=model,
        file=_published_file(version, plan.file.id),
        preview=preview.path if preview else None,
        preview_nsfw_level=preview.nsfw_level if preview else 0,
        preview_source=preview.source if preview else None,
    )
    written = write_sidecars(facts, config.sidecars.write)
    notices = [preview.notice] if preview is not None and preview.notice else []
    notices += [result.notice for result in written if result.notice]
    kept = (Written.CREATED, Written.MERGED, Written.UNCHANGED)
    return Companions(
        preview=preview,
        sidecars=[result.path for result in written if result.outcome in kept],
        notices=notices,
    )


def _object(raw: str) -> dict[str, Any]:
    plain = msgspec.json.decode(raw)
    return plain if isinstance(plain, dict) else {}


def _published_file(version: dict[str, Any], file_id: int) -> dict[str, Any]:
    files = version.get("files")
    candidates = files if isinstance(files, list) else []
    return next(
        (file for file in candidates if isinstance(file, dict) and file.get("id") == file_id), {}
    )
