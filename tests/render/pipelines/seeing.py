"""Qwen3-VL as a whole, which can see, around a text model."""

from __future__ import annotations

from typing import Any


def whole_qwen3_vl(text_model: Any) -> Any:
    """What a pipeline asks for, of transformers, with the numbers of a text model in it."""
    import transformers

    width = text_model.config.hidden_size
    seeing = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    config = transformers.Qwen3VLConfig(
        text_config=text_model.config.to_dict(),
        vision_config={**seeing, "out_hidden_size": width, "deepstack_visual_indexes": [0]},
    )
    whole: Any = transformers.Qwen3VLForConditionalGeneration(config)
    whole.model.language_model.load_state_dict(text_model.state_dict(), strict=True)
    return whole.eval().requires_grad_(requires_grad=False)
