"""What the fuzzers share: inputs bred from good files, a bound on time and memory for each.

With atheris installed it breeds by coverage; without, a plain mutation loop does, reproducible by
its seed. Either ends at the first input that is neither answered nor refused as it should be, and
writes it to a file.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS_AN_INPUT = 10
MEMORY = 2 << 30
_WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, 1 << 62, 1 << 63)


def mutate(
    data: bytes, good: Sequence[bytes], pieces: Sequence[bytes], chance: random.Random
) -> bytes:
    """One to five random changes of `data`."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        at = chance.randint(0, len(found))
        match chance.randrange(8):
            case 0:
                found[at : at + chance.randint(1, 16)] = b""
            case 1:
                found[at:at] = chance.randbytes(chance.randint(1, 16))
            case 2 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 3:
                word = chance.choice(_WORDS) - chance.choice((0, 0, 1))
                width = chance.choice((1, 2, 4, 8))
                found[at : at + width] = (word % (1 << 8 * width)).to_bytes(width, "little")
            case 4:
                found[at : at + chance.choice((0, 4))] = chance.choice(pieces)
            case 5:
                other = chance.choice(good)
                start = chance.randint(0, len(other))
                found[at:at] = other[start : start + chance.randint(1, 64)]
            case 6:
                start = chance.randint(0, len(found))
                found[at:at] = found[start : start + chance.randint(1, 64)] * chance.randint(1, 20)
            case _ if chance.random() < 0.2:
                del found[at:]
            case _:
                continue
    return bytes(found[: 1 << 20])


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS_AN_INPUT} s for one input")


def fuzz(
    title: str,
    good: Sequence[bytes],
    pieces: Sequence[bytes],
    check: Callable[[bytes], bool],
) -> int:
    """Feed `check` until the time is up; the exit code.

    :param good: whole files to begin with.
    :param pieces: what such files are made of.
    :param check: reads one input; whether it was accepted. Raises whatever is a fault.
    """
    parser = argparse.ArgumentParser(description=f"fuzz {title}")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("again", nargs="?", type=Path, help="an input to read once more")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if options.again is not None:
        print("accepted" if check(options.again.read_bytes()) else "refused")
        return 0
    if importlib.util.find_spec("atheris") is not None:
        return _with_atheris(check, good, options.seconds)
    return _by_chance(title, good, pieces, check, options)


def _with_atheris(check: Callable[[bytes], bool], good: Sequence[bytes], seconds: float) -> int:
    atheris: Any = importlib.import_module("atheris")
    atheris.instrument_all()
    with tempfile.TemporaryDirectory(prefix="modelhub-fuzz-") as corpus:
        for number, data in enumerate(good):
            (Path(corpus) / str(number)).write_bytes(data)
        limits = [f"-max_total_time={seconds:.0f}", f"-timeout={SECONDS_AN_INPUT}"]
        limits += [f"-artifact_prefix={tempfile.gettempdir()}/modelhub-fuzz-", corpus]

        def once(data: bytes) -> None:
            check(data)

        atheris.Setup([sys.argv[0], *limits], once)
        atheris.Fuzz()
    return 0


def _by_chance(
    title: str,
    good: Sequence[bytes],
    pieces: Sequence[bytes],
    check: Callable[[bytes], bool],
    options: argparse.Namespace,
) -> int:
    # Not with atheris, whose own clock is this signal.
    signal.signal(signal.SIGALRM, _too_slow)
    chance = random.Random(options.seed)
    pool = list(good)
    tried = accepted = 0
    slowest = 0.0
    ends = time.monotonic() + options.seconds
    while time.monotonic() < ends:
        data = mutate(chance.choice(pool), good, pieces, chance)
        tried += 1
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, SECONDS_AN_INPUT)
        try:
            was_accepted = check(data)
        except BaseException:
            signal.setitimer(signal.ITIMER_REAL, 0)
            kept = Path(tempfile.gettempdir()) / f"{title}-{options.seed}-{tried}.bin"
            kept.write_bytes(data)
            print(f"FAILS: after {tried:,} inputs, at {kept}", file=sys.stderr)
            raise
        signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, time.perf_counter() - began)
        if was_accepted:
            accepted += 1
            # What is still good after a change is bred on; the pool stays small.
            if len(pool) < 500:
                pool.append(data)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{title}: {tried:,} inputs, {accepted:,} accepted, none without an answer; "
        f"slowest {slowest * 1000:.1f} ms, peak {memory:.0f} MiB"
    )
    return 0
