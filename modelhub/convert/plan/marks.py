"""Tensors without values by which a single file says how it was trained.

A folder says so in the settings of its scheduler, which a single file does not have. Source:
comfyanonymous/ComfyUI comfy/supported_models.py ``SDXL.model_type``;
AUTOMATIC1111/stable-diffusion-webui modules/sd_models_config.py.
"""

from __future__ import annotations

from modelhub.convert.plan.draft import Draft, Entry
from modelhub.convert.views import Counted
from modelhub.formats.identify.parts import Role
from modelhub.formats.tensors import FileFormat

_SETTINGS = {
    "v_pred": ("scheduler/prediction_type", "v_prediction"),
    "ztsnr": ("scheduler/rescale_betas_zero_snr", "True"),
}
"""By mark: the setting, as the header of a folder has it, and its value."""


def mark_training(draft: Draft) -> None:
    """Give a single file made of a folder of SDXL the marks that stand for its scheduler."""
    header = draft.source.header
    if header.format is not FileFormat.DIFFUSERS or draft.identity.architecture != "sdxl":
        return
    for mark, (setting, value) in _SETTINGS.items():
        if header.metadata.get(setting) == value and mark not in draft.names():
            draft.entries.append(Entry(mark, mark, Counted((0,)), "I64", Role.SCHEDULE, added=True))
            draft.notices.append(f"the empty tensor {mark} says what {setting} said in the folder")
