"""Files of numpy: an array of objects is a pickle behind a header.

Format: numpy's NEP 1 (``numpy/lib/format.py``): a magic, two bytes of version, the header's length
(2 bytes, from version 2 on 4), the header as the text of a dict, then the numbers, or the pickle.
"""

from __future__ import annotations

import re

from modelhub.formats.pickles import Source
from modelhub.formats.scan.parts import Part
from modelhub.formats.scan.pickled import scan_pickles, try_pickles
from modelhub.formats.scan.tally import Tally

NUMPY_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 20
_OBJECTS = re.compile(rb"""["'][<>|=]?(?:O\d*|object_?)["']""")


def scan_array(tally: Tally, source: Source, where: str, depth: int) -> None:
    """Look into a ``.npy`` file: its objects, if it has some."""
    head = source.read(0, 12)
    width = 2 if head[6:7] == b"\1" else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    start = 8 + width + length
    if head[6:7] not in (b"\1", b"\2", b"\3") or length > _LONGEST_HEADER or start > source.size:
        tally.fault(where, "a damaged header of numpy's", source.origin)
        return
    content = Part(source, start, source.size - start)
    if _OBJECTS.search(source.read(8 + width, length)):
        scan_pickles(tally, content, where, depth)
    else:
        try_pickles(tally, content, where, depth)
