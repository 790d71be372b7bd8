"""The tables of the catalog; `migrations/` builds the same, which a test compares.

Four layers:

* what Civitai published: ``models``, ``versions``, ``remote_files``, ``previews``;
* what is here: ``roots``, ``local_files``, ``blobs``, and ``findings``: what identification found
  in a file that has not been hashed yet, and so has no blob to keep it; ``scans``: what a scan of
  its pickles found; ``derivations``: which content was made from which;
* what the user wrote, which hangs on the blob: ``tags``, ``notes``, ``ratings``, ``user_values``,
  the user's ``trigger_words``; ``imports`` remembers which sidecars were read into these;
* what is read when listing, derived from these: :mod:`modelhub.catalog.listingtables`.

Blobs have a number besides their SHA256: it is what eight bytes refer to a million times.
Wide columns stand last in their table, where SQLite skips them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from modelhub.catalog.types import ForeignText, KeyText, PackedText, RowId, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

models = Table(
    "models",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=False),
    Column("name", ForeignText, nullable=False),
    Column("type", ForeignText, nullable=False),
    Column("creator", ForeignText),
    Column("nsfw", Boolean),
    Column("mode", ForeignText),
    Column("tags", ForeignText, doc="JSON array, as published"),
    Column("fetched_at", UtcDateTime, nullable=False),
    Column("gone_at", UtcDateTime),
    Column("raw", PackedText),
)

versions = Table(
    "versions",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=False),
    Column("model_id", RowId, ForeignKey("models.id"), nullable=False, index=True),
    Column("name", ForeignText, nullable=False),
    Column("base_model", ForeignText),
    Column("base_model_type", ForeignText),
    Column("published_at", UtcDateTime),
    Column("air", ForeignText),
    Column("availability", ForeignText),
    Column("fetched_at", UtcDateTime, nullable=False),
    Column("gone_at", UtcDateTime),
    Column("raw", PackedText),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("sha256", KeyText, nullable=False, unique=True),
    Column("blake3", KeyText),
    Column("crc32", KeyText),
    Column("autov1", KeyText),
    Column("autov3", KeyText),
    Column("size", BigInteger, nullable=False),
    Column("format", ForeignText),
    Column("kind", ForeignText),
    Column("architecture", ForeignText),
    Column("precision", ForeignText),
    Column("parameters", BigInteger),
    Column("ema", Boolean),
    Column("vae", Boolean),
    Column("pickle_verdict", ForeignText),
    Column("used_at", UtcDateTime),
    Column("added_at", UtcDateTime, nullable=False),
    Column("adapter", ForeignText),
    Column("edition", ForeignText),
    Column("variants", ForeignText, doc="JSON array"),
    Column("family", ForeignText),
    Column("pruned", Boolean),
    Column("known_vae", ForeignText),
    Column("guessed", Boolean),
    Column("asked_at", UtcDateTime, doc="when Civitai was last asked about it"),
    Column("trained_words", ForeignText, doc="JSON array: by the trainer"),
    CheckConstraint("length(sha256) = 64", name="sha256_length"),
    Index(None, "blake3"),
    Index(None, "crc32"),
    Index(None, "autov1"),
    Index(None, "autov3"),
    sqlite_autoincrement=True,
)

blob_headers = Table(
    "blob_headers",
    metadata,
    Column(
        "blob_id",
        RowId,
        ForeignKey("blobs.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("header", PackedText, nullable=False, doc="JSON: the header's metadata"),
)

weight_keys = Table(
    "weight_keys",
    metadata,
    Column("blob_id", RowId, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False),
    Column("scope", KeyText, nullable=False, doc="of what: all, a sample of it, the VAE"),
    Column("level", KeyText, nullable=False, doc="exact, fp16, bf16: what it is rounded to"),
    Column("own", Boolean, nullable=False, doc="the level of its least precise numbers"),
    Column("key", KeyText, nullable=False, doc="empty: it cannot be computed"),
    PrimaryKeyConstraint("blob_id", "scope", "level"),
    Index(None, "key"),
)
"""By what weights are the same in another precision or container: modelhub.formats.digests."""

scans = Table(
    "scans",
    metadata,
    Column(
        "blob_id",
        RowId,
        ForeignKey("blobs.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("scanner", Integer, nullable=False, doc="modelhub.formats.scan: by which rules"),
    Column("report", PackedText, nullable=False, doc="JSON: modelhub.services.scan"),
)
"""What made a content's ``pickle_verdict``; only files that can carry pickles have one."""

derivations = Table(
    "derivations",
    metadata,
    Column("result_id", RowId, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False),
    Column("source_sha256", KeyText, nullable=False, doc="known or not: it may be gone"),
    Column("position", Integer, nullable=False, doc="among the sources of the result"),
    Column("operation", ForeignText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("result_id", "source_sha256"),
    Index(None, "source_sha256"),
)

remote_files = Table(
    "remote_files",
    metadata,
    Column("version_id", RowId, ForeignKey("versions.id"), nullable=False),
    Column("id", RowId, nullable=False, autoincrement=False),
    Column("name", ForeignText, nullable=False),
    Column("type", ForeignText),
    Column("format", ForeignText),
    Column("variant", ForeignText),
    Column("fp", ForeignText),
    Column("quant_type", ForeignText),
    Column("size", BigInteger),
    Column("is_primary", Boolean, nullable=False),
    Column("sha256", KeyText),
    Column("blake3", KeyText),
    Column("crc32", KeyText),
    Column("autov1", KeyText),
    Column("autov2", KeyText),
    Column("autov3", KeyText),
    Column("pickle_scan", ForeignText),
    Column("virus_scan", ForeignText),
    Column("download_url", ForeignText),
    Column("blob_id", RowId, ForeignKey("blobs.id", ondelete="SET NULL")),
    PrimaryKeyConstraint("version_id", "id"),
    Index(None, "id"),
    Index(None, "sha256"),
    Index(None, "blake3"),
    Index(None, "blob_id"),
)

roots = Table(
    "roots",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("path", KeyText, nullable=False, unique=True),
    Column("layout", ForeignText),
    Column("watched", Boolean, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("device", BigInteger, doc="of the file system, at the last scan"),
    Column("marker", KeyText, doc="of the file system: its UUID or what else tells it"),
    Column("seen_files", BigInteger, doc="model files, at the last scan"),
    Column("scanned_at", UtcDateTime, doc="when a scan last went through"),
    Column("identified_by", Integer, doc="modelhub.formats.revision, of that scan"),
    Column("verdicts_by", Integer, doc="modelhub.formats.scan: by which rules its pickles"),
)

local_files = Table(
    "local_files",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("root_id", RowId, ForeignKey("roots.id"), nullable=False),
    Column("path", KeyText, nullable=False, doc="relative; modelhub.catalog.paths"),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger),
    Column("blob_id", RowId, ForeignKey("blobs.id")),
    Column("state", Text, nullable=False),
    Column("version_id", RowId, ForeignKey("versions.id"), doc="pulled as"),
    Column("added_at", UtcDateTime, nullable=False),
    Column(
        "part_of",
        RowId,
        ForeignKey("local_files.id", ondelete="SET NULL"),
        doc="the first file of the model of which this one is a shard or a part",
    ),
    Column("fault", ForeignText, doc="why it could not be read"),
    Column("verified_at", UtcDateTime, doc="when it was last read again and compared"),
    Column("verify_ok", Boolean, doc="whether it was what it had been"),
    Column("missing_at", UtcDateTime, doc="when it was last found to be gone"),
    CheckConstraint(
        "state IN ('new', 'hashed', 'changed', 'missing', 'quarantined')", name="state"
    ),
    UniqueConstraint("root_id", "path"),
    Index(None, "blob_id"),
    Index(None, "version_id"),
    Index(None, "inode"),
    sqlite_autoincrement=True,
)

findings = Table(
    "findings",
    metadata,
    Column(
        "file_id",
        RowId,
        ForeignKey("local_files.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("facts", ForeignText, nullable=False, doc="JSON: modelhub.catalog.records.Found"),
    Column("header", PackedText, doc="JSON, as in blob_headers"),
    Column("scan", PackedText, doc="JSON, as in scans"),
)
"""What was found in a file, until it is hashed: then it is its blob's."""

tags = Table(
    "tags",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", KeyText, nullable=False, unique=True),
)

blob_tags = Table(
    "blob_tags",
    metadata,
    Column("blob_id", RowId, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False),
    Column("tag_id", RowId, ForeignKey("tags.id", ondelete="CASCADE"), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("blob_id", "tag_id"),
    Index(None, "tag_id"),
)

notes = Table(
    "notes",
    metadata,
    Column(
        "blob_id",
        RowId,
        ForeignKey("blobs.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("text", ForeignText, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

ratings = Table(
    "ratings",
    metadata,
    Column(
        "blob_id",
        RowId,
        ForeignKey("blobs.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("rating", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("rating BETWEEN 1 AND 5", name="range"),
)

user_values = Table(
    "user_values",
    metadata,
    Column("blob_id", RowId, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False),
    Column("name", KeyText, nullable=False),
    Column("value", ForeignText, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("blob_id", "name"),
)

imports = Table(
    "imports",
    metadata,
    Column("blob_id", RowId, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False),
    Column("source", KeyText, nullable=False, doc="where the words came from"),
    Column("digest", KeyText, nullable=False, doc="of what was imported"),
    Column("imported_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("blob_id", "source"),
)
"""Reading the same sidecar twice must not bring back what the user took off meanwhile."""

trigger_words = Table(
    "trigger_words",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("version_id", RowId, ForeignKey("versions.id", ondelete="CASCADE")),
    Column("blob_id", RowId, ForeignKey("blobs.id", ondelete="CASCADE")),
    Column("position", Integer, nullable=False),
    Column("word", ForeignText, nullable=False),
    CheckConstraint("(version_id IS NULL) <> (blob_id IS NULL)", name="published_or_own"),
    Index(None, "version_id"),
    Index(None, "blob_id"),
)

previews = Table(
    "previews",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("version_id", RowId, ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("civitai_id", BigInteger),
    Column("url", ForeignText, nullable=False),
    Column("kind", ForeignText, nullable=False),
    Column("width", BigInteger),
    Column("height", BigInteger),
    Column("nsfw_level", BigInteger),
    Column("blurhash", ForeignText),
    Column("file", KeyText, doc="absolute; modelhub.catalog.paths"),
    Column("meta", PackedText, doc="JSON, as published"),
    UniqueConstraint("version_id", "url"),
)

renders = Table(
    "renders",
    metadata,
    Column("id", RowId, primary_key=True),
    Column(
        "blob_id", RowId, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("created_at", UtcDateTime, nullable=False),
    Column("file", KeyText, nullable=False, doc="absolute; modelhub.catalog.paths"),
    Column("prompt", ForeignText, nullable=False),
    Column("negative_prompt", ForeignText, nullable=False),
    Column("seed", KeyText, doc="decimal: seeds may need 64 bits without a sign"),
    Column("parameters", PackedText, nullable=False, doc="JSON"),
)

# What happened outlives what it happened to: no foreign keys.
events = Table(
    "events",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", KeyText, nullable=False),
    Column("text", ForeignText, nullable=False),
    Column("sha256", KeyText),
    Column("local_file_id", RowId),
    Column("version_id", RowId),
    Column("detail", ForeignText, nullable=False, doc="JSON"),
    Index(None, "sha256", "id"),
    Index(None, "local_file_id", "id"),
    Index(None, "kind", "id"),
    sqlite_autoincrement=True,
)
