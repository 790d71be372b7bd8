"""What identification costs once a header is read, over one pass that multiplies its shapes.

    python benchmarks/identify.py [ROUNDS]

The bounds: a LoRA of 200 tensors at most 60 microseconds, one whose tensors are those of a file
read before at most 10, a full SDXL checkpoint of 2,515 tensors at most 3 milliseconds. The pass
beside them is the least that a count of parameters takes on the same header in the same run. Times
are the best of all rounds.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable
from math import prod

from _common import REPOSITORY

from modelhub.formats.identify import identify
from modelhub.formats.tensors import FileFormat, Header, SharedTensors, Tensor

LISTS = REPOSITORY / "tests" / "data" / "tensor-lists"
CHECKPOINT = {
    "UNET-XL-SD": "model.diffusion_model.",
    "VAE-v1-SD": "first_stage_model.",
    "CLIP-v1-SD": "conditioner.embedders.0.transformer.text_model.",
    "CLIP-XL-SD": "conditioner.embedders.1.model.",
}


def tensors_of(name: str, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a list under a prefix, in fp16, without their places."""
    text = gzip.decompress((LISTS / f"{name}.txt.gz").read_bytes()).decode()
    found = {}
    for line in text.splitlines():
        key, _, shape = line.rpartition(" ")
        sizes = tuple(abs(int(size)) for size in shape[1:-1].split(",") if size)
        found[prefix + key] = Tensor("F16", sizes, (0, 2 * prod(sizes)))
    return found


def header_of(tensors: dict[str, Tensor]) -> Header:
    """The header of a file with these tensors, of the size that it would have."""
    data = sum(2 * prod(one.shape) for one in tensors.values())
    return Header(format=FileFormat.SAFETENSORS, tensors=tensors, data_start=8, size=8 + data)


def best(work: Callable[[], object], rounds: int) -> float:
    """The shortest time of one call in microseconds."""
    shortest = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest * 1e6


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    lora = dict(list(tensors_of("LoRA-v1A-CLIP").items())[:200])
    whole: dict[str, Tensor] = {}
    for name, prefix in CHECKPOINT.items():
        whole |= tensors_of(name, prefix)
    failed = False
    cases = (
        ("LoRA", lora, 60.0),
        ("LoRA of known tensors", SharedTensors(lora), 10.0),
        ("SDXL checkpoint", whole, 3_000.0),
    )
    for what, tensors, bound in cases:
        header = header_of(tensors)
        took = best(lambda header=header: identify(header), rounds)  # type: ignore[misc]
        least = best(
            lambda tensors=tensors: sum(prod(one.shape) for one in tensors.values()),  # type: ignore[misc]
            rounds,
        )
        verdict = "ok" if took <= bound else "TOO SLOW"
        failed |= took > bound
        print(
            f"{what}, {len(tensors):,} tensors: {took:,.0f} us (at most {bound:,.0f}: {verdict}), "
            f"{took / least:.1f} times one pass over the shapes ({least:,.0f} us)"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
