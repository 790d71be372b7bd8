"""What goes with a checkpoint: LoRAs in its weights, which base an add-on fits, its words.

Only :func:`apply_to`, :func:`apply_loras` and :func:`remove_loras` need torch.
"""

from __future__ import annotations

from modelhub.render.addons.choosing import Candidate, NamedBase, Ranked, choose_base
from modelhub.render.addons.extent import numbers_changed
from modelhub.render.addons.fitting import Fit, fits, needs_more_than_a_prompt, require_fit
from modelhub.render.addons.loras import Applied, apply_loras, apply_to, remove_loras
from modelhub.render.addons.triggers import with_triggers

__all__ = [
    "Applied",
    "Candidate",
    "Fit",
    "NamedBase",
    "Ranked",
    "apply_loras",
    "apply_to",
    "choose_base",
    "fits",
    "needs_more_than_a_prompt",
    "numbers_changed",
    "remove_loras",
    "require_fit",
    "with_triggers",
]
