"""`show`: everything known about a file here, or about what is published under a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.civitai.links import host_of
from modelhub.civitai.references import parse_reference
from modelhub.errors import MalformedReference, UnknownFile

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileDetails
    from modelhub.civitai.client import CivitaiClient
    from modelhub.config import Config
    from modelhub.services.pull.resolve import Resolved


@dataclass(frozen=True, slots=True)
class PublishedDetails:
    """What Civitai publishes under a reference, and the versions that are here already."""

    resolved: Resolved
    here: frozenset[int]


def show_local(catalog: Catalog, text: str) -> FileDetails:
    """Everything known about the file in the catalog that `text` means.

    :raises UnknownFile: none fits.
    :raises AmbiguousFile: several do.
    """
    return catalog.show(catalog.resolve_file(text).id)


def show_published(
    catalog: Catalog, client: CivitaiClient, config: Config, text: str
) -> PublishedDetails:
    """What Civitai publishes under the reference `text`; nothing is downloaded or recorded.

    :raises UnknownFile: `text` is no reference either.
    :raises UnknownModel, ArchivedModel, NoFilesPublished: as a pull of it would.
    """
    from modelhub.services.pull.resolve import resolve

    try:
        reference = parse_reference(text, hosts=(host_of(config.civitai.url),))
    except MalformedReference as error:
        raise UnknownFile(
            f"no file in the catalog is called {text!r}, and it is no reference to Civitai"
        ) from error
    resolved = resolve(client, reference, version=None)
    versions = {resolved.version.value.id}
    if resolved.model is not None:
        versions.update(version.id for version in resolved.model.value.versions)
    return PublishedDetails(
        resolved,
        frozenset(version for version in versions if catalog.find_local_by_version(version)),
    )
