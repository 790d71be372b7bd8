"""Download and verify a large file from a server without a limit, against other tools.

Whole processes, in turns, the median of each. `curl | tee | sha256sum` is the best that a shell
does in one pass; aria2c checks after the download, by reading the file again; a plain library
download is hashed by a second read.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys

from _common import MIB, alternate, claim, median, need, ours, report, served

LIBRARY = """
import hashlib, sys
from pathlib import Path
from huggingface_hub.file_download import http_get

path = Path(sys.argv[2]) / "big.bin"
with path.open("wb") as file:
    http_get(sys.argv[1], file)
with path.open("rb") as file:
    assert hashlib.file_digest(file, "sha256").hexdigest().upper() == sys.argv[3]
"""
ALL = "blake3,crc32,autov1,autov3"


def main() -> int:
    """Run it; 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the file")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    need("nginx", "curl", "aria2c", "sha256sum")
    size = options.mib * MIB
    with served(size) as (file, folder):
        work = folder / "work"
        check = f"--checksum=sha-256={file.sha256.lower()}"
        commands: dict[str, list[str] | str] = {
            "modelhub": ours(file.url, work, file.sha256),
            "modelhub, all hashes": ours(file.url, work, file.sha256, ALL),
            "curl | tee | sha256sum": f"curl -s {file.url} | tee {work}/big.bin | sha256sum",
            "aria2c -x8 --checksum": [
                *("aria2c", "-q", "-x8", "-s8", "-k1M", check),
                *("--file-allocation=falloc", "-d", str(work), file.url),
            ],
        }
        if importlib.util.find_spec("huggingface_hub"):
            commands["http_get, then hash"] = [
                *(sys.executable, "-c", LIBRARY),
                *(file.url, str(work), file.sha256),
            ]
        else:
            print("left out: huggingface_hub is not installed")
        results = alternate(commands, work, options.runs)
    report(f"{options.mib} MiB, no limit", results, "modelhub", size)
    mine = median(results["modelhub"])
    every = median(results["modelhub, all hashes"])
    curl, aria = median(results["curl | tee | sha256sum"]), median(results["aria2c -x8 --checksum"])
    memory = max(ran.memory for ran in results["modelhub"] + results["modelhub, all hashes"])
    held = [
        claim("modelhub / (curl | tee | sha256sum)", mine / curl, 1.05),
        claim("modelhub / aria2c -x8 --checksum", mine / aria, 0.65),
        claim("all hashes / (curl | tee | sha256sum)", every / curl, 1.05),
        claim("peak memory in MiB", memory, 120),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
