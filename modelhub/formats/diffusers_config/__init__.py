"""What a diffusers folder holds beside its weights, told from a single file's tensors."""

from __future__ import annotations

from modelhub.formats.diffusers_config.configs import CONFIG_NAMES, configs_of
from modelhub.formats.diffusers_config.tokenizer import tokenizer_files

__all__ = ["CONFIG_NAMES", "configs_of", "tokenizer_files"]
