"""Settings: what they are (`settings`) and where they come from (`load`, `paths`)."""

from modelhub.config.settings import Config

__all__ = ["Config"]
