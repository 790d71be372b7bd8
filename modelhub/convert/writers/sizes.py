"""How large a result will be, to the byte, before anything is written."""

from __future__ import annotations

from modelhub.convert.options import Target
from modelhub.convert.planning import Plan
from modelhub.convert.writers.layout import writable_metadata
from modelhub.convert.writers.safetensors import SafetensorsLayout
from modelhub.convert.writers.torch_zip import TorchZipLayout


def file_size(plan: Plan) -> int | None:
    """The bytes of the file that a plan makes; None for a folder, which is several.

    :raises UsageError: the plan cannot be written in its format.
    """
    metadata = writable_metadata(plan.metadata)
    if plan.target is Target.SAFETENSORS:
        return SafetensorsLayout(plan.tensors, metadata).size
    if plan.target is Target.CKPT:
        return TorchZipLayout(plan.tensors, metadata).size
    return None
