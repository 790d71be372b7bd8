"""Folders of other tools, recognised by what is in them: which of them hold models.

Only names are read, and the small files in which the tools say where else their models are;
nothing is ever written there.
"""

from modelhub.placement.adoption.detect import detect
from modelhub.placement.adoption.model import Detected, Place, Tool

__all__ = ["Detected", "Place", "Tool", "detect"]
