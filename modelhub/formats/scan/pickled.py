"""Pickles in a source: one, a row of them, a legacy torch file, or what might be one."""

from __future__ import annotations

import re

from modelhub.errors import FormatError
from modelhub.formats.magic import TORCH_MAGIC
from modelhub.formats.pickles import Global, Held, Skipped, Source
from modelhub.formats.scan.parts import Part
from modelhub.formats.scan.report import Finding, Rank
from modelhub.formats.scan.tally import Tally
from modelhub.formats.scan.watched import Watched
from modelhub.formats.torchfile.legacy import load_legacy

_PROTOCOL_MARK = re.compile(rb"\x80[\0-\5].", re.DOTALL)
_NAME_IN_TEXT = re.compile(rb"\(?[ci][A-Za-z_][\w.]*\n[A-Za-z_]\w*\n")
_MOST_PICKLES = 10_000
_LONGEST_TEXT = 64 << 20


def scan_pickles(tally: Tally, source: Source, where: str, depth: int) -> None:
    """Follow the pickles that `source` is; what is damaged is a fault."""
    machine = tally.machine(source)
    try:
        _follow(tally, machine, where)
    except FormatError as error:
        tally.fault_of(where, error)
    settle(tally, machine, where, depth)


def try_pickles(
    tally: Tally, source: Source, where: str, depth: int, *, may_break: bool = False
) -> bool:
    """Follow `source` as if it were pickles; whether it makes sense as such.

    Any bytes may happen to begin with opcodes. They count as a pickle when they name something
    known, call something, or are nothing but whole pickles that name something.

    :param may_break: it is no fault that other bytes follow.
    """
    machine = tally.machine(source)
    whole = True
    try:
        machine.load(0)
        for _ in range(_MOST_PICKLES):
            if machine.position >= source.size:
                break
            machine.load()
        else:
            machine.went_beyond = True
    except FormatError:
        whole = False
    if machine.went_beyond:
        tally.fault(where, "what may be pickles, too long to follow to the end", source.origin)
    findings = machine.findings(where)
    if not (machine.globals and whole) and not _tells(machine, findings):
        tally.count(machine)
        return machine.went_beyond
    if not whole and not may_break:
        tally.fault(where, "a pickle that breaks off, or that other bytes follow", source.origin)
    settle(tally, machine, where, depth)
    return True


def is_pickle(head: bytes) -> bool:
    """Whether it begins with what hardly anything else does: a protocol's mark, a name in text."""
    return _PROTOCOL_MARK.match(head) is not None or _NAME_IN_TEXT.match(head) is not None


def may_be_pickle(head: bytes) -> bool:
    """Whether these first bytes could be followed as a pickle: a cheap first look."""
    return bool(head) and head[0] in _FIRST


_FIRST = frozenset(
    b"()]}NFGIJKLMSTUVXBCcPi\x80\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96"
)
"""Opcodes that need no value before them."""


def _tells(machine: Watched, findings: list[Finding]) -> bool:
    called = {(one.module, one.name) for one in machine.calls}
    for one in findings:
        if Global.COMPUTED in (one.module, one.name) or one.module == Global.EXTENSIONS:
            continue
        identifiers = all(part.isidentifier() for part in one.path.split("."))
        if identifiers and (one.rank is not Rank.SUSPICIOUS or (one.module, one.name) in called):
            return True
    return False


def _follow(tally: Tally, machine: Watched, where: str) -> None:
    source = machine.source
    first = machine.load(0)
    if type(first) is int and first == TORCH_MAGIC:
        loaded = load_legacy(machine, source)
        for notice in loaded.notices:
            tally.fault(where, notice, source.origin + machine.position)
        return
    for _ in range(_MOST_PICKLES):
        if machine.position >= source.size:
            return
        start = machine.position
        if not source.read(start, 4096).strip(b"\0"):
            tally.fault(where, "zeroes follow the pickle", source.origin + start)
            return
        try:
            machine.load()
        except FormatError as error:
            tally.fault(where, f"what follows its pickles: {error.reason}", error.offset)
            return
    tally.fault(where, f"more than {_MOST_PICKLES:,} pickles", source.origin + machine.position)


def settle(tally: Tally, machine: Watched, where: str, depth: int) -> None:
    """Add what `machine` has met, and look into the pickles that what it followed would load."""
    tally.count(machine)
    tally.adopt(machine.findings(where), machine.pickles)
    for number, content in enumerate(machine.within):
        inner = f"{where}: bytes {number}" if where else f"bytes {number}"
        if not tally.may_enter(inner, depth + 1):
            return
        part = _content(tally, machine.source, content, inner)
        if part is not None:
            scan_pickles(tally, part, inner, depth + 1)


def _content(tally: Tally, source: Source, content: bytes | Skipped, where: str) -> Source | None:
    if isinstance(content, bytes):
        return Held(content, source.origin)
    part = Part(source, content.offset - source.origin, content.size)
    if not content.is_text:
        return part
    if content.size > min(_LONGEST_TEXT, tally.may_inflate()):
        tally.fault(where, f"a text of {content.size:,} bytes", content.offset)
        return None
    tally.inflated(content.size)
    try:
        text = part.read(0, part.size).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        tally.fault(where, "bytes that are written as text, and are none", content.offset)
        return None
    return Held(text.encode("latin-1", "replace"), content.offset)
