"""The checkpoint that an add-on is tried on: of those in the catalog, the one that fits best."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from modelhub.catalog import FileState
from modelhub.errors import CannotRender, ModelhubError
from modelhub.formats.identity import Identity
from modelhub.render.addons.choosing import Candidate, NamedBase, choose_base
from modelhub.render.addons.fitting import spoken
from modelhub.services.listed import every_file
from modelhub.services.render.files import ModelFile, ModelFiles

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow

_TRIED = 5
"""So many of the best are opened, where the catalog is not in step with the disk."""


def base_for(catalog: Catalog, files: ModelFiles, addon: ModelFile) -> tuple[ModelFile, str]:
    """The best checkpoint of the catalog for an add-on, and why it was taken.

    :raises CannotRender: none fits.
    """
    metadata = addon.header.metadata
    named = NamedBase.of(metadata, base=_published_base(addon))
    ranked = choose_base(_candidates(catalog), addon.identity, named)
    for one in ranked[:_TRIED]:
        path = one.candidate.path
        try:
            base = files.at(files.path_of(path))
        except ModelhubError:
            continue
        why = "; ".join(reason for reason in one.reasons if reason)
        return base, f"{base.path.name} is the base: {why}"
    raise CannotRender(
        f"{addon.path} is tried on a checkpoint, and the catalog has none that fits: "
        f"it is for {spoken(addon.identity)}",
        hint="give one with --on FILE, or `modelhub index` the folder that has one",
    )


def _published_base(addon: ModelFile) -> str | None:
    if addon.details is None:
        return None
    return next((one.base_model for one in addon.details.publications if one.base_model), None)


def _candidates(catalog: Catalog) -> Iterator[Candidate]:
    for row in every_file(catalog, "type:checkpoint"):
        if row.state is FileState.MISSING or row.parts > 1 or row.fault is not None:
            continue
        yield Candidate(
            path=os.fspath(row.file),
            identity=_identity(row),
            size=row.size,
            name=row.model_name or row.name,
            base=row.base,
            hashes=(row.sha256,) if row.sha256 else (),
            rating=row.rating,
            unsafe=row.verdict == "dangerous" or bool(row.unsafe),
        )


def _identity(row: FileRow) -> Identity:
    """What a listing says of a file, in the words of identification."""
    return msgspec.convert(
        {
            "kind": row.type,
            "architecture": row.architecture,
            "edition": row.edition,
            "variants": row.variants,
            "family": row.family,
            "precision": row.precision,
            "pruned": row.pruned,
            "vae": row.vae,
            "ema": row.ema,
        },
        Identity,
    )
