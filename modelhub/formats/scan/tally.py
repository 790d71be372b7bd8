"""What a scan has found so far, and how much more it may look at."""

from __future__ import annotations

from modelhub.errors import FormatError
from modelhub.formats.pickles import Source
from modelhub.formats.scan.report import Finding, Rank, ScanFault, ScanReport, Verdict
from modelhub.formats.scan.watched import Watched

MAX_DEPTH = 6
"""How deep archives, compressed streams and pickles may be within each other."""

MAX_INFLATED = 192 << 20
"""How many bytes may be inflated of all that is compressed in one file."""

MAX_PARTS = 250_000
"""How many members of archives, and pickles within pickles, are looked at in one file."""

_MOST_FAULTS = 200
_MOST_FINDINGS = 10_000
_MOST_NOTICES = 50
_LONGEST_PLACE = 300


class Tally:
    """Findings, faults and bounds of one file."""

    def __init__(self) -> None:
        self.pickles = 0
        self._findings: dict[tuple[str, str, str, Rank], Finding] = {}
        self._faults: dict[tuple[str, str], ScanFault] = {}
        self._notices: dict[str, None] = {}
        self._parts = 0
        self._inflated = MAX_INFLATED
        self._opcodes = 0
        self._unread: int | None = None

    def machine(self, source: Source) -> Watched:
        """A machine for the pickles of `source`, which counts on where the last one ended."""
        machine = Watched(source)
        machine.opcodes = self._opcodes
        if self._unread is not None:
            machine.unread = self._unread
        return machine

    def count(self, machine: Watched) -> None:
        """Take over how much `machine` has followed and read."""
        self._opcodes, self._unread = machine.opcodes, machine.unread

    def adopt(self, findings: list[Finding], pickles: int) -> None:
        """Add what a row of pickles named and did."""
        self.pickles += pickles
        for one in findings:
            key = (one.module, one.name, one.where, one.rank)
            if key in self._findings:
                continue
            if len(self._findings) < _MOST_FINDINGS or one.rank is Rank.DANGEROUS:
                self._findings[key] = one
            else:
                self.fault(one.where, "more names than can be listed", one.offset)

    def fault(self, where: str, reason: str, offset: int = 0) -> None:
        """Add something that is damaged, misleading or beyond the bounds."""
        if len(self._faults) < _MOST_FAULTS:
            self._faults.setdefault((where, reason), ScanFault(shown(where), reason, offset))

    def fault_of(self, where: str, error: FormatError) -> None:
        """Add a fault that a reader has found."""
        self.fault(where, error.reason, error.offset)

    def notice(self, text: str) -> None:
        """Add what is neither good nor bad."""
        if len(self._notices) < _MOST_NOTICES:
            self._notices[text] = None

    def may_enter(self, where: str, depth: int) -> bool:
        """Whether one more part, so deep, may be looked at; a fault is added where not."""
        self._parts += 1
        if depth > MAX_DEPTH:
            self.fault(where, f"more than {MAX_DEPTH} archives or pickles within each other")
        elif self._parts > MAX_PARTS:
            self.fault("", f"more than {MAX_PARTS:,} parts")
        else:
            return True
        return False

    def may_inflate(self) -> int:
        """How many bytes may still be inflated."""
        return self._inflated

    def inflated(self, count: int) -> None:
        """So many more bytes were inflated."""
        self._inflated -= count

    def report(self) -> ScanReport:
        """All of it, the worst first."""
        found = sorted(self._findings.values(), key=lambda one: -one.rank.severity)
        worst = found[0].rank.severity if found else 0
        verdict = Verdict.SAFE
        if worst >= Rank.DANGEROUS.severity:
            verdict = Verdict.DANGEROUS
        elif worst >= Rank.SUSPICIOUS.severity or self._faults:
            verdict = Verdict.SUSPICIOUS
        return ScanReport(
            verdict=verdict,
            findings=tuple(found),
            faults=tuple(self._faults.values()),
            pickles=self.pickles,
            notices=tuple(self._notices),
        )


def shown(text: str) -> str:
    """A place or a name out of the file, as it may be printed."""
    if text.isprintable():
        return text[:_LONGEST_PLACE]
    printable = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return printable[:_LONGEST_PLACE]
