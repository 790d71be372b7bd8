"""What a scan says of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

SCANNER: Final = 2
"""Which rules these are; to be raised whenever the same bytes may get another verdict."""


class Verdict(StrEnum):
    """Whether loading the file may run code."""

    SAFE = "safe"
    """Every name in it is known to be harmless, and all of it could be examined."""
    SUSPICIOUS = "suspicious"
    """It names something unknown, is damaged or misleading, or could not be examined."""
    DANGEROUS = "dangerous"
    """It names or does something that has no place in a model."""

    @property
    def severity(self) -> int:
        """The higher the worse, from 0."""
        return _VERDICTS.index(self)


_VERDICTS = tuple(Verdict)


class Rank(StrEnum):
    """What a name in a pickle is."""

    TENSORS = "tensors"
    """Needed to make tensors and the dicts that hold them."""
    HARMLESS = "harmless"
    """Known, and inert."""
    SUSPICIOUS = "suspicious"
    """Unknown, or known and used in an unusual way."""
    DANGEROUS = "dangerous"
    """Runs code, reaches other code, or touches the system."""

    @property
    def severity(self) -> int:
        """The higher the worse, from 0."""
        return _RANKS.index(self)


_RANKS = tuple(Rank)


@dataclass(frozen=True, slots=True)
class Finding:
    """A name that a pickle would import, or a thing that it would do.

    :param module: as the pickle spells it; in brackets where it is not spelt out.
    :param why: the reason for the rank, to be shown.
    :param where: the pickle, by the path within the file: ``m/data.pkl``, ``in.zip:x, pickle 2``.
    :param offset: where it is first named, in bytes from the start of the file, or of what was
        inflated from it.
    :param count: how often it is called; 0 where it is only named.
    """

    module: str
    name: str
    rank: Rank
    why: str
    where: str
    offset: int
    count: int = 0

    @property
    def path(self) -> str:
        """Module and name: ``os.system``."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class ScanFault:
    """Something that could not be examined, is damaged, or is made to mislead.

    :param where: as :attr:`Finding.where`; empty for the file itself.
    :param offset: in bytes from the start of the file, as near as can be told.
    """

    where: str
    reason: str
    offset: int


@dataclass(frozen=True, slots=True)
class ScanReport:
    """All that a scan found.

    :param findings: the worst first; those of equal rank in the order of the file.
    :param pickles: how many pickles were followed.
    :param notices: what is worth knowing, and neither good nor bad.
    :param scanner: the revision of the rules (:data:`SCANNER`).
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    faults: tuple[ScanFault, ...] = ()
    pickles: int = 0
    notices: tuple[str, ...] = ()
    scanner: int = field(default=SCANNER)
