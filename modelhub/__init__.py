"""modelhub: the library manager for Stable Diffusion files."""

__version__ = "0.1.0"
