"""Which versions of a model are newer than those that are here: a pure function of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelhub.civitai.choose import choose_alike, choose_file
from modelhub.civitai.schema import moment
from modelhub.errors import NotFoundError

if TYPE_CHECKING:
    from modelhub.civitai.reference_values import FileWish
    from modelhub.civitai.schema import Model, ModelFile, Version

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A version of which files are here.

    :param published_as: the traits under which these files were published, where that is known.
    """

    version_id: int
    version_name: str
    base_model: str | None
    published_at: datetime | None
    paths: tuple[str, ...]
    published_as: tuple[FileWish, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A version that is newer than what is here.

    :param file: the name of the file to take, the most like the one here; empty where there is
        none.
    :param size: its published size in bytes.
    :param unavailable: why it cannot be downloaded, in words; empty where it can.
    :param instead_of: the newest version here that it follows.
    :param on_disk: files here that are of this version already.
    :param is_usual: whether it is the file that a pull takes when it is told the version alone.
    """

    model_id: int
    model_name: str
    model_type: str
    creator: str | None
    version_id: int
    version_name: str
    base_model: str | None
    published_at: datetime | None
    file: str
    file_id: int | None
    size: int | None
    unavailable: str
    instead_of: Here
    on_disk: tuple[str, ...] = ()
    is_usual: bool = True

    @property
    def reference(self) -> str:
        """By which `pull` finds it, and the file where it would take another."""
        version = f"{self.model_id}@{self.version_id}"
        return version if self.is_usual else f"civitai:{version}+{self.file_id}"


def newer_versions(
    model: Model, here: Sequence[Here], *, any_base: bool, now: datetime
) -> Iterator[Update]:
    """The versions published after those here, the newest first.

    A version is compared with the newest one here of the same base model. One of a base model of
    which nothing is here is another model to a user of this one, and counts with `any_base` only:
    it is compared with the newest version here of all.
    """
    known = {one.version_id for one in here}
    found = []
    for version in model.versions:
        if version.id in known:
            continue
        same = [one for one in here if _base(one.base_model) == _base(version.base_model)]
        compared = same or (here if any_base else ())
        newest = max(compared, key=lambda one: _age(one.published_at, one.version_id), default=None)
        published = moment(version.published_at)
        if newest is None or _age(published, version.id) <= _age(
            newest.published_at, newest.version_id
        ):
            continue
        found.append((_age(published, version.id), _update(model, version, newest, now)))
    found.sort(key=lambda pair: pair[0], reverse=True)
    return (update for _, update in found)


def _update(model: Model, version: Version, newest: Here, now: datetime) -> Update:
    usual, file = _files(model, version, newest)
    return Update(
        model_id=model.id,
        model_name=model.name,
        model_type=model.type or "",
        creator=model.creator.username,
        version_id=version.id,
        version_name=version.name,
        base_model=version.base_model,
        published_at=moment(version.published_at),
        file=file.name if file else "",
        file_id=file.id if file else None,
        size=file.size_bytes if file else None,
        unavailable=_unavailable(model, version, file, now),
        instead_of=newest,
        is_usual=file is usual,
    )


def _files(
    model: Model, version: Version, newest: Here
) -> tuple[ModelFile | None, ModelFile | None]:
    """The file that a pull takes of a version by itself, and the one most like those here."""
    try:
        usual = choose_file(version, model=model)
    except NotFoundError:
        return None, None
    return usual.file, choose_alike(version, usual, newest.published_as, model=model).file


def _unavailable(model: Model, version: Version, file: ModelFile | None, now: datetime) -> str:
    if model.mode:
        return "the model is archived" if model.mode == "Archived" else "the model was taken down"
    if version.usage_control not in (None, "Download"):
        return "for generation on the site only"
    ends = version.early_access_ends_at
    if version.paid_access is not None:
        if version.paid_access.permanent:
            return "to be bought"
        ends = version.paid_access.ends_at or ends
    until = moment(ends)
    if until is not None and until > now:
        return f"early access until {until:%Y-%m-%d}"
    if version.availability == "EarlyAccess" and until is None:
        return "early access"
    return "" if file is not None else "no file is published"


def _age(published: datetime | None, version_id: int) -> tuple[datetime, int]:
    """By when it was published; the ids rise with time, and decide between equal dates."""
    return published or _LONG_AGO, version_id


def _base(name: str | None) -> str:
    return (name or "").strip().casefold()
