"""`search`: what Civitai has, and what of it is here already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from modelhub.civitai.schema import moment

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.civitai.client import CivitaiClient
    from modelhub.civitai.filters import ModelFilters
    from modelhub.civitai.schema import Model


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that a search found, described by its newest version that has files.

    :param size: bytes of that version's primary file; None where it is not published.
    :param here: whether a file of any of its versions is in the library.
    """

    model_id: int
    name: str
    type: str
    creator: str
    base_models: tuple[str, ...]
    version_id: int | None
    version: str
    published_at: datetime | None
    size: int | None
    downloads: int | None
    likes: int | None
    nsfw: bool | None
    tags: tuple[str, ...]
    here: bool


def search(
    client: CivitaiClient, catalog: Catalog, filters: ModelFilters, *, limit: int
) -> list[FoundModel]:
    """The first `limit` models that Civitai finds, in its order.

    :raises UsageError: a filter is out of range or not understood by the server.
    :raises NetworkError, AccessError: as the client does.
    """
    return [_described(model, catalog) for model in islice(_models(client, filters), limit)]


def _models(client: CivitaiClient, filters: ModelFilters) -> Iterator[Model]:
    for page in client.models(filters):
        yield from page.value.items


def _described(model: Model, catalog: Catalog) -> FoundModel:
    newest = next((version for version in model.versions if version.files), None)
    file = newest.primary_file() if newest is not None else None
    bases = dict.fromkeys(version.base_model for version in model.versions if version.base_model)
    return FoundModel(
        model_id=model.id,
        name=model.name,
        type=model.type or "",
        creator=model.creator.username or "",
        base_models=tuple(bases),
        version_id=newest.id if newest is not None else None,
        version=newest.name if newest is not None else "",
        published_at=moment(newest.published_at) if newest is not None else None,
        size=file.size_bytes if file is not None else None,
        downloads=model.stats.download_count,
        likes=model.stats.thumbs_up_count,
        nsfw=model.nsfw,
        tags=tuple(model.tags),
        here=any(catalog.find_local_by_version(version.id) for version in model.versions),
    )
