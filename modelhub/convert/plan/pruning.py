"""What no program reads, and may be left out."""

from __future__ import annotations

from modelhub.convert.plan.draft import MARKS, Draft
from modelhub.convert.plan.ema import is_counter
from modelhub.convert.planning import Reason
from modelhub.formats.identify.parts import Role

_LOSSES = ("loss.", "first_stage_model.loss.")
"""The perceptual loss and the discriminator that a VAE is trained against. Source:
AUTOMATIC1111/stable-diffusion-webui modules/sd_vae.py ``load_vae_dict``."""

_JUNK = (
    "embedding_manager.embedder.",
    "lora_te_text_model",
    "lora_unet_",
    "pytorch-lightning_version",
    "global_step",
)
"""What merges and trainers leave in checkpoints. Source: Akegarasu/sd-webui-model-converter
scripts/convert.py ``known_junk``; arenasys/stable-diffusion-webui-model-toolkit toolkit.py
``prune_model``."""

_TRAINING = (
    "optimizer.", "optimizers.", "optimizer_states.", "lr_schedulers.", "callbacks.", "loops.",
)  # fmt: skip

_TIED = (
    ("encoder.embed_tokens.weight", "shared.weight"),
    ("decoder.embed_tokens.weight", "shared.weight"),
    ("lm_head.weight", "shared.weight"),
    ("lm_head.weight", "model.embed_tokens.weight"),
    ("lm_head.weight", "embed_tokens.weight"),
)
"""A name that loaders do without where its values are those of another, and that other. Source:
huggingface/transformers ``_tied_weights_keys`` of T5, Llama and Qwen."""


def is_loss(name: str) -> bool:
    """Whether a tensor belongs to the loss that a VAE was trained against."""
    return name.startswith(_LOSSES)


def prune(draft: Draft) -> None:
    """Leave out training state, numbers of the noise schedule, junk and tied copies.

    What says how the model was trained (``v_pred``, ``ztsnr``, ``edm_*``) stays: loaders need it.
    """
    draft.words.append("pruned")
    draft.drop(lambda one: one.name.startswith(_TRAINING), Reason.TRAINING)
    draft.drop(
        lambda one: one.role is Role.SCHEDULE and not one.name.startswith(MARKS), Reason.SCHEDULE
    )
    draft.drop(lambda one: is_counter(one.name), Reason.EMA)
    draft.drop(lambda one: is_loss(one.name), Reason.JUNK)
    if any(one.part for one in draft.entries):
        # In a file of its own, a LoRA is no junk.
        draft.drop(lambda one: one.role is Role.BARE and one.name.startswith(_JUNK), Reason.JUNK)
    _drop_tied(draft)


def _drop_tied(draft: Draft) -> None:
    group_of = {name: number for number, names in enumerate(draft.source.shared) for name in names}
    old_of = {one.name: one.old for one in draft.entries}
    copies: set[str] = set()
    for one in draft.entries:
        for copy, original in _TIED:
            if one.name != copy and not one.name.endswith("." + copy):
                continue
            twin = old_of.get(one.name.removesuffix(copy) + original)
            group = group_of.get(one.old)
            if twin is not None and group is not None and group_of.get(twin) == group:
                copies.add(one.name)
    draft.drop(lambda one: one.name in copies, Reason.DUPLICATE)
