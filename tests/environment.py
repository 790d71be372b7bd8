"""What a program that a test starts finds in its environment."""

from __future__ import annotations

import os

_OURS = ("MODELHUB_", "CIVITAI_")


def without_settings() -> dict[str, str]:
    """The environment, without what of it is a setting."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
