"""The averaged twin (EMA) that training keeps of a UNet.

As ``CompVis/latent-diffusion`` ``ldm/modules/ema.py`` names it.
"""

from __future__ import annotations

from modelhub.demo.weights.tables import Table, Tensor

_AVERAGED = "model.diffusion_model."


def ema_twins(table: Table) -> Table:
    """The averages of the UNet's tensors, under names without a dot."""
    return [
        Tensor("model_ema." + one.name.removeprefix("model.").replace(".", ""), one.shape)
        for one in table
        if one.name.startswith(_AVERAGED)
    ]


def full_ema(table: Table) -> Table:
    """A checkpoint as training leaves it: with the averages, their decay and their counter."""
    return [
        *table,
        Tensor("model_ema.decay", ()),
        Tensor("model_ema.num_updates", (), "I32"),
        *ema_twins(table),
    ]
