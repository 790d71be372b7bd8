"""Adopt: folders of other tools become roots, are indexed, and their sidecars imported."""

from modelhub.services.adopt.adopt import Adopted, AdoptReport, Standing, adopt

__all__ = ["AdoptReport", "Adopted", "Standing", "adopt"]
