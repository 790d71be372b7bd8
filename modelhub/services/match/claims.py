"""A sidecar's proven claim, recorded as what Civitai said when the sidecar was written."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from modelhub.civitai.answers import Answer, Parsed, read_answer, typed
from modelhub.civitai.schema import Creator, Model, Version
from modelhub.errors import UnexpectedAnswer
from modelhub.placement.sidecars.contract import child, texts
from modelhub.services.published import file_records, model_record, version_record

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, ModelRecord, RemoteFileRecord, VersionRecord
    from modelhub.placement.sidecars.read_claims import Claim

_WHOM = "a sidecar"


@dataclass(frozen=True, slots=True)
class Publication:
    """What a claim amounts to, in the catalog's words."""

    model: ModelRecord
    version: VersionRecord
    files: list[RemoteFileRecord]

    def record(self, catalog: Catalog) -> None:
        """Put it into the catalog.

        :raises CatalogError: the catalog is locked, read-only or damaged.
        """
        catalog.record_published(self.model, [self.version], self.files)


def publication_of(catalog: Catalog, claim: Claim, sha256: str, at: datetime) -> Publication | None:
    """The version that a sidecar tells of; None when the catalog knows it. Nothing is recorded.

    Of its files, only the one with `sha256` is taken, and no link: the others are proven by
    nothing, and would describe whatever file has the hash that they give.

    :param at: when the sidecar was written, aware.
    :raises UnexpectedAnswer: the sidecar's answer is not as Civitai's are.
    """
    answer = typed(Parsed("", dict(claim.version)), Version, _WHOM)
    version = answer.value
    if version.model_id is None or version.id in catalog.known_versions(version.model_id):
        return None
    model = _model_record(catalog, claim, answer, at)
    if model is None:
        return None
    text = json.dumps(claim.version, ensure_ascii=False) if claim.whole else None
    told = replace(version_record(answer, model.id), fetched_at=at, raw=text)
    proven = [
        replace(file, download_url=None) for file in file_records(version) if file.sha256 == sha256
    ]
    return Publication(model, told, proven)


def _model_record(
    catalog: Catalog, claim: Claim, version: Answer[Version], at: datetime
) -> ModelRecord | None:
    """The model as Civitai itself last told it, else as the sidecar does."""
    known = catalog.raw_answer(model_id=version.value.model_id)
    if known is not None:
        try:
            answer = read_answer(known[0], Model, "the catalog")
            told = model_record(answer, version)
            return replace(told, fetched_at=known[1]) if told is not None else None
        except UnexpectedAnswer:
            pass  # of another time: the sidecar is what there is
    brief = model_record(None, version)
    if brief is None:
        return None
    parsed = Parsed("", dict(child(claim.version, "creator")))
    creator = typed(parsed, Creator, _WHOM).value.username
    tags = texts(claim.model.get("tags"))
    return replace(brief, fetched_at=at, creator=creator, tags=tuple(tags) or None)
