"""The table of all opcodes, protocols 0 to 5."""

from __future__ import annotations

from modelhub.formats.pickles.calls import CALLS
from modelhub.formats.pickles.containers import CONTAINERS
from modelhub.formats.pickles.machine import Machine, Malformed, Opcode
from modelhub.formats.pickles.scalars import SCALARS


def _unknown(machine: Machine, data: bytes, position: int) -> int:
    raise Malformed(f"{data[position - 1]:#04x} is no opcode")


_KNOWN = {**SCALARS, **CONTAINERS, **CALLS}

OPCODES: tuple[Opcode, ...] = tuple(_KNOWN.get(code, (0, _unknown))[1] for code in range(256))
"""What does each opcode."""

WEIGHTS: tuple[int, ...] = tuple(_KNOWN.get(code, (0, _unknown))[0] for code in range(256))
"""The memory that each opcode takes at most, in bytes, without the content of a string."""
