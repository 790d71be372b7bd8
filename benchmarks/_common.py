"""What the benchmarks share: a server to download from, timing of whole processes, a table."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
MIB = 1 << 20

# As for its users: what is imported was compiled once, and not by each process anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

OURS = """
import sys, threading
from pathlib import Path
from modelhub.config import Config
from modelhub.progress import silent
from modelhub.transfer import *

class Source:
    def link(self):
        return sys.argv[1]

hashes = frozenset(filter(None, sys.argv[4].split(",")))
settings = TransferSettings(connections=int(sys.argv[5]), extra_hashes=hashes, min_free=0)
expected = Expected(sha256=sys.argv[3])
request = DownloadRequest("t", Source(), Path(sys.argv[2]), "big.bin", expected)
done = download(request, settings, Config(), silent, threading.Event())
print(done.fetched_bytes, done.resumed_bytes)
"""
"""A verified download as a process: URL, folder, SHA256, more hashes, connections."""


@dataclass(frozen=True)
class Ran:
    """One run of a whole process: seconds, and peak resident memory in MiB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class Served:
    """A file on a server on loopback: as fast as it goes, and slowly per connection."""

    url: str
    slow_url: str
    path: Path
    sha256: str


def need(*programs: str) -> None:
    """End the benchmark, saying why, where a program that it needs is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        print(f"skipped: not installed: {', '.join(missing)}")
        sys.exit(0)


def ours(url: str, folder: Path, sha256: str, hashes: str = "", connections: int = 8) -> list[str]:
    """The command that downloads with modelhub."""
    return [sys.executable, "-c", OURS, url, str(folder), sha256, hashes, str(connections)]


def run(command: Sequence[str] | str) -> Ran:
    """Run a command (text: by bash, with pipes) to its end, and measure it.

    :raises RuntimeError: it failed.
    """
    arguments = ["bash", "-o", "pipefail", "-c", command] if isinstance(command, str) else command
    began = time.perf_counter()
    with subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"},
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {errors.decode(errors='replace')[-500:]}")
    return Ran(seconds, usage.ru_maxrss / 1024)


def alternate(
    commands: Mapping[str, Sequence[str] | str], folder: Path, runs: int
) -> dict[str, list[Ran]]:
    """Run each command `runs` times, in turns, each into an empty `folder` and a quiet disk."""
    results: dict[str, list[Ran]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            os.sync()
            results[name].append(run(command))
    shutil.rmtree(folder, ignore_errors=True)
    return results


def median(results: Sequence[Ran]) -> float:
    """The middle of the seconds."""
    return statistics.median(one.seconds for one in results)


def report(title: str, results: Mapping[str, Sequence[Ran]], base: str, size: int) -> None:
    """Print all results, and the ratio of `base` to each of them."""
    print(f"\n{title}")
    print(f"{'':34}{'median s':>10}{'MB/s':>8}{'peak MiB':>10}  {'ratio':>6}   all runs")
    for name, ran in results.items():
        seconds = median(ran)
        memory = max(one.memory for one in ran)
        ratio = median(results[base]) / seconds
        every = " ".join(f"{one.seconds:.2f}" for one in ran)
        print(
            f"{name:34}{seconds:10.2f}{size / seconds / 1e6:8.0f}{memory:10.0f}"
            f"  {ratio:6.2f}   {every}"
        )


def claim(text: str, value: float, limit: float) -> bool:
    """Print whether `value` is at most `limit`; the answer too."""
    holds = value <= limit
    print(f"{'holds' if holds else 'FAILS'}: {text}: {value:.2f} (at most {limit:g})")
    return holds


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("nginx did not start")


def write_noise(path: Path, size: int) -> str:
    """Write `size` random bytes; their SHA256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        left = size
        while left:
            block = os.urandom(min(left, 8 * MIB))
            file.write(block)
            digest.update(block)
            left -= len(block)
    return digest.hexdigest().upper()


@contextlib.contextmanager
def served(size: int, rate: str = "40m") -> Iterator[tuple[Served, Path]]:
    """A file of `size` random bytes on nginx, and a folder on the same disk to work in.

    :param rate: bytes a second for each connection to `slow_url`, as nginx writes it.
    """
    need("nginx")
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        files = folder / "files"
        files.mkdir()
        sha256 = write_noise(files / "big.bin", size)
        port = _free_port()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;\n"
            "events { worker_connections 256; }\n"
            f"http {{ access_log off; sendfile on; {paths}\n"
            f"  server {{ listen 127.0.0.1:{port}; root {files};\n"
            f"    location /slow/ {{ alias {files}/; limit_rate {rate}; }} }} }}\n"
        )
        command = ["nginx", "-e", f"{folder}/errors", "-c", str(configuration)]
        with subprocess.Popen(command) as server:
            try:
                _wait_for(port)
                url = f"http://127.0.0.1:{port}"
                yield (
                    Served(f"{url}/big.bin", f"{url}/slow/big.bin", files / "big.bin", sha256),
                    folder,
                )
            finally:
                server.terminate()
