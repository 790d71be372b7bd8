"""The scanner follows what Python's own readers of pickles follow, and sees what they see."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.formats.scan import Verdict
from tests.formats.scan.test_rules import scanned

_PAYLOAD = b"cposix\nsystem\n(Vtrue\ntR."


class _Inert:
    """Stands for whatever a pickle would import: takes every call, state and item."""

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def append(self, value: object) -> None: ...

    add = extend = append


def _reaches_the_payload(reader: Any, data: bytes) -> bool:
    named: list[tuple[str, str]] = []

    class Reader(reader):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> type[_Inert]:
            named.append((module, name))
            return _Inert

        def persistent_load(self, pid: object) -> object:
            return _Inert()

    # Memory for a place in the memo, and depth, may end the reader: then nothing runs either.
    with contextlib.suppress(Exception):
        Reader(io.BytesIO(data), encoding="latin-1").load()
    return ("posix", "system") in named


_NUMBERS = (
    "0",
    "1",
    "7",
    "00",
    "01",
    "017",
    "0x1F",
    "0o17",
    "0b11",
    "-3",
    " 5",
    "+5",
    "1_0",
    "8" * 40,
)
_TEXTS = ("a", "\\u0061", "\\x41", "x" * 300, "'q'", '"q"')
_LINES = [
    *(f"{code}{number}{end}\n" for code in "IL" for number in _NUMBERS for end in ("", "L")),
    *(f"F{number}\n" for number in (*_NUMBERS, "1.5", "inf", "nan", "1e400")),
    *(f"{code}{text}\n" for code in "SVP" for text in _TEXTS),
    *(f"{code}{number}\n" for code in "pg" for number in ("0", "1", "007", " 1", "1_0")),
    *("ccollections\nOrderedDict\n", "(icollections\nOrderedDict\n"),
]
_SIZED = [
    *((b"X", "<I"), (b"B", "<I"), (b"T", "<i"), (b"U", "<B"), (b"C", "<B"), (b"\x8c", "<B")),
    *((b"\x8d", "<Q"), (b"\x8e", "<Q"), (b"\x96", "<Q"), (b"\x8a", "<B"), (b"\x8b", "<i")),
]
_FRAGMENTS = st.one_of(
    st.sampled_from([line.encode() for line in _LINES]),
    st.sampled_from(
        [
            bytes([code])
            for code in b"N()]}0122aebdltsuoRQ\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x94"
        ]
    ),
    st.builds(
        lambda form, size: form[0] + struct.pack(form[1], size) + b"z" * size,
        st.sampled_from(_SIZED),
        st.integers(0, 40),
    ),
    st.builds(lambda code, index: bytes([code, index]), st.sampled_from(b"hqK"), st.integers(0, 3)),
    st.builds(lambda index: b"j" + struct.pack("<I", index), st.integers(0, 3)),
    st.builds(lambda number: b"\x80" + bytes([number]), st.integers(0, 6)),
    st.builds(lambda size: b"\x95" + struct.pack("<Q", size), st.integers(0, 40)),
)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_FRAGMENTS, max_size=12))
def test_what_a_reader_of_python_reaches_is_never_safe(fragments: list[bytes]) -> None:
    data = b"".join(fragments) + _PAYLOAD
    for reader in (pickle.Unpickler, pickle._Unpickler):
        if _reaches_the_payload(reader, data):
            assert scanned(data).verdict is not Verdict.SAFE
            return
