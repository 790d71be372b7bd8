"""What starting costs: `modelhub --version` over `python -c pass`, and what light commands import.

    python benchmarks/startup.py [RUNS]

The bound: `--version` takes at most 80 ms more than a bare interpreter. Times are medians of
alternating runs, so that a busy machine hits both alike.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

import _common  # noqa: F401 (compiled modules, as a user has them)

BOUND_MS = 80.0
FORBIDDEN = ("httpx", "rich.progress", "alembic", "torch", "textual", "numpy", "sqlalchemy")
LIGHT = (["--version"], ["--help"], ["config", "show"])
IMPORTED = (
    "import sys\n"
    "from modelhub.__main__ import main\n"
    "code = main()\n"
    "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    "sys.exit(code)\n"
)


def milliseconds(command: list[str], environ: dict[str, str]) -> float:
    """How long one run of `command` takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return (time.perf_counter() - began) * 1000


def heavy_imports(arguments: list[str], environ: dict[str, str]) -> list[str]:
    """The forbidden modules that `modelhub ARGUMENTS` imports."""
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environ,
    )
    modules = set(ended.stderr.split())
    return [name for name in FORBIDDEN if name in modules]


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "modelhub --version": [sys.executable, "-m", "modelhub", "--version"],
        "modelhub --help": [sys.executable, "-m", "modelhub", "--help"],
        "modelhub config show": [sys.executable, "-m", "modelhub", "config", "show"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    heavy: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "MODELHUB_HOME": home}
        for _ in range(runs):
            for name, command in commands.items():
                times[name].append(milliseconds(command, environ))
        for arguments in LIGHT:
            heavy[" ".join(arguments)] = heavy_imports(arguments, environ)
    bare = statistics.median(times["python -c pass"])
    print(f"medians of {runs} runs")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"  {name:<22} {median:7.1f} ms   {median - bare:+7.1f} ms   x{median / bare:.2f}")
    for name, modules in heavy.items():
        print(f"  modelhub {name}: heavy imports: {', '.join(modules) or 'none'}")
    over = statistics.median(times["modelhub --version"]) - bare
    passed = over <= BOUND_MS and not any(heavy.values())
    verdict = "within" if passed else "OVER"
    print(f"--version: {over:.1f} ms over python -c pass; bound {BOUND_MS:.0f} ms: {verdict}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
