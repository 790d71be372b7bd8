"""The catalog's methods for keeping a library: matching, verifying, duplicates, and carrying what
the user wrote in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.base import Methods, Selection

if TYPE_CHECKING:
    from modelhub.catalog.keeprows import (
        BlobKey,
        Due,
        DuplicateSet,
        KnownKeys,
        PublishedAs,
        ReadingOrder,
        UserWords,
        WeightFile,
        WeightScope,
    )
    from modelhub.catalog.showing import Changed


class KeepMethods(Methods):
    """See the module."""

    # Matching

    def unmatched(
        self,
        limit: int,
        *,
        asked_before: datetime,
        everything: bool = False,
        files: Selection | None = None,
    ) -> list[BlobKey]:
        """Contents that are on disk, are no known publication, and about which Civitai was not
        asked since `asked_before`. Asking again after :meth:`record_asked` gives the next ones.

        :param everything: those that are known publications, too.
        :param files: only the contents of these files.
        :raises QuerySyntaxError: `files` is a query with a mistake.
        """
        from modelhub.catalog import keeping

        ids = None if files is None else self._ids(files)
        return keeping.unmatched(self._store, limit, asked_before, everything, ids)

    def record_asked(self, sha256s: Iterable[str], at: datetime | None = None) -> None:
        """Record that Civitai was asked about these contents, whether it knew them or not."""
        from modelhub.catalog import keeping

        keeping.record_asked(self._store, at or self._clock(), sha256s)

    # Verifying

    def record_verified(
        self, file_id: int, at: datetime, ok: bool, *, fault: str | None = None
    ) -> None:
        """Record that a file was read again, and whether it was what it had been.

        :param fault: what is wrong with it, in a sentence; its state stays as it is. When all is
            well, the fault that an earlier verification recorded is cleared.
        :raises UnknownFile: there is no such file.
        """
        from modelhub.catalog import keeping

        keeping.record_verified(self._store, file_id, at, ok, fault)

    def reading_order(self, files: Selection | None = None) -> ReadingOrder:
        """All hashed files, parts of models too, in the order in which to verify them: those never
        verified first, by when they were added, then those that were verified longest ago.

        :param files: only these, with their parts.
        :raises QuerySyntaxError: `files` is a query with a mistake.
        """
        from modelhub.catalog import keeping

        ids = None if files is None else self._ids(files)
        return keeping.reading_order(self._store, ids)

    def due_files(self, file_ids: Sequence[int]) -> list[Due]:
        """What is needed to verify these files, in this order; those not hashed are left out."""
        from modelhub.catalog import keeping

        return keeping.due_files(self._store, file_ids)

    def duplicates(self) -> Iterator[DuplicateSet]:
        """Hashed files of the same bytes, parts of models too, the largest first."""
        from modelhub.catalog import keeping

        return keeping.duplicates(self._store)

    # Publications

    def published_as(self, file_ids: Sequence[int]) -> dict[int, tuple[PublishedAs, ...]]:
        """What these files were published as, the version that each was pulled from first; files
        of which nothing is known are left out."""
        from modelhub.catalog import publications

        return publications.published_as(self._store, file_ids)

    def record_previews_moved(self, version_id: int, moved: Mapping[Path, Path]) -> None:
        """Record that copies of a version's previews have other paths now; all are absolute."""
        from modelhub.catalog import publications

        publications.move_previews(self._store, version_id, moved)

    def missing_since(self, file_ids: Sequence[int]) -> dict[int, datetime]:
        """When these files were first found to be gone; those that are not are left out."""
        from modelhub.catalog import publications

        return publications.missing_since(self._store, file_ids)

    def weight_files(self, *, with_vae: bool = False) -> list[WeightFile]:
        """Hashed files with weights that can be compared, one of each content: no parts of models,
        and no models in several files. In the order in which they were added.

        :param with_vae: VAEs, and checkpoints that have one baked in, alone.
        """
        from modelhub.catalog import weights

        return weights.weight_files(self._store, with_vae=with_vae)

    def weight_keys(
        self, scope: WeightScope, sha256s: Iterable[str] | None = None
    ) -> dict[str, KnownKeys]:
        """The keys that were recorded, by SHA256; of all contents, or of these."""
        from modelhub.catalog import weights

        return weights.weight_keys(self._store, scope, sha256s)

    def record_weight_keys(self, sha256: str, scope: WeightScope, keys: KnownKeys) -> None:
        """Record keys of a content's weights, or that it has none that can be computed.

        :raises UnknownFile: the content is not known.
        """
        from modelhub.catalog import weights

        weights.record_weight_keys(self._store, sha256, scope, keys)

    def with_weight_key(self, scope: WeightScope, level: str, key: str) -> list[str]:
        """The SHA256 of the contents that have this key."""
        from modelhub.catalog import weights

        return weights.with_weight_key(self._store, scope, level, key)

    # What was made from what

    def record_derived(self, result_sha256: str, sources: Sequence[str], operation: str) -> None:
        """Record that a content was made from others, and put it into the history.

        Made again, the newer record stands in the place of the older one.

        :param sources: SHA256s, in the order in which they went in; the catalog need not know them.
        :param operation: one line for people: ``converted to fp16 safetensors``.
        :raises UnknownFile: the result is not known.
        """
        from modelhub.catalog import derivations

        derivations.record_derived(
            self._store, self._clock(), result_sha256, tuple(sources), operation
        )

    def copy_user_words(self, source_sha256: str, result_sha256: str) -> bool:
        """Add what the user wrote about a content to what is written about one made from it.

        As :meth:`import_user_words`, once: what the user wrote about the result stays, and what is
        taken off there later stays off.

        :returns: whether anything is different now.
        :raises UnknownFile: one of the two is not known.
        """
        from modelhub.catalog import userwords

        return userwords.copy_words(
            self._store, self._clock(), source_sha256.upper(), result_sha256.upper()
        )

    # What the user wrote

    def set_user_values(self, files: Selection, values: Mapping[str, str | None]) -> Changed:
        """Set values of the contents of the files; None or an empty text removes one.

        :param values: by names out of :data:`modelhub.catalog.userwords.USER_VALUES`.
        :raises UsageError: a name is none of these, or a text is too long.
        :raises QuerySyntaxError: `files` is a query with a mistake.
        """
        from modelhub.catalog import userwords

        return userwords.set_values(self._store, self._clock(), self._ids(files), values)

    def import_user_words(
        self,
        sha256: str,
        *,
        note: str | None = None,
        trigger_words: Sequence[str] = (),
        tags: Sequence[str] = (),
        rating: int | None = None,
        values: Mapping[str, str] | None = None,
        source: str,
        replace: bool = False,
    ) -> bool:
        """Add words that the user wrote elsewhere about a content to what is written here.

        What the user wrote here stays: a note, a rating and a value are set where there is none,
        tags and trigger words are added. The same words from the same source are taken only once,
        so that what was removed here meanwhile stays removed. What the catalog does not keep
        (names of other values, tags too long) is left out.

        :param source: where they come from: the path of a sidecar, ``export``.
        :param replace: what is given takes the place of what is here.
        :returns: whether anything is different now.
        :raises UnknownFile: the content is not known; :meth:`record_blob` makes one known.
        """
        from modelhub.catalog import userwords

        words = userwords.Words(
            note=note,
            trigger_words=trigger_words,
            tags=tags,
            rating=rating,
            values=values or {},
        )
        return userwords.import_words(self._store, self._clock(), sha256, words, source, replace)

    def export_user_words(self) -> Iterator[UserWords]:
        """All that the user wrote, content by content, in the order in which they were added."""
        from modelhub.catalog import userwords

        return userwords.export_words(self._store)
