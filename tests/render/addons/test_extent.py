"""How much LoRAs change, told from their headers."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest

from modelhub.errors import CannotRender
from modelhub.render.addons import numbers_changed
from modelhub.render.request import Weighted

from . import models as made


@pytest.mark.parametrize("family", ["locon", "loha", "lokr", "dora", "whole difference"])
def test_the_numbers_of_the_layers_count_whatever_their_factors_are(
    family: str, tmp_path: Path
) -> None:
    lora = made.write(tmp_path / "mine.safetensors", made.family(family))
    text = prod(made.SHAPES[made.TEXT])
    unet = prod(made.SHAPES[made.CROSS]) + prod(made.SHAPES[made.CONV])
    one = Weighted(str(lora), 0.5)
    assert numbers_changed([one]) == {"unet": unet, "text_encoder": text}
    assert numbers_changed([one, one]) == numbers_changed([one])
    assert numbers_changed([Weighted(str(lora), 0.0)]) == {}


def test_what_is_no_lora_is_refused_in_the_words_of_a_render(tmp_path: Path) -> None:
    path = made.write(tmp_path / "mine.safetensors", {"weight": made.draw(4, 4)})
    with pytest.raises(CannotRender, match=r"mine\.safetensors"):
        numbers_changed([Weighted(str(path), 1.0)])
