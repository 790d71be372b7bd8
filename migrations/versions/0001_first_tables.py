"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0001"
down_revision = None

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
time = sa.DateTime(timezone=True)
key_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

TEXTS = ("name", "model", "version", "creator", "tags", "triggers", "notes", "facts")


def upgrade() -> None:
    """Create everything."""
    _models()
    _versions()
    _blobs()
    _remote_files()
    _files()
    _user_data()
    _trigger_words()
    _images()
    _events()
    _listings()
    if op.get_context().dialect.name == "sqlite":
        _full_text_of_sqlite()
    else:
        _full_text_of_postgres()


def _reference(
    table: str, column: str, to: str, on_delete: str | None = None
) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{to}")
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name, ondelete=on_delete)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _models() -> None:
    """What Civitai published of models."""
    op.create_table(
        "models",
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("creator", sa.Text()),
        sa.Column("nsfw", sa.Boolean()),
        sa.Column("mode", sa.Text()),
        sa.Column("tags", sa.Text()),
        sa.Column("fetched_at", time, nullable=False),
        sa.Column("gone_at", time),
        sa.Column("raw", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
    )


def _versions() -> None:
    """What Civitai published of versions."""
    op.create_table(
        "versions",
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        sa.Column("model_id", row_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("base_model", sa.Text()),
        sa.Column("base_model_type", sa.Text()),
        sa.Column("published_at", time),
        sa.Column("air", sa.Text()),
        sa.Column("availability", sa.Text()),
        sa.Column("fetched_at", time, nullable=False),
        sa.Column("gone_at", time),
        sa.Column("raw", sa.LargeBinary()),
        _reference("versions", "model_id", "models"),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
    )
    _index("versions", "model_id")


def _blobs() -> None:
    """Contents."""
    op.create_table(
        "blobs",
        sa.Column("id", row_id, nullable=False),
        sa.Column("sha256", key_text, nullable=False),
        sa.Column("blake3", key_text),
        sa.Column("crc32", key_text),
        sa.Column("autov1", key_text),
        sa.Column("autov3", key_text),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text()),
        sa.Column("kind", sa.Text()),
        sa.Column("architecture", sa.Text()),
        sa.Column("precision", sa.Text()),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("ema", sa.Boolean()),
        sa.Column("vae", sa.Boolean()),
        sa.Column("pickle_verdict", sa.Text()),
        sa.Column("used_at", time),
        sa.Column("added_at", time, nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_blobs_sha256_length")),
        sa.PrimaryKeyConstraint("id", name="pk_blobs"),
        sa.UniqueConstraint("sha256", name=op.f("uq_blobs_sha256")),
        sqlite_autoincrement=True,
    )
    for column in ("autov1", "autov3", "blake3", "crc32"):
        _index("blobs", column)
    op.create_table(
        "blob_headers",
        sa.Column("blob_id", row_id, autoincrement=False, nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        _reference("blob_headers", "blob_id", "blobs", "CASCADE"),
        sa.PrimaryKeyConstraint("blob_id", name="pk_blob_headers"),
    )


def _remote_files() -> None:
    """Published files, and the contents that they are."""
    op.create_table(
        "remote_files",
        sa.Column("version_id", row_id, nullable=False),
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text()),
        sa.Column("format", sa.Text()),
        sa.Column("variant", sa.Text()),
        sa.Column("fp", sa.Text()),
        sa.Column("quant_type", sa.Text()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("sha256", key_text),
        sa.Column("blake3", key_text),
        sa.Column("crc32", key_text),
        sa.Column("autov1", key_text),
        sa.Column("autov2", key_text),
        sa.Column("autov3", key_text),
        sa.Column("pickle_scan", sa.Text()),
        sa.Column("virus_scan", sa.Text()),
        sa.Column("download_url", sa.Text()),
        sa.Column("blob_id", row_id),
        _reference("remote_files", "blob_id", "blobs", "SET NULL"),
        _reference("remote_files", "version_id", "versions"),
        sa.PrimaryKeyConstraint("version_id", "id", name=op.f("pk_remote_files")),
    )
    for column in ("blake3", "blob_id", "id", "sha256"):
        _index("remote_files", column)


def _files() -> None:
    """What is on this disk."""
    op.create_table(
        "roots",
        sa.Column("id", row_id, nullable=False),
        sa.Column("path", key_text, nullable=False),
        sa.Column("layout", sa.Text()),
        sa.Column("watched", sa.Boolean(), nullable=False),
        sa.Column("added_at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_roots"),
        sa.UniqueConstraint("path", name=op.f("uq_roots_path")),
    )
    op.create_table(
        "local_files",
        sa.Column("id", row_id, nullable=False),
        sa.Column("root_id", row_id, nullable=False),
        sa.Column("path", key_text, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger()),
        sa.Column("blob_id", row_id),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version_id", row_id),
        sa.Column("added_at", time, nullable=False),
        sa.CheckConstraint(
            "state IN ('new', 'hashed', 'changed', 'missing', 'quarantined')",
            name=op.f("ck_local_files_state"),
        ),
        _reference("local_files", "blob_id", "blobs"),
        _reference("local_files", "root_id", "roots"),
        _reference("local_files", "version_id", "versions"),
        sa.PrimaryKeyConstraint("id", name="pk_local_files"),
        sa.UniqueConstraint("root_id", "path", name=op.f("uq_local_files_root_id_path")),
        sqlite_autoincrement=True,
    )
    _index("local_files", "blob_id")
    _index("local_files", "version_id")


def _user_data() -> None:
    """What the user wrote."""
    op.create_table(
        "tags",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name", key_text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("name", name=op.f("uq_tags_name")),
    )
    op.create_table(
        "blob_tags",
        sa.Column("blob_id", row_id, nullable=False),
        sa.Column("tag_id", row_id, nullable=False),
        sa.Column("added_at", time, nullable=False),
        _reference("blob_tags", "blob_id", "blobs", "CASCADE"),
        _reference("blob_tags", "tag_id", "tags", "CASCADE"),
        sa.PrimaryKeyConstraint("blob_id", "tag_id", name=op.f("pk_blob_tags")),
    )
    _index("blob_tags", "tag_id")
    op.create_table(
        "notes",
        sa.Column("blob_id", row_id, autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("updated_at", time, nullable=False),
        _reference("notes", "blob_id", "blobs", "CASCADE"),
        sa.PrimaryKeyConstraint("blob_id", name="pk_notes"),
    )
    op.create_table(
        "ratings",
        sa.Column("blob_id", row_id, autoincrement=False, nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("ck_ratings_range")),
        _reference("ratings", "blob_id", "blobs", "CASCADE"),
        sa.PrimaryKeyConstraint("blob_id", name="pk_ratings"),
    )


def _trigger_words() -> None:
    """Trigger words, published and the user's own."""
    op.create_table(
        "trigger_words",
        sa.Column("id", row_id, nullable=False),
        sa.Column("version_id", row_id),
        sa.Column("blob_id", row_id),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(version_id IS NULL) <> (blob_id IS NULL)",
            name=op.f("ck_trigger_words_published_or_own"),
        ),
        _reference("trigger_words", "blob_id", "blobs", "CASCADE"),
        _reference("trigger_words", "version_id", "versions", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_trigger_words"),
    )
    _index("trigger_words", "blob_id")
    _index("trigger_words", "version_id")


def _images() -> None:
    """Published previews, and test images."""
    op.create_table(
        "previews",
        sa.Column("id", row_id, nullable=False),
        sa.Column("version_id", row_id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("civitai_id", sa.BigInteger()),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger()),
        sa.Column("height", sa.BigInteger()),
        sa.Column("nsfw_level", sa.BigInteger()),
        sa.Column("blurhash", sa.Text()),
        sa.Column("file", key_text),
        sa.Column("meta", sa.LargeBinary()),
        _reference("previews", "version_id", "versions", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_previews"),
        sa.UniqueConstraint("version_id", "url", name=op.f("uq_previews_version_id_url")),
    )
    op.create_table(
        "renders",
        sa.Column("id", row_id, nullable=False),
        sa.Column("blob_id", row_id, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("file", key_text, nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), nullable=False),
        sa.Column("seed", key_text),
        sa.Column("parameters", sa.LargeBinary(), nullable=False),
        _reference("renders", "blob_id", "blobs", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_renders"),
    )
    _index("renders", "blob_id")


def _events() -> None:
    """The history."""
    op.create_table(
        "events",
        sa.Column("id", row_id, nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("kind", key_text, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", key_text),
        sa.Column("local_file_id", row_id),
        sa.Column("version_id", row_id),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    _index("events", "kind", "id")
    _index("events", "local_file_id", "id")
    _index("events", "sha256", "id")


def _listings() -> None:
    """What listings are read from."""
    op.create_table(
        "listings",
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        sa.Column("root_id", row_id, nullable=False),
        sa.Column("blob_id", row_id),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("added_at", time, nullable=False),
        sa.Column("used_at", time),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("version_id", row_id),
        sa.Column("model_id", row_id),
        sa.Column("type_key", key_text, nullable=False),
        sa.Column("base_key", key_text, nullable=False),
        sa.Column("name_key", key_text, nullable=False),
        sa.Column("path_key", key_text, nullable=False),
        sa.Column("name", key_text, nullable=False),
        sa.Column("unsafe", sa.Boolean()),
        sa.Column("nsfw", sa.Boolean()),
        sa.Column("base", sa.Text()),
        sa.Column("format", sa.Text()),
        sa.Column("precision", sa.Text()),
        sa.Column("creator", sa.Text()),
        sa.Column("model_name", sa.Text()),
        sa.Column("version_name", sa.Text()),
        sa.Column("tags", sa.Text(), nullable=False),
        _reference("listings", "id", "local_files", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_listings"),
    )
    for column in (
        "added_at",
        "base_key",
        "model_id",
        "name_key",
        "path_key",
        "rating",
        "size",
        "type_key",
        "version_id",
    ):
        _index("listings", column)


def _full_text_of_sqlite() -> None:
    """The words of each file, and an FTS5 index over them that triggers keep in step."""
    op.create_table(
        "search_text",
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        _reference("search_text", "id", "listings", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_search_text"),
    )
    columns = ", ".join(TEXTS)
    new, old = (", ".join(f"{row}.{name}" for name in TEXTS) for row in ("new", "old"))
    forget = (
        f"INSERT INTO search_index(search_index, rowid, {columns}) VALUES ('delete', old.id, {old})"  # noqa: S608 (our column names)
    )
    learn = f"INSERT INTO search_index(rowid, {columns}) VALUES (new.id, {new})"  # noqa: S608
    op.execute(
        f"CREATE VIRTUAL TABLE search_index USING fts5({columns}, content='search_text', "
        "content_rowid='id', tokenize='unicode61 remove_diacritics 0', prefix='1 2 3')"
    )
    for name, when, what in (
        ("added", "INSERT", f"{learn};"),
        ("removed", "DELETE", f"{forget};"),
        ("changed", "UPDATE", f"{forget}; {learn};"),
    ):
        op.execute(
            f"CREATE TRIGGER search_text_{name} AFTER {when} ON search_text BEGIN {what} END"
        )


def _full_text_of_postgres() -> None:
    """The words of each file as a vector, with an inverted index."""
    op.create_table(
        "search_vectors",
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        sa.Column("document", TSVECTOR(), nullable=False),
        _reference("search_vectors", "id", "listings", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_search_vectors"),
    )
    op.create_index(
        "ix_search_vectors_document",
        "search_vectors",
        ["document"],
        unique=False,
        postgresql_using="gin",
    )
