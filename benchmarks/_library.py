"""Libraries of many files for the index benchmarks, and `modelhub index` as a process."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PER_FOLDER = 1000
INDEX = [sys.executable, "-m", "modelhub", "--quiet", "index", "--no-hash"]


def lora(number: int, tensors: int = 200) -> bytes:
    """A LoRA for SD 1.x as kohya's trainer names its tensors, another for each `number`; of a
    quarter the rank that is usual, so that 20,000 fit a small disk."""
    header: dict[str, object] = {
        "__metadata__": {
            "ss_network_module": "networks.lora",
            "ss_network_dim": "4",
            "ss_base_model_version": "sd_v1",
            "ss_output_name": f"style {number}",
            "ss_tag_frequency": json.dumps({"10_x": {f"word {number}": 40, "girl": 30}}),
        }
    }
    offset = 0
    for block in range(tensors // 2):
        name = (
            f"lora_unet_down_blocks_{block // 34}_attentions_{block // 17 % 2}"
            f"_transformer_blocks_0_attn2_to_{block % 17}"
        )
        for part, shape in (("lora_down", [4, 8]), ("lora_up", [8, 4])):
            header[f"{name}.{part}.weight"] = {
                "dtype": "F16",
                "shape": shape,
                "data_offsets": [offset, offset + 64],
            }
            offset += 64
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(offset)


def write_loras(folder: Path, number: int) -> None:
    """Write so many files, a thousand a folder; they were written an hour ago."""
    old = time.time() - 3600
    for one in range(number):
        file = folder / f"{one // PER_FOLDER:04}" / f"style_{one:06}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lora(one))
        os.utime(file, (old, old))


def write_empty(folder: Path, number: int) -> None:
    """Write so many files without a byte, a thousand a folder."""
    for one in range(number):
        if one % PER_FOLDER == 0:
            (folder / f"{one // PER_FOLDER:04}").mkdir(parents=True)
        name = folder / f"{one // PER_FOLDER:04}" / f"style_{one:07}.safetensors"
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder for library and catalog, which `modelhub` takes for its home meanwhile."""
    before = os.environ.get("MODELHUB_HOME")
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as name:
        os.environ["MODELHUB_HOME"] = str(Path(name) / "home")
        try:
            yield Path(name)
        finally:
            if before is None:
                del os.environ["MODELHUB_HOME"]
            else:
                os.environ["MODELHUB_HOME"] = before
