"""What scans of pickles found, and which content was made from which.

Columns are added in place, as in 0002. Nothing is scanned here: the next index run reads the files
that can carry pickles once more, as no root says that a scanner has gone through it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
time = sa.DateTime(timezone=True)
key_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add tables for reports and derivations, and the columns that show a verdict."""
    _scans()
    _derivations()
    op.add_column("findings", sa.Column("scan", sa.LargeBinary()))
    op.add_column("listings", sa.Column("verdict", sa.Text()))
    op.add_column("roots", sa.Column("verdicts_by", sa.Integer()))


def _scans() -> None:
    """Reports on contents; `blobs.pickle_verdict`, of 0001, has the verdict itself."""
    op.create_table(
        "scans",
        sa.Column("blob_id", row_id, autoincrement=False, nullable=False),
        sa.Column("scanner", sa.Integer(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        _of_blob("scans", "blob_id"),
        sa.PrimaryKeyConstraint("blob_id", name=op.f("pk_scans")),
    )


def _derivations() -> None:
    """Which content was made from which, by what operation."""
    op.create_table(
        "derivations",
        sa.Column("result_id", row_id, nullable=False),
        sa.Column("source_sha256", key_text, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("at", time, nullable=False),
        _of_blob("derivations", "result_id"),
        sa.PrimaryKeyConstraint("result_id", "source_sha256", name=op.f("pk_derivations")),
    )
    op.create_index(op.f("ix_derivations_source_sha256"), "derivations", ["source_sha256"])


def _of_blob(table: str, column: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_blobs")
    return sa.ForeignKeyConstraint([column], ["blobs.id"], name=name, ondelete="CASCADE")
