"""A remote file as Civitai publishes it: type, format, hashes, size, verdicts of its scans."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

PublicId = Annotated[int, Meta(ge=1, le=2**31 - 1)]

WEIGHTS_TYPES: Final = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})
"""The file types that hold a model's main weights."""

COMPONENT_TYPES: Final = frozenset(
    {
        "VAE",
        "Text Encoder",
        "Vision Encoder",
        "CLIPVision",
        "ControlNet",
        "Upscaler",
        "Enhancement LoRA",
        "Negative",
    }
)
"""The file types that hold other weights, published beside or instead of the main ones."""

_LARGEST_FILE: Final = 1 << 50
_EMPTY_AUTOV3: Final = "E3B0C44298FC"
_DIGITS: Final = {"SHA256": 64, "BLAKE3": 64, "AutoV1": 8, "AutoV2": 10, "AutoV3": 12, "CRC32": 8}
_HEX = re.compile(r"[0-9A-F]+")


class Part(Struct, kw_only=True, frozen=True, rename="camel"):
    """A JSON object; names as they are there, in Python's spelling."""


class Hashes(Part, frozen=True):
    """A file's published hashes: upper-case hexadecimal, or None where absent or malformed.

    An AutoV3 of no bytes at all (some tools write it) counts as malformed.
    """

    sha256: str | None = field(default=None, name="SHA256")
    blake3: str | None = field(default=None, name="BLAKE3")
    crc32: str | None = field(default=None, name="CRC32")
    autov1: str | None = field(default=None, name="AutoV1")
    autov2: str | None = field(default=None, name="AutoV2")
    autov3: str | None = field(default=None, name="AutoV3")

    def __post_init__(self) -> None:
        for kind, digits in _DIGITS.items():
            attribute = kind.lower()
            value: str | None = getattr(self, attribute)
            if value is None:
                continue
            clean = value.strip().upper()
            good = len(clean) == digits and _HEX.fullmatch(clean) and clean != _EMPTY_AUTOV3
            force_setattr(self, attribute, clean if good else None)

    @property
    def published(self) -> dict[str, str]:
        """Civitai's name of each hash that is there, the strongest first."""
        pairs = ((kind, getattr(self, kind.lower())) for kind in _DIGITS)
        return {kind: value for kind, value in pairs if value}


class FileMetadata(Part, frozen=True):
    """What a file's publisher said of its format; open strings."""

    format: str | None = None
    """`SafeTensor`, `PickleTensor`, `GGUF`, `Diffusers`, `Core ML`, `ONNX`, `Other`, ..."""
    size: str | None = None
    """`full` or `pruned`."""
    fp: str | None = None
    """`fp32`, `fp16`, `bf16`, `fp8`, `nf4`, ..."""
    quant_type: str | None = None
    """`Q8_0`, `Q4_K_M`, ... (GGUF)."""


class ModelFile(Part, frozen=True):
    """A remote file: one published variant of a version."""

    id: PublicId
    name: str = ""
    """The name the API gives; a download's content-disposition may differ. Uncleaned."""
    type: str | None = None
    size_kb: float | None = field(default=None, name="sizeKB")
    metadata: FileMetadata = field(default_factory=FileMetadata)
    pickle_scan_result: str | None = None
    pickle_scan_message: str | None = None
    virus_scan_result: str | None = None
    virus_scan_message: str | None = None
    scanned_at: str | None = None
    hashes: Hashes = field(default_factory=Hashes)
    download_url: str | None = None
    primary: bool = False

    @property
    def size_bytes(self) -> int | None:
        """The published size in bytes; None where it is absent or no size a file can have."""
        return bytes_of(self.size_kb)

    @property
    def size_is_exact(self) -> bool:
        """Whether the published KiB amount to a whole number of bytes, as they nearly always do."""
        size = self.size_bytes
        return size is not None and self.size_kb is not None and self.size_kb * 1024 == size

    @property
    def holds_main_weights(self) -> bool:
        """Whether its type is one of main weights; so counts a file without a type."""
        return self.type is None or self.type in WEIGHTS_TYPES

    @property
    def holds_weights(self) -> bool:
        """Whether its type is one of weights of any kind: no config, archive or training data."""
        return self.holds_main_weights or self.type in COMPONENT_TYPES

    @property
    def is_safetensors(self) -> bool:
        """Whether it is published as safetensors, by its format or else by its name."""
        if self.metadata.format:
            return self.metadata.format.casefold() == "safetensor"
        return self.name.casefold().endswith(".safetensors")

    @property
    def is_pickle(self) -> bool:
        """Whether loading it unpickles, by its published format or else by its name."""
        if self.metadata.format:
            return self.metadata.format.casefold() == "pickletensor"
        return self.name.casefold().endswith((".ckpt", ".pt", ".pth", ".bin", ".pkl"))

    @property
    def called_dangerous(self) -> bool:
        """Whether one of Civitai's own scans says so (`Danger`)."""
        return "danger" in {
            (result or "").casefold()
            for result in (self.pickle_scan_result, self.virus_scan_result)
        }


def bytes_of(size_kb: float | None) -> int | None:
    """A published size in KiB as bytes; None where it is no size that a file can have."""
    if size_kb is None or not math.isfinite(size_kb) or not 0 <= size_kb * 1024 <= _LARGEST_FILE:
        return None
    return round(size_kb * 1024)
