"""What a conversion will do, tensor by tensor, before anything is read or written.

:func:`make_plan` is pure: it looks at names, types and shapes. :func:`with_provenance` completes
the metadata once the hash of the source is known; :func:`summarize` counts what a plan does, and
:func:`loads_in` names the programs that load its result.
"""

from __future__ import annotations

from modelhub.convert.plan.draft import TensorSource
from modelhub.convert.plan.loaders import loads_in
from modelhub.convert.plan.making import make_plan
from modelhub.convert.plan.metadata import provenance, with_provenance
from modelhub.convert.plan.summary import Amount, Cast, PlanSummary, summarize

__all__ = [
    "Amount",
    "Cast",
    "PlanSummary",
    "TensorSource",
    "loads_in",
    "make_plan",
    "provenance",
    "summarize",
    "with_provenance",
]
