"""Download and verify from a server that gives each connection 40 MB/s, against aria2c.

Both may use the same number of connections; what counts is how quickly they are in use, that
they stay busy to the end, and how long the verification takes after the last byte.
"""

from __future__ import annotations

import argparse
import sys

from _common import MIB, alternate, claim, median, need, ours, report, served


def main() -> int:
    """Run it; 1 when the claim fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the file")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    need("nginx", "aria2c")
    size, count = options.mib * MIB, options.connections
    with served(size) as (file, folder):
        work = folder / "work"
        check = f"--checksum=sha-256={file.sha256.lower()}"
        results = alternate(
            {
                "modelhub": ours(file.slow_url, work, file.sha256, connections=count),
                f"aria2c -x{count} --checksum": [
                    *("aria2c", "-q", f"-x{count}", f"-s{count}", "-k1M", check),
                    *("--file-allocation=falloc", "-d", str(work), file.slow_url),
                ],
            },
            work,
            options.runs,
        )
    report(f"{options.mib} MiB at 40 MB/s a connection", results, "modelhub", size)
    ratio = median(results["modelhub"]) / median(results[f"aria2c -x{count} --checksum"])
    return 0 if claim(f"modelhub / aria2c -x{count} --checksum", ratio, 1.0) else 1


if __name__ == "__main__":
    sys.exit(main())
