"""Pickles, read without executing anything: what they name and build becomes inert records."""

from modelhub.formats.pickles.machine import Machine
from modelhub.formats.pickles.records import (
    Built,
    Call,
    Global,
    Key,
    OutOfBand,
    PersistentId,
    Record,
    SetOf,
    Skipped,
)
from modelhub.formats.pickles.source import FilePart, Held, Source

__all__ = [
    "Built",
    "Call",
    "FilePart",
    "Global",
    "Held",
    "Key",
    "Machine",
    "OutOfBand",
    "PersistentId",
    "Record",
    "SetOf",
    "Skipped",
    "Source",
]
