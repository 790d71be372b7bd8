"""What telling that two files have the same weights costs: a file in fp32 and its copy in fp16.

    python benchmarks/digests.py [RUNS] [MIB]

The peer is what one writes at hand: load both with `safetensors.numpy`, round the one, compare. It
answers for one pair, with both files in memory; digests answer for all pairs at once, the next time
without reading, in the memory of a few MiB. They may take at most twice as long. A sample, which
tells most files apart, may take at most 0.3 times as long, the start of Python included.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from _common import MIB, Ran, claim, median, report, run

TENSORS = 64
PEER = "safetensors.numpy"
WHOLE = "modelhub: digests"
SAMPLE = "modelhub: samples"

WRITE = """
import sys
import numpy as np
from safetensors.numpy import save_file
count, tensors = map(int, sys.argv[1:3])
generator = np.random.default_rng(0)
full = {f"{n}.weight": generator.standard_normal(count, np.float32) for n in range(tensors)}
save_file(full, sys.argv[3])
save_file({name: one.astype(np.float16) for name, one in full.items()}, sys.argv[4])
"""
COMPARE = """
import sys
import numpy as np
from safetensors.numpy import load_file
full, half = (load_file(name) for name in sys.argv[1:])
same = all(np.array_equal(one.astype(np.float16), half[name]) for name, one in full.items())
sys.exit(not same)
"""
DIGEST = """
import sys
from pathlib import Path
from modelhub.formats.digests import read_digests, weight_keys
from modelhub.formats.reading import read_header
sampled = sys.argv[1] == "sample"
paths = [Path(name) for name in sys.argv[2:]]
full, half = (weight_keys(read_digests(p, read_header(p), sampled=sampled)) for p in paths)
sys.exit(full.same_at(half) is None)
"""


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    size = (int(sys.argv[2]) if len(sys.argv) > 2 else 1024) * MIB
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as folder:
        paths = [str(Path(folder) / name) for name in ("full.safetensors", "half.safetensors")]
        # In a process of its own: what this one holds would count as its children's memory.
        run([sys.executable, "-c", WRITE, str(size // TENSORS // 4), str(TENSORS), *paths])
        commands = {
            PEER: [sys.executable, "-c", COMPARE, *paths],
            WHOLE: [sys.executable, "-c", DIGEST, "whole", *paths],
            SAMPLE: [sys.executable, "-c", DIGEST, "sample", *paths],
        }
        results: dict[str, list[Ran]] = {title: [] for title in commands}
        for number in range(runs + 1):
            for title, command in commands.items():
                once = run(command)
                if number:  # the first run of each fills the page cache
                    results[title].append(once)
    report(f"two files, {size * 3 // 2 // MIB:,} MiB together", results, PEER, size * 3 // 2)
    base = median(results[PEER])
    holds = [
        claim(f"{WHOLE} over {PEER}", median(results[WHOLE]) / base, 2.0),
        claim(f"{SAMPLE} over {PEER}", median(results[SAMPLE]) / base, 0.3),
    ]
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
