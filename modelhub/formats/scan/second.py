"""A second opinion: what picklescan says of the same file, where it is installed.

It goes by a list of what is forbidden, this package by one of what is allowed; where the two differ
is worth a look. It runs in a process of its own, within bounds of time and memory: it was not made
for files that attack their scanner.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from modelhub.formats.scan.report import Rank, ScanReport, Verdict

TIME_LIMIT = 60.0
"""Seconds that picklescan may take."""

MEMORY_LIMIT = 4 << 30
"""Bytes of address space that it may take."""

_ASK = """
import json, logging, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
logging.disable(logging.CRITICAL)
from picklescan.scanner import scan_file_path
found = scan_file_path(sys.argv[1])
names = sorted({(one.module, one.name, one.safety.value) for one in found.globals})
json.dump({"names": names, "failed": found.scan_err, "files": found.scanned_files}, sys.stdout)
"""
_RANKS = {
    "innocuous": Rank.HARMLESS,
    "suspicious": Rank.SUSPICIOUS,
    "dangerous": Rank.DANGEROUS,
}


@dataclass(frozen=True, slots=True)
class NamedBySecond:
    """A name, as picklescan ranks it."""

    module: str
    name: str
    rank: Rank


@dataclass(frozen=True, slots=True)
class Opinion:
    """What picklescan says.

    :param verdict: None where it gave none.
    :param names: what it found in the file.
    :param fault: why it gave no verdict, or not one on all of the file; else empty.
    """

    verdict: Verdict | None
    names: tuple[NamedBySecond, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A name on which the two differ; a rank is None where that scanner did not find it."""

    module: str
    name: str
    ours: Rank | None
    theirs: Rank | None


def second_opinion(path: Path, *, time_limit: float = TIME_LIMIT) -> Opinion | None:
    """What picklescan says of a file, or None where it is not installed.

    :param time_limit: in seconds.
    """
    if importlib.util.find_spec("picklescan") is None:
        return None
    # Not as a module of this package: that would be imported with all above it.
    command = [sys.executable, "-P", "-c", _ASK, str(path.absolute()), str(MEMORY_LIMIT)]
    try:
        ran = subprocess.run(  # noqa: S603 - our own interpreter and script
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Opinion(None, fault=f"picklescan took more than {time_limit:g} seconds")
    except OSError as error:
        return Opinion(None, fault=f"picklescan could not be started: {error.strerror or error}")
    if ran.returncode:
        last = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return Opinion(None, fault=f"picklescan failed: {last[0][:300] if last else 'no reason'}")
    return _read(ran.stdout)


def differences(report: ScanReport, opinion: Opinion) -> tuple[Difference, ...]:
    """The names that the two rank differently, the worst of ours first.

    Two ranks of ours are one of picklescan's: what tensors need is harmless to it.
    """
    ours = {(one.module, one.name): one.rank for one in reversed(report.findings)}
    theirs = {(one.module, one.name): one.rank for one in opinion.names}
    found = []
    for module, name in {**{(f.module, f.name): None for f in report.findings}, **theirs}:
        mine, other = ours.get((module, name)), theirs.get((module, name))
        if _plain(mine) is not _plain(other):
            found.append(Difference(module, name, mine, other))
    return tuple(found)


def _plain(rank: Rank | None) -> Rank | None:
    return Rank.HARMLESS if rank is Rank.TENSORS else rank


def _read(output: bytes) -> Opinion:
    try:
        said = json.loads(output)
        names = tuple(
            NamedBySecond(str(module), str(name), _RANKS[safety])
            for module, name, safety in said["names"]
        )
        failed, files = bool(said["failed"]), int(said["files"])
    except (ValueError, KeyError, TypeError):
        return Opinion(None, fault="picklescan answered in an unknown way")
    if not files:
        return Opinion(None, fault="picklescan found nothing to scan")
    worst = max((one.rank.severity for one in names), default=0)
    if worst >= Rank.DANGEROUS.severity:
        verdict = Verdict.DANGEROUS
    else:
        suspicious = failed or worst >= Rank.SUSPICIOUS.severity
        verdict = Verdict.SUSPICIOUS if suspicious else Verdict.SAFE
    return Opinion(verdict, names, "picklescan could not read all of it" if failed else "")
