from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelhub.convert.lora import LoraKeys
from modelhub.convert.options import ConvertOptions, Ema, Extract, Precision, Target
from modelhub.errors import UsageError
from modelhub.formats.identify.parts import Role
from modelhub.services.convert import ConvertRequest, Work, check_request

BASE, LORA = Path("base.ckpt"), ((Path("style.safetensors"), 0.8),)


@pytest.mark.parametrize(
    ("wishes", "options", "reason"),
    [
        ({"keep_energy": 0.9}, {}, "--keep-energy goes with --rank"),
        ({"lora_base": BASE}, {}, "needs --rank"),
        ({"lora_base": BASE, "rank": 8, "loras": LORA}, {}, "choose one of them"),
        ({"loras": LORA, "rank": 8}, {}, "--merge-lora writes a checkpoint"),
        ({"loras": LORA, "lora_keys": LoraKeys.KOHYA}, {}, "--merge-lora writes a checkpoint"),
        ({"rank": 8, "vae": BASE}, {}, "--vae is for checkpoints"),
        ({"rank": 8}, {"target": Target.DIFFUSERS}, "--to diffusers is for checkpoints"),
        ({"rank": 8}, {"prune": True}, "--prune is for checkpoints"),
        ({"rank": 8}, {"ema": Ema.SWAP}, "--ema is for checkpoints"),
        ({"lora_base": BASE, "rank": 8}, {"extract": Extract.VAE}, "--extract-vae is for check"),
        ({"vae": BASE}, {"extract": Extract.VAE}, "takes a part out"),
        ({}, {"extract": Extract.UNET, "target": Target.DIFFUSERS}, "a folder of several"),
        ({}, {"extract": Extract.VAE, "ema": Ema.SWAP}, "only the UNet has an EMA twin"),
        (
            {},
            {"extract": Extract.VAE, "part_dtypes": {Role.TEXT_ENCODER: Precision.FP16}},
            "--text-encoder-dtype means nothing",
        ),
        ({"delete_source": True}, {"extract": Extract.VAE}, "the rest of it would be lost"),
        ({"delete_source": True, "lora_base": BASE, "rank": 8}, {}, "would be lost"),
    ],
)
def test_wishes_that_make_no_sense_are_refused_with_the_reason(
    wishes: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        check_request(ConvertRequest(options=ConvertOptions(**options), **wishes))


@pytest.mark.parametrize(
    ("wishes", "work", "others"),
    [
        ({}, Work.WEIGHTS, []),
        ({"vae": BASE}, Work.WEIGHTS, [BASE]),
        ({"rank": 8, "keep_energy": 0.9}, Work.LORA, []),
        ({"lora_keys": LoraKeys.PEFT}, Work.LORA, []),
        ({"loras": LORA, "vae": BASE}, Work.MERGE, None),
        ({"loras": LORA}, Work.MERGE, [LORA[0][0]]),
        ({"lora_base": BASE, "rank": 8}, Work.EXTRACT_LORA, [BASE]),
    ],
)
def test_what_is_asked_chooses_the_planner(
    wishes: dict[str, Any], work: Work, others: list[Path] | None
) -> None:
    request = ConvertRequest(**wishes)
    if others is None:
        with pytest.raises(UsageError, match="neither --vae nor"):
            check_request(request)
        return
    check_request(request)
    assert request.work is work
    assert list(request.others) == others
