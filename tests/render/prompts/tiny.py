"""Tiny text encoders, their tokenizer the real one: what a pipeline has for its prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from modelhub.formats.diffusers_config import tokenizer_files

LAYERS = 4


def tokenizer(folder: Path, padding: str = "<|endoftext|>") -> Any:
    """CLIP's, read from files."""
    from transformers import CLIPTokenizer

    folder.mkdir(exist_ok=True)
    for name, content in tokenizer_files().items():
        (folder / name).write_bytes(content)
    special = dict.fromkeys(("eos_token", "unk_token"), "<|endoftext|>")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token=padding,
        bos_token="<|startoftext|>", model_max_length=77, **special,
    )  # fmt: skip


def encoder(width: int, *, open_clip: bool, projecting: bool, seed: int) -> Any:
    """With weights from a seed."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=2 * width, num_hidden_layers=LAYERS,
        num_attention_heads=2, hidden_act="gelu" if open_clip else "quick_gelu",
        projection_dim=width, vocab_size=49408, bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    model: Any = (CLIPTextModelWithProjection if projecting else CLIPTextModel)(config)
    if not open_clip:
        inner = getattr(model, "text_model", model)
        # What comes out of a published encoder has a mean.
        torch.nn.init.constant_(inner.final_layer_norm.bias, 0.05)
    return model.eval()


def sd(folder: Path, *, open_clip: bool = False) -> Any:
    """Of Stable Diffusion 1; or of 2, whose encoder lacks the last layer."""
    from diffusers import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline
    padding = "!" if open_clip else "<|endoftext|>"
    return pipeline(
        vae=None, unet=None, scheduler=None, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, tokenizer=tokenizer(folder, padding),
        text_encoder=encoder(32, open_clip=open_clip, projecting=False, seed=1),
    )  # fmt: skip


def sdxl(folder: Path) -> Any:
    """Of SDXL: two encoders."""
    from diffusers import StableDiffusionXLPipeline

    pipeline: Any = StableDiffusionXLPipeline
    return pipeline(
        vae=None, unet=None, scheduler=None, add_watermarker=False,
        tokenizer=tokenizer(folder), tokenizer_2=tokenizer(folder, "!"),
        text_encoder=encoder(32, open_clip=False, projecting=False, seed=2),
        text_encoder_2=encoder(64, open_clip=True, projecting=True, seed=3),
    )  # fmt: skip


def refiner(pipe: Any) -> Any:
    """What the refiner has of an SDXL pipeline."""
    return SimpleNamespace(text_encoder_2=pipe.text_encoder_2, tokenizer_2=pipe.tokenizer_2)


def tokens_of(pipe: Any, text: str) -> Sequence[int]:
    """The numbers of a text's tokens, without start and end."""
    found: Sequence[int] = pipe.tokenizer(text, add_special_tokens=False)["input_ids"]
    return found
