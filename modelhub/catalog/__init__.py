"""The catalog: what is on disk, what was published about it, what the user wrote about it.

:func:`open_catalog` gives a :class:`Catalog`; records go in, rows come out. SQLite by default,
PostgreSQL by ``catalog.database_url``. SQLAlchemy Core only, since importing the ORM alone takes
longer than listing a hundred thousand files; and names are loaded when they are first used, since
listing needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelhub.catalog.base import Selection
    from modelhub.catalog.catalog import Catalog, open_catalog
    from modelhub.catalog.keeprows import (
        BlobKey,
        Copy,
        Due,
        DuplicateSet,
        KnownKeys,
        PublishedAs,
        ReadingOrder,
        UserWords,
        WeightFile,
        WeightScope,
    )
    from modelhub.catalog.paths import decode_path, encode_path
    from modelhub.catalog.records import (
        BlobRecord,
        EventRecord,
        Found,
        LocalFileRecord,
        ModelRecord,
        PreviewRecord,
        RemoteFileRecord,
        RenderRecord,
        ScannedFile,
        VersionRecord,
    )
    from modelhub.catalog.rows import FileRow, FileState
    from modelhub.catalog.scanning import Prepared, prepare
    from modelhub.catalog.scanrows import Hashed, InodeMatch, KnownFile, Move, Verdict, Waiting
    from modelhub.catalog.showing import (
        Changed,
        CheckReport,
        Derivation,
        EventRow,
        FileDetails,
        Finding,
        Part,
        PreviewRow,
        Publication,
        RenderRow,
        RootRow,
    )
    from modelhub.catalog.sorting import Sort, SortKey

_HOMES = {
    "base": ("Selection",),
    "catalog": ("Catalog", "open_catalog"),
    "scanrows": ("Hashed", "InodeMatch", "KnownFile", "Move", "Verdict", "Waiting"),
    "keeprows": (
        "BlobKey",
        "Copy",
        "Due",
        "DuplicateSet",
        "KnownKeys",
        "PublishedAs",
        "ReadingOrder",
        "UserWords",
        "WeightFile",
        "WeightScope",
    ),
    "paths": ("decode_path", "encode_path"),
    "records": (
        "BlobRecord",
        "EventRecord",
        "Found",
        "LocalFileRecord",
        "ModelRecord",
        "PreviewRecord",
        "RemoteFileRecord",
        "RenderRecord",
        "ScannedFile",
        "VersionRecord",
    ),
    "rows": ("FileRow", "FileState"),
    "scanning": ("Prepared", "prepare"),
    "showing": (
        "Changed",
        "CheckReport",
        "Derivation",
        "EventRow",
        "FileDetails",
        "Finding",
        "Part",
        "PreviewRow",
        "Publication",
        "RenderRow",
        "RootRow",
    ),
    "sorting": ("Sort", "SortKey"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BlobKey",
    "BlobRecord",
    "Catalog",
    "Changed",
    "CheckReport",
    "Copy",
    "Derivation",
    "Due",
    "DuplicateSet",
    "EventRecord",
    "EventRow",
    "FileDetails",
    "FileRow",
    "FileState",
    "Finding",
    "Found",
    "Hashed",
    "InodeMatch",
    "KnownFile",
    "KnownKeys",
    "LocalFileRecord",
    "ModelRecord",
    "Move",
    "Part",
    "Prepared",
    "PreviewRecord",
    "PreviewRow",
    "Publication",
    "PublishedAs",
    "ReadingOrder",
    "RemoteFileRecord",
    "RenderRecord",
    "RenderRow",
    "RootRow",
    "ScannedFile",
    "Selection",
    "Sort",
    "SortKey",
    "UserWords",
    "Verdict",
    "VersionRecord",
    "Waiting",
    "WeightFile",
    "WeightScope",
    "decode_path",
    "encode_path",
    "open_catalog",
    "prepare",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
