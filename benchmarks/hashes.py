"""What hashing costs, against `sha256sum` over the same files, all of them in the page cache.

    python benchmarks/hashes.py [RUNS] [MIB]

Two bounds on two processors: all six hashes in at most 1.35 times, SHA256 alone in at most 1.02
times what `sha256sum` takes. Each is also run against `openssl dgst -sha256`, where it is
installed: some builds of `sha256sum` do not use the processor's own instructions, and then they
are no peer. The files are four of MIB/4 each: what starting costs is told apart below the table.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from _common import MIB, Ran, claim, median, need, report, run, write_noise

FILES = 4
PEER = "sha256sum"
OPENSSL = "openssl dgst -sha256"
ALL = "modelhub: six hashes"
ALONE = "modelhub: SHA256 alone"
START = "modelhub: an empty file"

HASH = """
import sys
from pathlib import Path
from modelhub.formats.hashes import ALL_HASHES, hash_file
kinds = ALL_HASHES if sys.argv[1] == "all" else {"sha256"}
for name in sys.argv[2:]:
    found = hash_file(Path(name), kinds)
    print(found.sha256, found.blake3, found.crc32, found.autov1, found.autov3)
"""


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    size = (int(sys.argv[2]) if len(sys.argv) > 2 else 2048) * MIB
    need(PEER)
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as name:
        paths = []
        for number in range(FILES):
            path = Path(name) / f"{number}.safetensors"
            write_noise(path, size // FILES)
            # A header, so that AutoV3 takes part: its data are all the rest.
            with path.open("r+b") as file:
                file.write((2).to_bytes(8, "little") + b"{}")
            paths.append(str(path))
        empty = Path(name) / "empty"
        empty.touch()
        commands = {
            PEER: [PEER, *paths],
            ALL: [sys.executable, "-c", HASH, "all", *paths],
            ALONE: [sys.executable, "-c", HASH, "sha256", *paths],
            START: [sys.executable, "-c", HASH, "all", str(empty)],
        }
        if shutil.which("openssl"):
            commands[OPENSSL] = ["openssl", "dgst", "-sha256", *paths]
        results: dict[str, list[Ran]] = {title: [] for title in commands}
        for number in range(runs + 1):
            for title, command in commands.items():
                once = run(command)
                if number:  # the first run of each fills the page cache
                    results[title].append(once)
    report(f"{FILES} files, {size // MIB:,} MiB together", results, PEER, size)
    base = median(results[PEER])
    holds = [
        claim(f"{ALL} over {PEER}", median(results[ALL]) / base, 1.35),
        claim(f"{ALONE} over {PEER}", median(results[ALONE]) / base, 1.02),
    ]
    if OPENSSL in results:
        start = median(results[START])
        fast = median(results[OPENSSL])
        for title in (ALL, ALONE):
            ratio = (median(results[title]) - start) / fast
            print(f"for comparison: {title} over {OPENSSL}, start left out: {ratio:.2f}")
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
