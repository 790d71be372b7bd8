"""The full names of averages that stand alone, told from those without dots.

``diffusion_modelinput_blocks110in_layers0weight`` can be read in one way only: what stands behind a
block's number is one digit and then a word, in all UNets of CompVis/stable-diffusion and
Stability-AI/generative-models (``openaimodel.py``, ``attention.py``). A name that does not follow
these modules to its last letter has no full name.
"""

from __future__ import annotations

import re

_AVERAGE = "model_ema.diffusion_model"
WEIGHTS = "model.diffusion_model."
"""What the names of a UNet's weights begin with."""

_RESNET = r"in_layers[02]|emb_layers1|out_layers[03]|skip_connection"
_IN_TRANSFORMER = r"attn[12]to_[qkv]|attn[12]to_out0|ffnet0proj|ffnet2|norm[123]"
_MODULE = rf"{_RESNET}|op|conv|norm|proj_in|proj_out|transformer_blocks\d(?:{_IN_TRANSFORMER})"
_NAME = re.compile(
    r"(?:(?:input_blocks00|time_embed[02]|out[02]|label_emb0[02])"
    rf"|(?:(?:input|output)_blocks(?:0|[1-9]\d?)[012]|middle_block[012])(?:{_MODULE}))"
    r"(?:weight|bias)"
)
_STEP = re.compile(
    r"(?:in|out|emb)_layers|skip_connection|op(?=[wb])|conv|transformer_blocks|attn[12]|to_[qkv]"
    r"|to_out|ff(?=net)|net|norm[123]?|proj(?:_in|_out)?|(?:input|output)_blocks|middle_block"
    r"|time_embed|out(?=\d)|label_emb|weight|bias"
)
_DIGITS = re.compile(r"\d+")


def full_name(average: str) -> str | None:
    """What the weight is called whose average has this name; None where that cannot be told."""
    flat = average.removeprefix(_AVERAGE)
    if flat == average or not _NAME.fullmatch(flat):
        return None
    steps: list[str] = []
    at = 0
    while at < len(flat):
        word = _STEP.match(flat, at)
        if word is not None:
            steps.append(word[0])
            at = word.end()
            continue
        digits = _DIGITS.match(flat, at)
        if digits is None:
            return None
        # Of a block's two numbers the last has one digit.
        is_block = steps[-1] in ("input_blocks", "output_blocks", "label_emb")
        steps += [digits[0][:-1], digits[0][-1]] if is_block else [digits[0]]
        at = digits.end()
    return WEIGHTS + ".".join(steps)
