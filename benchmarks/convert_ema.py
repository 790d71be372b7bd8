"""A checkpoint in fp32 with an EMA twin, 2 GiB, to 512 MiB of fp16 safetensors without the twin.

    python benchmarks/convert_ema.py [--large]

Both as whole processes, start-up included: `modelhub convert`, which reads the result back from the
disk, compares all of it, hashes it and records it; and a script of torch, which does none of that:
`torch.load(weights_only=True)`, `.half()`, `save_file`. Claims at most 0.7 times its time for a
file of the library, whose hash the catalog knows. One that it does not know is hashed too, since
the result names its source: that time is printed as well. Claims at most 250 MiB of memory of its
own; with `--large` the same for 8 GiB.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL

from _common import claim
from _convert import CONVERT, GIB, Measured, measured, write_checkpoint
from _library import workplace

RUNS = 5
MODELHUB = [sys.executable, "-m", "modelhub", "--quiet"]
PEER = """
import sys, torch
from safetensors.torch import save_file
loaded = torch.load(sys.argv[1], weights_only=True, map_location="cpu")["state_dict"]
kept = {name: one.half() for name, one in loaded.items() if not name.startswith("model_ema.")}
save_file(kept, sys.argv[2], {"format": "pt"})
"""


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    large = "--large" in sys.argv[1:]
    with workplace() as place:
        source, target = place / "source.ckpt", place / "target.safetensors"
        ours = [*CONVERT, str(source), "--dtype", "fp16", "--no-ema", "--output", str(target)]
        peer = [sys.executable, "-c", PEER, str(source), str(target)]
        write_checkpoint(source, 2 * GIB, "F32", ema=True)
        results: dict[str, list[Measured]] = {"modelhub": [], "unknown source": [], "torch": []}
        for _ in range(RUNS):
            results["unknown source"].append(one_run(ours, target))
        subprocess.run([*MODELHUB, "root", "add", str(place)], check=True, stdout=DEVNULL)
        subprocess.run([*MODELHUB, "index", str(source)], check=True, stdout=DEVNULL)
        for _ in range(RUNS):
            results["modelhub"].append(one_run(ours, target))
            results["torch"].append(one_run(peer, target))
        if large:
            source.unlink()
            subprocess.run([*MODELHUB, "root", "remove", str(place)], check=True, stdout=DEVNULL)
            write_checkpoint(source, 8 * GIB, "F32", ema=True)
            results["modelhub, 8 GiB"] = [one_run(ours, target)]
    print(f"{'':20}{'median s':>10}{'own MiB':>10}   all runs")
    for name, ran in results.items():
        every = " ".join(f"{one.seconds:.2f}" for one in ran)
        print(f"{name:20}{median(ran):10.2f}{max(one.own for one in ran):10.0f}   {every}")
    peers = median(results["torch"])
    unknown = median(results["unknown source"]) / peers
    print(f"{unknown:.2f} times the time of torch where the source is not known yet")
    ratio = median(results["modelhub"]) / peers
    own = max(one.own for name, ran in results.items() if name != "torch" for one in ran)
    fast = claim("times the time of torch", ratio, 0.7)
    small = claim("MiB of memory of its own", own, 250)
    return 0 if fast and small else 1


def one_run(command: list[str], target: Path) -> Measured:
    """Into a file that is not there, on a quiet disk."""
    target.unlink(missing_ok=True)
    os.sync()
    return measured(command)


def median(ran: list[Measured]) -> float:
    """The middle of the seconds."""
    return statistics.median(one.seconds for one in ran)


if __name__ == "__main__":
    sys.exit(main())
