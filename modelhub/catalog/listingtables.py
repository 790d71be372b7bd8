"""The tables that listings and searches read: ``listings`` and ``search_text``, one row a model.

They are derived from the others whenever those change (:mod:`modelhub.catalog.listing`), and could
be made anew at any time. Each sort order has its index here.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text

from modelhub.catalog.tables import metadata
from modelhub.catalog.types import ForeignText, KeyText, RowId, TsVector, UtcDateTime

listings = Table(
    "listings",
    metadata,
    Column(
        "id",
        RowId,
        ForeignKey("local_files.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("root_id", RowId, nullable=False),
    Column("blob_id", RowId),
    Column("size", BigInteger, nullable=False, doc="of all parts together"),
    Column("added_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("rating", Integer, nullable=False, doc="0: none"),
    Column("copies", Integer, nullable=False),
    Column("version_id", RowId),
    Column("model_id", RowId),
    Column("type_key", KeyText, nullable=False, doc="~: none"),
    Column("base_key", KeyText, nullable=False, doc="~: none"),
    Column("name_key", KeyText, nullable=False, doc="folded"),
    Column("path_key", KeyText, nullable=False, doc="folded"),
    Column("name", KeyText, nullable=False),
    Column("unsafe", Boolean),
    Column("nsfw", Boolean),
    Column("base", ForeignText),
    Column("format", ForeignText, doc="as found, else as published, else by the name"),
    Column("precision", ForeignText, doc="as found, else as published"),
    Column("creator", ForeignText),
    Column("model_name", ForeignText),
    Column("version_name", ForeignText),
    Column("tags", ForeignText, nullable=False, doc="JSON array"),
    Column("architecture", ForeignText),
    Column("edition", ForeignText),
    Column("family", ForeignText),
    Column("adapter", ForeignText),
    Column("variants", ForeignText, doc="JSON array; null: none"),
    Column("ema", Boolean),
    Column("vae", Boolean),
    Column("pruned", Boolean),
    Column("guessed", Boolean),
    Column("parameters", BigInteger),
    Column("parts", Integer, doc="files of the model; null: one"),
    Column("verdict", ForeignText, doc="the worst of its pickles; null: none, or not scanned"),
    Index(None, "size"),
    Index(None, "added_at"),
    Index(None, "rating"),
    Index(None, "type_key"),
    Index(None, "base_key"),
    Index(None, "name_key"),
    Index(None, "path_key"),
    Index(None, "version_id"),
    Index(None, "model_id"),
)

# The full-text index has a table of its own on each database (`Table.info["backend"]`).

search_text = Table(
    "search_text",
    metadata,
    Column(
        "id",
        RowId,
        ForeignKey("listings.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("name", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("triggers", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Column("facts", Text, nullable=False),
    info={"backend": "sqlite"},
)
"""The words that the FTS5 table ``search_index`` indexes: modelhub.catalog.fulltext.sqlite."""

search_vectors = Table(
    "search_vectors",
    metadata,
    Column(
        "id",
        RowId,
        ForeignKey("listings.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("document", TsVector, nullable=False),
    info={"backend": "postgresql"},
)
"""The same words and facts as one ``tsvector`` a file. Its index is in
:mod:`modelhub.catalog.schema`: only naming it here would import PostgreSQL's dialect."""
