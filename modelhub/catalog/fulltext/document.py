"""What the full-text index holds of one file."""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = {
    "name": 4.0,
    "model": 6.0,
    "version": 2.0,
    "creator": 3.0,
    "tags": 3.0,
    "triggers": 2.0,
    "notes": 1.0,
}
"""The text columns, in order, and how much a word in each counts for relevance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The words of one local file, by column, and its facts."""

    id: int
    name: list[str]
    model: list[str]
    version: list[str]
    creator: list[str]
    tags: list[str]
    triggers: list[str]
    notes: list[str]
    facts: list[str]

    def columns(self) -> list[list[str]]:
        """The words by column, in the order of :data:`COLUMNS`."""
        return [
            self.name,
            self.model,
            self.version,
            self.creator,
            self.tags,
            self.triggers,
            self.notes,
        ]
