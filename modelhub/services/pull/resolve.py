"""Stage one: from a reference to a published version, with what Civitai says of its model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelhub.civitai.references import FileWish, HashRef, ModelRef, Reference, VersionRef
from modelhub.errors import (
    ArchivedModel,
    DownloadsDisabled,
    NoFilesPublished,
    NoMatchingFile,
    UnexpectedAnswer,
    UnknownModel,
)

if TYPE_CHECKING:
    from modelhub.civitai.answers import Answer
    from modelhub.civitai.client import CivitaiClient
    from modelhub.civitai.schema import Model, Version


@dataclass(frozen=True, slots=True)
class Resolved:
    """A version that exists and has files.

    :param model: None where the version is there and its model's own page is not.
    :param wish: which file the reference itself asks for.
    :param notice: what the user should know of how the version was found, or empty.
    """

    version: Answer[Version]
    model: Answer[Model] | None
    wish: FileWish
    notice: str = ""

    @property
    def model_name(self) -> str:
        """The model's name, or empty."""
        if self.model is not None:
            return self.model.value.name
        return self.version.value.model.name if self.version.value.model else ""

    @property
    def model_type(self) -> str:
        """Civitai's type of the model, or empty."""
        if self.model is not None and self.model.value.type:
            return self.model.value.type
        of_version = self.version.value.model
        return (of_version.type if of_version else None) or ""

    @property
    def model_id(self) -> int | None:
        """The model's id, where either answer has it."""
        return self.model.value.id if self.model is not None else self.version.value.model_id

    @property
    def creator(self) -> str:
        """Who published it, or empty."""
        return (self.model.value.creator.username if self.model is not None else None) or ""


def resolve(client: CivitaiClient, reference: Reference, *, version: str | None) -> Resolved:
    """Ask Civitai for the version that `reference` means.

    :param version: a version's id or name, as ``--version`` gives it.
    :raises UnknownModel: no such model, version or hash.
    :raises ArchivedModel: archived. (A model that was taken down keeps its files.)
    :raises NoFilesPublished: the version, or every version, is without files.
    :raises DownloadsDisabled: the creator offers it for generation on the site only.
    :raises NetworkError, AccessError: as the client does.
    """
    match reference:
        case HashRef():
            resolved = _by_hash(client, reference)
        case VersionRef():
            resolved = _by_version(client, reference)
        case ModelRef():
            resolved = _by_model(client, reference)
    if version is not None:
        resolved = _other_version(client, resolved, version)
    _check_available(resolved)
    return resolved


def _by_hash(client: CivitaiClient, reference: HashRef) -> Resolved:
    version = client.version_by_hash(reference.value)
    kinds = {kind.value for kind in reference.kinds}
    for file in version.value.files:
        published = file.hashes.published
        if any(published.get(kind) == reference.value for kind in kinds):
            return _with_model(client, version, FileWish(file_id=file.id))
    raise NoMatchingFile(
        f"Civitai knows the hash {reference.value}, but lists no file with it in version "
        f"{version.value.id}",
        hint=f"pull the version itself: modelhub pull "
        f"https://civitai.com/model-versions/{version.value.id}",
    )


def _by_version(client: CivitaiClient, reference: VersionRef) -> Resolved:
    try:
        version = client.version(reference.version_id)
    except UnknownModel:
        if not reference.name:
            raise
        # Some lists print the model's id behind the name, not the version's.
        return _by_model(client, ModelRef(reference.version_id, file=reference.file))
    return _with_model(client, version, reference.file)


def _by_model(client: CivitaiClient, reference: ModelRef) -> Resolved:
    if reference.version_id is not None:
        version = client.version(reference.version_id)
        found = _with_model(client, version, reference.file)
        if found.model_id not in (None, reference.model_id):
            raise UnknownModel(
                f"version {reference.version_id} belongs to model {found.model_id}, "
                f"not to {reference.model_id}",
                hint=f"did you mean {found.model_id}@{reference.version_id}?",
            )
        return found
    model = client.model(reference.model_id)
    _check_model_mode(model.value.name, model.value.id, model.value.mode)
    newest = next((one for one in model.value.versions if one.files), None)
    if newest is None:
        raise NoFilesPublished(
            f"model {model.value.id} “{model.value.name}” has no version with a file",
            hint="it may be published for generation on the site only, or be in preparation",
        )
    return Resolved(client.version(newest.id), model, reference.file)


def _with_model(client: CivitaiClient, version: Answer[Version], wish: FileWish) -> Resolved:
    model_id = version.value.model_id
    if model_id is None:
        return Resolved(version, None, wish)
    try:
        return Resolved(version, client.model(model_id), wish)
    except (UnknownModel, UnexpectedAnswer) as error:
        return Resolved(version, None, wish, notice=f"the model's page: {error.message}")


def _other_version(client: CivitaiClient, resolved: Resolved, wanted: str) -> Resolved:
    """The version of the same model that `--version` names."""
    if resolved.model is None:
        raise UnknownModel(f"version {wanted}: the model's page is not there to look for it")
    model = resolved.model.value
    for version in model.versions:
        if wanted == str(version.id) or wanted.casefold() == version.name.casefold():
            if version.id == resolved.version.value.id:
                return resolved
            # A file that the reference names belongs to the version that it names.
            wish = replace(resolved.wish, file_id=None)
            return replace(resolved, version=client.version(version.id), wish=wish)
    known = ", ".join(f"{version.name} ({version.id})" for version in model.versions[:10])
    raise UnknownModel(
        f"model {model.id} “{model.name}” has no version {wanted}", hint=f"it has {known}"
    )


def _check_model_mode(name: str, model_id: int | None, mode: str | None) -> None:
    if mode == "Archived":
        raise ArchivedModel(
            f"model {model_id} “{name}” is archived: its page is there, its files are not",
            hint="a copy on another disk can be recognised by its hash",
        )


def _check_available(resolved: Resolved) -> None:
    version = resolved.version.value
    mode = version.mode or (resolved.model.value.mode if resolved.model is not None else None)
    _check_model_mode(resolved.model_name, resolved.model_id, mode)
    if version.usage_control not in (None, "Download"):
        raise DownloadsDisabled(
            f"version {version.id} “{version.name}” of “{resolved.model_name}” is for generation "
            "on the site only",
            hint="its creator offers no download; another version may have one",
        )
    if not version.files:
        raise NoFilesPublished(
            f"version {version.id} “{version.name}” of “{resolved.model_name}” has no file",
            hint="other versions of the model may have: see its page, or leave the version out",
        )
