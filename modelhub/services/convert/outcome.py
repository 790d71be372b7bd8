"""How each conversion ended, or would end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from modelhub.convert.plan import PlanSummary
from modelhub.errors import ModelhubError
from modelhub.progress import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWider:
    """A tensor with values that fp16 cannot hold.

    :param largest: the greatest absolute value; `count` is how many are beyond 65,504.
    """

    name: str
    largest: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedFile:
    """A result that is on disk, verified against its source.

    :param outcome: `DONE`, or `PRESENT` where an earlier run had made it already.
    :param size: of the result in bytes, `source_size` of the source.
    :param kept_wider: what was not cast to fp16, since its values would have become infinite.
    :param recorded: whether the catalog lists it: its folder is in a root.
    :param deleted_source: whether the source was removed afterwards, as asked.
    """

    source: Path
    outcome: Outcome
    path: Path
    operation: str
    size: int
    source_size: int
    sha256: str | None = None
    source_sha256: str | None = None
    kept_wider: tuple[KeptWider, ...] = ()
    recorded: bool = False
    deleted_source: bool = False
    seconds_writing: float = 0.0
    seconds_verifying: float = 0.0
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedConversion:
    """A file that was not converted; nothing was left behind."""

    source: Path
    error: ModelhubError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedConversion:
    """What a conversion would do; nothing has been written.

    :param target_is_taken: whether there is something of that name already.
    :param changes: whether the result would differ from the source at all.
    :param verdict: of the scan of its pickles: ``safe``, ``suspicious``, ``dangerous``.
    :param size_before: of the source in bytes, all of its files together.
    :param size_after: of the result, to the byte; None for a folder.
    :param summary: the tensors, counted.
    :param cast: of each tensor that changes its type: its name, that type and the new one.
    :param dropped: names by reason.
    :param renamed: old and new names.
    :param overflows: what fp16 cannot hold; None: the values were not read.
    :param inert: classes that its pickle names, which become records without code.
    :param result: what the result will be: kind, architecture, precision, ...
    """

    source: Path
    target: Path
    target_is_taken: bool
    changes: bool
    verdict: str
    size_before: int
    size_after: int | None
    summary: PlanSummary
    cast: tuple[tuple[str, str, str], ...] = ()
    dropped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    renamed: tuple[tuple[str, str], ...] = ()
    overflows: tuple[KeptWider, ...] | None = None
    inert: tuple[str, ...] = ()
    result: dict[str, object] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


ConvertOutcome: TypeAlias = ConvertedFile | FailedConversion
PlanOutcome: TypeAlias = PlannedConversion | FailedConversion
