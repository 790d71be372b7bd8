"""What indexing a library keeps: parts, faults, findings, verification, the user's own values.

On SQLite, columns are added in place, as its ``ALTER TABLE`` does at once whatever the number of
rows; no table is copied.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
time = sa.DateTime(timezone=True)
key_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Complete the tables of 0001, and add those that are new."""
    _blobs()
    _roots()
    _local_files()
    _findings()
    _user_data()
    _listings()
    if op.get_context().dialect.name == "sqlite":
        _full_text_of_sqlite()


def _add(table: str, *columns: sa.Column[Any]) -> None:
    for column in columns:
        op.add_column(table, column)


def _blobs() -> None:
    """More of what identification finds, and when Civitai was asked."""
    _add(
        "blobs",
        sa.Column("adapter", sa.Text()),
        sa.Column("edition", sa.Text()),
        sa.Column("variants", sa.Text()),
        sa.Column("family", sa.Text()),
        sa.Column("pruned", sa.Boolean()),
        sa.Column("known_vae", sa.Text()),
        sa.Column("guessed", sa.Boolean()),
        sa.Column("asked_at", time),
        sa.Column("trained_words", sa.Text()),
    )
    op.create_table(
        "weight_keys",
        sa.Column("blob_id", row_id, nullable=False),
        sa.Column("scope", key_text, nullable=False),
        sa.Column("level", key_text, nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.Column("key", key_text, nullable=False),
        _of_blob("weight_keys"),
        sa.PrimaryKeyConstraint("blob_id", "scope", "level", name=op.f("pk_weight_keys")),
    )
    op.create_index(op.f("ix_weight_keys_key"), "weight_keys", ["key"])


def _roots() -> None:
    """By what an unmounted root is told from an emptied one."""
    _add(
        "roots",
        sa.Column("device", sa.BigInteger()),
        sa.Column("marker", key_text),
        sa.Column("seen_files", sa.BigInteger()),
        sa.Column("scanned_at", time),
        sa.Column("identified_by", sa.Integer()),
    )


def _local_files() -> None:
    """Parts of models, faults, verification; and indexes by which files are followed."""
    part_of = op.f("fk_local_files_part_of_local_files")
    if op.get_context().dialect.name == "sqlite":
        # Alembic would copy the whole table for a column with a reference; SQLite itself does not.
        op.execute(
            f"ALTER TABLE local_files ADD COLUMN part_of INTEGER CONSTRAINT {part_of}"
            " REFERENCES local_files (id) ON DELETE SET NULL"
        )
    else:
        op.add_column("local_files", sa.Column("part_of", row_id))
        op.create_foreign_key(
            part_of, "local_files", "local_files", ["part_of"], ["id"], ondelete="SET NULL"
        )
    _add(
        "local_files",
        sa.Column("fault", sa.Text()),
        sa.Column("verified_at", time),
        sa.Column("verify_ok", sa.Boolean()),
        sa.Column("missing_at", time),
    )
    op.create_index(op.f("ix_local_files_inode"), "local_files", ["inode"])
    for name, column, condition in (
        ("waiting", "id", "state IN ('new', 'changed')"),
        ("part_of", "part_of", "part_of IS NOT NULL"),
    ):
        op.create_index(
            f"ix_local_files_{name}",
            "local_files",
            [column],
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )


def _findings() -> None:
    """What was found in files that have no blob yet."""
    op.create_table(
        "findings",
        sa.Column("file_id", row_id, autoincrement=False, nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("header", sa.LargeBinary()),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["local_files.id"],
            name=op.f("fk_findings_file_id_local_files"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("file_id", name="pk_findings"),
    )


def _user_data() -> None:
    """What the user wrote elsewhere, and where it was read."""
    op.create_table(
        "user_values",
        sa.Column("blob_id", row_id, nullable=False),
        sa.Column("name", key_text, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", time, nullable=False),
        _of_blob("user_values"),
        sa.PrimaryKeyConstraint("blob_id", "name", name=op.f("pk_user_values")),
    )
    op.create_table(
        "imports",
        sa.Column("blob_id", row_id, nullable=False),
        sa.Column("source", key_text, nullable=False),
        sa.Column("digest", key_text, nullable=False),
        sa.Column("imported_at", time, nullable=False),
        _of_blob("imports"),
        sa.PrimaryKeyConstraint("blob_id", "source", name=op.f("pk_imports")),
    )


def _of_blob(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_blob_id_blobs")
    return sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=name, ondelete="CASCADE")


def _listings() -> None:
    """What a row shows that was looked up in the blob until now."""
    texts = ("architecture", "edition", "family", "adapter", "variants")
    _add("listings", *(sa.Column(name, sa.Text()) for name in texts))
    marks = ("ema", "vae", "pruned", "guessed")
    _add("listings", *(sa.Column(name, sa.Boolean()) for name in marks))
    _add("listings", sa.Column("parameters", sa.BigInteger()), sa.Column("parts", sa.Integer()))
    op.execute(
        "UPDATE listings SET architecture = b.architecture, ema = b.ema, vae = b.vae,"
        " parameters = b.parameters FROM blobs b WHERE b.id = listings.blob_id"
    )


def _full_text_of_sqlite() -> None:
    """Have FTS5 merge its segments less often, as indexing a library writes many small ones; and
    learn rows in batches: see modelhub.catalog.fulltext.sqlite."""
    op.execute("INSERT INTO search_index(search_index, rank) VALUES ('automerge', 8)")
    op.execute("DROP TRIGGER search_text_added")
    op.execute("DROP TRIGGER search_text_changed")
