"""Diffusers by itself, as a plain script uses it: what modelhub's own work is compared with.

Offline, silent, with one thread. Importing this imports none of it; calling any of it does.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from modelhub.convert.diffusers import to_diffusers
from modelhub.convert.options import ConvertOptions
from modelhub.convert.plan import make_plan
from modelhub.convert.readers import open_source


class Libraries(NamedTuple):
    """The modules, untyped: they have few types of their own."""

    torch: Any
    diffusers: Any
    transformers: Any


@contextmanager
def plain_diffusers() -> Iterator[Libraries]:
    """The libraries; the number of threads is that from before afterwards."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers
        import torch
        import transformers

        found = Libraries(torch, diffusers, transformers)
        for logging in (found.diffusers.utils.logging, found.transformers.logging):
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield found
        finally:
            torch.set_num_threads(threads)


def write_settings(model: Path, folder: Path) -> Path:
    """What diffusers needs beside a single file to load it; `folder` again."""
    with open_source(model) as source:
        files = to_diffusers(make_plan(source, ConvertOptions(prune=True))).beside_weights
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def load_single_file(libraries: Libraries, model: Path, settings: Path, dtype: str = "F32") -> Any:
    """Its pipeline, by diffusers' own conversion; the weights rounded to `dtype`, then in fp32."""
    import json

    torch = libraries.torch
    rounded = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[dtype]
    index = json.loads((settings / "model_index.json").read_text())
    pipeline = getattr(libraries.diffusers, index["_class_name"]).from_single_file(
        str(model), config=str(settings), local_files_only=True, torch_dtype=rounded
    )
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        for tensor in part.parameters() if isinstance(part, torch.nn.Module) else ():
            # In memory of its own: where a mapped tensor starts decides in which order vectorised
            # kernels add up, and so the last bit of what they compute.
            tensor.data = tensor.data.to(torch.float32, copy=True)
    return pipeline


def picture(libraries: Libraries, pipeline: Any, **options: Any) -> Any:
    """An image of 64 by 64 after two steps, as numbers from 0 to 1: height, width, colours."""
    given = {
        "prompt": "a photo of a cat",
        "num_inference_steps": 2,
        "width": 64,
        "height": 64,
        "generator": libraries.torch.Generator().manual_seed(3),
        "output_type": "np",
    }
    return pipeline(**given | options).images[0]
