"""Converting: files made of files, planned, written, verified and catalogued."""

from __future__ import annotations

from modelhub.services.convert.outcome import (
    ConvertedFile,
    ConvertOutcome,
    FailedConversion,
    KeptWider,
    PlannedConversion,
    PlanOutcome,
)
from modelhub.services.convert.request import ConvertRequest, Work, check_request
from modelhub.services.convert.run import convert, plan_conversions
from modelhub.services.convert.sources import chosen_sources

__all__ = [
    "ConvertOutcome",
    "ConvertRequest",
    "ConvertedFile",
    "FailedConversion",
    "KeptWider",
    "PlanOutcome",
    "PlannedConversion",
    "Work",
    "check_request",
    "chosen_sources",
    "convert",
    "plan_conversions",
]
