"""An index run over files none of which has changed, against `find` over the same tree.

    python benchmarks/index_unchanged.py [FILES]

Claims at most 3 times `find -printf '%s %T@ %i'` plus 0.3 s for 100,000 files, whole processes.
"""

from __future__ import annotations

import sys

from _common import Ran, claim, median, need, run
from _library import INDEX, workplace, write_empty

_RUNS = 5


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    need("find")
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with workplace() as place:
        root = place / "models"
        write_empty(root, files)
        run(["sleep", "2.5"])  # until the files rest
        run([*INDEX, str(root)])
        commands = {
            "find": ["find", str(root), "-printf", "%s %T@ %i\n"],
            "modelhub index": [*INDEX, str(root)],
        }
        results: dict[str, list[Ran]] = {name: [] for name in commands}
        for _ in range(_RUNS):
            for name, command in commands.items():
                results[name].append(run(command))
        for name, ran in results.items():
            every = " ".join(f"{one.seconds:.2f}" for one in ran)
            memory = max(one.memory for one in ran)
            print(f"{name:20}{median(ran):8.2f} s {memory:6.0f} MiB   all runs: {every}")
        limit = 3 * median(results["find"]) + 0.3
        ours = median(results["modelhub index"])
    text = f"seconds for {files:,} unchanged files, against 3 times find and 0.3 s"
    return 0 if claim(text, ours, round(limit, 2)) else 1


if __name__ == "__main__":
    sys.exit(main())
