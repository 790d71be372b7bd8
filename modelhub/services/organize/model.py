"""What organizing plans and does, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhub.catalog.paths import decode_path, encode_path
from modelhub.errors import ModelhubError


@dataclass(frozen=True, slots=True)
class Step:
    """One thing on disk that gets another path: a file, or a folder with all that is in it.

    :param size: of the file in bytes, and `mtime_ns`, when the move was planned; 0 for a folder.
    :param essential: it holds weights: without it the model does not move.
    """

    source: Path
    target: Path
    size: int = 0
    mtime_ns: int = 0
    folder: bool = False
    essential: bool = True

    def reversed(self, *, size: int, mtime_ns: int) -> Step:
        """The way back, for the file as it is now."""
        return Step(self.target, self.source, size, mtime_ns, self.folder, self.essential)


@dataclass(frozen=True, slots=True)
class Carried:
    """A file of the catalog that a move takes along; its hash proves a copy of it."""

    file_id: int
    source: Path
    target: Path
    sha256: str | None = None

    def reversed(self) -> Carried:
        """The way back."""
        return Carried(self.file_id, self.target, self.source, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A model on its way: its files, and what stands beside them.

    :param why: what decided on the place, in words: ``a LoRA, as published``.
    :param from_root: the folder of the root that it is in, and `root` that it goes to.
    :param undoes: the event that this move takes back.
    """

    name: str
    source: Path
    target: Path
    size: int
    why: str
    from_root: Path
    root: Path
    steps: tuple[Step, ...]
    files: tuple[Carried, ...]
    version_id: int | None = None
    notices: tuple[str, ...] = ()
    undoes: int | None = None

    def document(self) -> dict[str, Any]:
        """As JSON, paths in the catalog's spelling: for the journal and the history."""
        return {
            "name": self.name,
            "from": encode_path(self.source),
            "to": encode_path(self.target),
            "size": self.size,
            "why": self.why,
            "from_root": encode_path(self.from_root),
            "root": encode_path(self.root),
            "version_id": self.version_id,
            "undoes": self.undoes,
            "steps": [
                {
                    "from": encode_path(one.source),
                    "to": encode_path(one.target),
                    "size": one.size,
                    "mtime_ns": one.mtime_ns,
                    "folder": one.folder,
                    "essential": one.essential,
                }
                for one in self.steps
            ],
            "files": [
                {
                    "id": one.file_id,
                    "from": encode_path(one.source),
                    "to": encode_path(one.target),
                    "sha256": one.sha256,
                }
                for one in self.files
            ],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Movement:
        """What :meth:`document` wrote.

        :raises KeyError, TypeError: it is something else.
        """
        return cls(
            name=document["name"],
            source=decode_path(document["from"]),
            target=decode_path(document["to"]),
            size=document["size"],
            why=document["why"],
            from_root=decode_path(document["from_root"]),
            root=decode_path(document["root"]),
            version_id=document["version_id"],
            undoes=document["undoes"],
            steps=tuple(
                Step(
                    decode_path(one["from"]),
                    decode_path(one["to"]),
                    one["size"],
                    one["mtime_ns"],
                    one["folder"],
                    one["essential"],
                )
                for one in document["steps"]
            ),
            files=tuple(
                Carried(one["id"], decode_path(one["from"]), decode_path(one["to"]), one["sha256"])
                for one in document["files"]
            ),
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that stays where it is, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would move, what would not although it was asked about, and how many are in place."""

    movements: Sequence[Movement] = ()
    skipped: Sequence[Skipped] = ()
    in_place: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A move that was made, and the event of the history that tells of it."""

    movement: Movement
    event: int
    notices: tuple[str, ...] = ()


@dataclass(slots=True)
class OrganizeReport:
    """What a run planned, and what it did of that."""

    plan: Plan
    applied: bool = False
    run: str = ""
    """Names the run, for `--undo`; empty for a dry run."""
    moved: list[Moved] = field(default_factory=list)
    failed: list[Skipped] = field(default_factory=list)
    finished: list[Moved] = field(default_factory=list)
    """Moves of an earlier run that was killed, brought to their end before."""
    pruned: list[Path] = field(default_factory=list)
    """Folders that were left empty, and removed."""
    stopped: ModelhubError | None = None
    """Why it ended before the end; what was moved until then stays moved."""
