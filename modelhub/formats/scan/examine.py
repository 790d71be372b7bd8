"""What kind of bytes these are, and what in them could be unpickled.

Told by content alone, and tried in every way that some loader would try: names and extensions are
the attacker's choice.
"""

from __future__ import annotations

from modelhub.formats.magic import HEAD_SIZE
from modelhub.formats.pickles import Held, Source
from modelhub.formats.scan.arrays import NUMPY_MAGIC, scan_array
from modelhub.formats.scan.broken_zips import scan_broken_zip
from modelhub.formats.scan.pickled import is_pickle, may_be_pickle, scan_pickles, try_pickles
from modelhub.formats.scan.streams import inflate, stream_opener
from modelhub.formats.scan.tally import Tally
from modelhub.formats.scan.tars import is_tar, scan_tar
from modelhub.formats.scan.zips import ZIP_MAGICS, scan_zip

_CLOSED = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x04\x22\x4d\x18", "an lz4 archive"),
    (b"MSCF\0\0\0\0", "a cabinet archive"),
)
"""What is not looked into: what is in it is not known."""

_ENDS = 22
_TAIL = _ENDS + 0xFFFF
_MOST_INFLATED = 128 << 20


def examine(tally: Tally, source: Source, where: str, depth: int) -> None:
    """Look into `source`, whatever it is.

    :param where: its path within the file; empty for the file itself.
    :raises FileUnreadable: the file cannot be read.
    """
    head = source.read(0, HEAD_SIZE)
    if not head:
        return
    for magic, what in _CLOSED:
        if head.startswith(magic):
            tally.fault(where, f"{what}: it cannot be looked into", source.origin)
    if head.startswith(ZIP_MAGICS):
        scan_zip(tally, source, where, depth, examine)
        _try(tally, source, head, where, depth)
        return
    if head.startswith(NUMPY_MAGIC):
        scan_array(tally, source, where, depth)
    elif is_tar(head):
        scan_tar(tally, source, where, depth, examine)
        _try(tally, source, head, where, depth)
    elif is_pickle(head):
        scan_pickles(tally, source, where, depth)
    else:
        _try(tally, source, head, where, depth)
        _scan_stream(tally, source, head, where, depth)
    _scan_appended(tally, source, where, depth)


def _try(tally: Tally, source: Source, head: bytes, where: str, depth: int) -> bool:
    return may_be_pickle(head) and try_pickles(tally, source, where, depth)


def _scan_stream(tally: Tally, source: Source, head: bytes, where: str, depth: int) -> None:
    stream = stream_opener(head)
    if stream is None:
        return
    name, opener = stream
    inner = f"{where}:{name}" if where else name
    if not tally.may_enter(inner, depth + 1):
        return
    made = inflate(source, opener, min(_MOST_INFLATED, tally.may_inflate()))
    tally.inflated(len(made.data))
    if made.fault and (made.data or name != "zlib"):
        tally.fault(inner, made.fault, source.origin)
    examine(tally, Held(made.data, source.origin), inner, depth + 1)


def _scan_appended(tally: Tally, source: Source, where: str, depth: int) -> None:
    """A zip archive at the end of something else: some readers look for it there."""
    start = max(0, source.size - _TAIL)
    tail = source.read(start, source.size - start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _ENDS:
        return
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    saturated = tail[max(0, at - 20) :][:4] == b"PK\6\7"
    if saturated or b"PK\1\2" in tail[max(0, at - length) :][:4] or length == 0:
        tally.fault(where, "a zip archive is appended to something else", start + at)
        scan_broken_zip(tally, source, where, depth, examine)
