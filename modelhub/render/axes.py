"""What is varied in a comparison: ``dtype``, ``lora-weight=0,0.5,1``, ``steps=10..30..10``."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePath

from modelhub.convert.options import Precision
from modelhub.errors import UsageError

MOST_CELLS = 400
"""Of one comparison; and so of one axis."""
MOST_STEPS = 1_000
_LONGEST = 100_000
_DIGITS = r"\d{1,20}(?:\.\d{1,9})?"
_RANGE = re.compile(rf"(-?{_DIGITS})\.\.(-?{_DIGITS})(?:\.\.({_DIGITS}))?\Z", re.ASCII)

Value = Precision | str | float | int | bool | None


class AxisKind(StrEnum):
    """What can be varied. The values are the words of ``--compare``."""

    DTYPE = "dtype"
    """The precision of the weights; ``stored`` is as the file has them."""
    FILE = "file"
    """The model."""
    LORA = "lora"
    """One LoRA after the other, each alone; ``none`` is without."""
    LORA_WEIGHT = "lora-weight"
    """Of all LoRAs, or of one: ``lora-weight:NAME``."""
    VAE = "vae"
    """``baked`` is the model's own."""
    EMA = "ema"
    STEPS = "steps"
    CFG = "cfg"
    SAMPLER = "sampler"
    CLIP_SKIP = "clip-skip"
    SEED = "seed"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Axis:
    """What is varied, and through which values.

    :param lora: of ``lora-weight``: the name of the one LoRA that is meant; empty: all of them.
    """

    kind: AxisKind
    values: tuple[Value, ...]
    lora: str = ""

    @property
    def name(self) -> str:
        """As on the command line: ``lora-weight:detail``."""
        return f"{self.kind.value}:{self.lora}" if self.lora else self.kind.value

    def labels(self) -> tuple[str, ...]:
        """What a grid writes beside each value; no two the same."""
        labels = tuple(_label(self, value) for value in self.values)
        if len(set(labels)) == len(labels):
            return labels
        # Files of one name in several folders.
        return tuple(
            str(value) if labels.count(label) > 1 else label
            for label, value in zip(labels, self.values, strict=True)
        )


def parse_axis(text: str, *, files: Sequence[str] = (), vae: str | None = None) -> Axis:
    """The axis that ``--compare TEXT`` asks for.

    Values are separated by commas; one that holds a comma stands in double quotes. Numbers may be
    a range: ``4..10..2`` is 4, 6, 8, 10. Without values, an axis has its usual ones: all files that
    were given, fp16 | fp32 | bf16, the VAE that was given against the baked one.

    :param files: absolute paths of what was given to be rendered, for ``file``.
    :param vae: the VAE that was asked for besides, for ``vae``.
    :raises UsageError: an unknown axis, a value that it cannot have, or too many.
    """
    word, separator, listed = text.partition("=")
    name, _, lora = word.strip().partition(":")
    try:
        kind = AxisKind(name.lower())
    except ValueError:
        raise UsageError(
            f"--compare {name[:80]!r}: there is no such axis",
            hint=f"one of {', '.join(AxisKind)}",
        ) from None
    if lora and kind is not AxisKind.LORA_WEIGHT:
        raise UsageError(f"--compare {kind}:{lora[:80]}: only lora-weight has a name after it")
    given = tuple(dict.fromkeys(_values(kind, listed))) if separator else None
    values = _usual(kind, files, vae) if given is None else given
    if not values:
        raise UsageError(
            f"--compare {kind}: no values", hint=f"such as --compare {shlex.quote(_EXAMPLES[kind])}"
        )
    if len(values) > MOST_CELLS:
        raise UsageError(f"--compare {kind}: {len(values)} values, more than {MOST_CELLS}")
    return Axis(kind, values, lora)


def named(path: str) -> str:
    """What a file is called in a label: its name without folder and ending."""
    return PurePath(path).stem or path


def _usual(kind: AxisKind, files: Sequence[str], vae: str | None) -> tuple[Value, ...]:
    usual: dict[AxisKind, tuple[Value, ...]] = {
        AxisKind.DTYPE: (Precision.FP16, Precision.FP32, Precision.BF16),
        AxisKind.FILE: tuple(dict.fromkeys(files)),
        AxisKind.LORA_WEIGHT: (0.0, 0.25, 0.5, 0.75, 1.0),
        AxisKind.VAE: (None, vae) if vae else (),
        AxisKind.EMA: (False, True),
        AxisKind.STEPS: (10, 20, 30),
        AxisKind.CFG: (4.0, 7.0, 10.0),
        AxisKind.CLIP_SKIP: (1, 2),
        AxisKind.SEED: (0, 1, 2, 3),
    }
    return usual.get(kind, ())


def _values(kind: AxisKind, listed: str) -> Iterator[Value]:
    if len(listed) > _LONGEST:
        raise UsageError(f"--compare {kind}: {len(listed):,} characters are too many")
    read = _READERS[kind]
    for word in _words(kind, listed):
        for one in _spread(kind, word) if kind in _NUMBERS else (word,):
            try:
                yield read(one)
            except (ValueError, OverflowError):
                raise UsageError(
                    f"--compare {kind}: {one[:80]!r} is not {_EXPECTED[kind]}",
                    hint=f"such as --compare {shlex.quote(_EXAMPLES[kind])}",
                ) from None


def _words(kind: AxisKind, listed: str) -> list[str]:
    try:
        rows = list(csv.reader([listed.strip()], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise UsageError(
            f"--compare {kind}: the quotes do not pair up ({error})",
            hint=f"such as --compare {shlex.quote(_EXAMPLES[AxisKind.PROMPT])}",
        ) from error
    words = [word.strip() for row in rows for word in row]
    # An empty prompt is one.
    return words if kind is AxisKind.PROMPT else [word for word in words if word]


def _spread(kind: AxisKind, word: str) -> Iterator[str]:
    """The numbers of a range, both ends included; a single number as it is."""
    found = _RANGE.match(word)
    if found is None:
        yield word
        return
    start, end, step = Decimal(found[1]), Decimal(found[2]), Decimal(found[3] or 1)
    if step <= 0 or end < start:
        raise UsageError(
            f"--compare {kind}: {word[:80]!r} leads nowhere",
            hint=f"a range goes up, by a step that comes last: --compare {kind}=10..30..10",
        )
    count = int((end - start) / step) + 1
    if count > MOST_CELLS:
        raise UsageError(f"--compare {kind}: {word[:80]!r} is more than {MOST_CELLS} values")
    for number in range(count):
        yield f"{start + number * step:f}"


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(word: str) -> int:
        number = int(word) if len(word) <= 20 else high + 1
        if not low <= number <= high:
            raise ValueError(word)
        return number

    return read


def _real(low: float, high: float) -> Callable[[str], float]:
    def read(word: str) -> float:
        number = float(word)
        if not low <= number <= high:
            raise ValueError(word)
        return number

    return read


def _precision(word: str) -> Precision | None:
    return None if word.lower() == "stored" else Precision(word.lower())


def _unless(nothing: str) -> Callable[[str], str | None]:
    return lambda word: None if word.lower() == nothing else word


def _yes_or_no(word: str) -> bool:
    return {"no": False, "yes": True, "off": False, "on": True}[_known(word.lower())]


def _known(word: str) -> str:
    if word not in ("no", "yes", "off", "on"):
        raise ValueError(word)
    return word


_NUMBERS = frozenset(
    {AxisKind.LORA_WEIGHT, AxisKind.STEPS, AxisKind.CFG, AxisKind.CLIP_SKIP, AxisKind.SEED}
)
_READERS: dict[AxisKind, Callable[[str], Value]] = {
    AxisKind.DTYPE: _precision,
    AxisKind.FILE: str,
    AxisKind.LORA: _unless("none"),
    AxisKind.LORA_WEIGHT: _real(-10, 10),
    AxisKind.VAE: _unless("baked"),
    AxisKind.EMA: _yes_or_no,
    AxisKind.STEPS: _whole(1, MOST_STEPS),
    AxisKind.CFG: _real(0, 100),
    AxisKind.SAMPLER: str,
    AxisKind.CLIP_SKIP: _whole(1, 12),
    AxisKind.SEED: _whole(0, 2**64 - 1),
    AxisKind.PROMPT: str,
}
_EXPECTED = {
    AxisKind.DTYPE: "fp16, fp32, bf16 or stored",
    AxisKind.LORA_WEIGHT: "a weight from -10 to 10",
    AxisKind.EMA: "yes or no",
    AxisKind.STEPS: f"a number of steps from 1 to {MOST_STEPS}",
    AxisKind.CFG: "a CFG scale from 0 to 100",
    AxisKind.CLIP_SKIP: "a clip skip from 1 to 12",
    AxisKind.SEED: "a seed from 0 to 2^64 - 1",
}
_EXAMPLES = {
    AxisKind.DTYPE: "dtype=fp16,fp32",
    AxisKind.FILE: "file=one.safetensors,other.safetensors",
    AxisKind.LORA: "lora=none,one.safetensors",
    AxisKind.LORA_WEIGHT: "lora-weight=0,0.5,1",
    AxisKind.VAE: "vae=baked,other.safetensors",
    AxisKind.EMA: "ema=no,yes",
    AxisKind.STEPS: "steps=10,20,30",
    AxisKind.CFG: "cfg=4..10..2",
    AxisKind.SAMPLER: "sampler=Euler a,DPM++ 2M",
    AxisKind.CLIP_SKIP: "clip-skip=1,2",
    AxisKind.SEED: "seed=1..4",
    AxisKind.PROMPT: 'prompt="a cat","a dog, sitting"',
}


def _label(axis: Axis, value: Value) -> str:
    match axis.kind:
        case AxisKind.DTYPE:
            return str(value) if value else "as stored"
        case AxisKind.FILE:
            return named(str(value))
        case AxisKind.LORA:
            return named(value) if isinstance(value, str) else "no LoRA"
        case AxisKind.VAE:
            return named(value) if isinstance(value, str) else "baked VAE"
        case AxisKind.EMA:
            return "EMA" if value else "not EMA"
        case AxisKind.LORA_WEIGHT:
            return f"{axis.lora or 'LoRA'} {value:g}"
        case AxisKind.CFG:
            return f"CFG {value:g}"
        case AxisKind.SAMPLER | AxisKind.PROMPT:
            return str(value)
        case _:
            return f"{axis.kind.value.replace('-', ' ')} {value}"
