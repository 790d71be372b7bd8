"""The revisions of the catalog's tables, as constants.

An up-to-date catalog is recognised by these alone: Alembic, which takes longer to import than a
listing to print, is only imported to create or upgrade. A test compares them with the scripts.
"""

REVISIONS = ("0001", "0002", "0003")
"""Every revision, the oldest first."""

HEAD = REVISIONS[-1]
"""The revision that this program reads and writes."""

APPLICATION_ID = 0x6D64_6862
"""SQLite's ``PRAGMA application_id`` of a catalog: the letters "mdhb"."""
