"""Readers: the tensors of a model of any format, as values that are read when they are written."""

from modelhub.convert.readers.opening import open_source
from modelhub.convert.readers.source import Beside, Source

__all__ = ["Beside", "Source", "open_source"]
