"""Digests of the values of tensors: by these two files have the same weights, or not.

Files are rewritten all the time: converted to half precision, from a pickle to safetensors, with
other metadata, with or without the EMA copy. Their bytes are others, their weights the same. So
each tensor is digested at up to three levels: its values as they are, rounded to fp16, and rounded
to bf16 (to nearest, ties to even, as torch and IEEE 754 do). A file has a key for each level that
all its numbers can be brought down to; two files have the same weights when their keys agree at
the level of the lower of them.

A key is the digest of all tensors' names, shapes and digests, sorted: it knows no container and no
order. Names are those of the state dict, without the prefix that all of them share and without
``module.``; shapes are without trailing ones, since a 1x1 convolution and a linear layer are the
same numbers. Left out is what tools add and drop at will: EMA copies, the noise schedule, the
position ids of CLIP, the loss of a VAE's training.

Weights under other names (diffusers' against the original ones) and quantised ones are not
compared: these files have other keys, or none.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from math import prod
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from modelhub.errors import Cancelled, FileUnreadable, FormatError
from modelhub.formats.identify.parts import Role, parts_of
from modelhub.formats.tensor_data import (
    ITEM_SIZES,
    Progress,
    StoredTensor,
    open_to_read,
    read_values,
    stored_tensors,
)

if TYPE_CHECKING:
    import numpy as np
    from blake3 import blake3
    from numpy.typing import NDArray

    from modelhub.formats.tensors import Header

_DIGEST = 16
_SAMPLED_TENSORS = 4
_SAMPLED_ELEMENTS = 16 << 10
_WORTH_A_THREAD = 256 << 10
"""Bytes: less is digested sooner than it is handed over."""
_WORTH_SAMPLING = 256
"""Elements: smaller tensors (alphas, norms) are the same in many files."""
_LEFT_OUT = ("loss.", "model_ema.")
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


class Level(StrEnum):
    """What the values are rounded to before they are compared."""

    EXACT = "exact"
    FP16 = "fp16"
    BF16 = "bf16"


_LEVELS: dict[str, tuple[Level, ...]] = {
    "F64": (Level.EXACT, Level.FP16, Level.BF16),
    "F32": (Level.EXACT, Level.FP16, Level.BF16),
    "F16": (Level.FP16, Level.BF16),
    "BF16": (Level.BF16,),
}
"""To which levels numbers of a type are brought, their own first: fp16 lacks exponents of bf16."""
_BESIDE = frozenset({Role.EMA, Role.SCHEDULE})


@dataclass(frozen=True, slots=True)
class TensorDigest:
    """One tensor, by its values: digests by level, of those that its type can be brought to.

    Those of integers, and of other types that are only ever copied, are the same at every level.
    """

    dtype: str
    shape: tuple[int, ...]
    by_level: Mapping[Level, bytes]

    def at(self, level: Level) -> bytes:
        """The digest at a level; of its own values where they are not rounded there."""
        return self.by_level.get(level) or next(iter(self.by_level.values()))


@dataclass(frozen=True, slots=True)
class WeightKeys:
    """The keys of a set of weights, in hex, by level.

    :param own: the level below which nothing is lost: that of the least precise numbers.
    """

    own: Level
    keys: Mapping[Level, str]

    def same_at(self, other: WeightKeys) -> Level | None:
        """The level at which the weights are the same; None if they are not."""
        if self.keys[Level.EXACT] == other.keys[Level.EXACT]:
            return Level.EXACT
        for level in (Level.FP16, Level.BF16):
            key = self.keys.get(level) if level in (self.own, other.own) else None
            if key is not None and key == other.keys.get(level):
                return level
        return None


def read_digests(
    path: Path,
    header: Header,
    *,
    only: Role | None = None,
    sampled: bool = False,
    progress: Progress | None = None,
    cancel: Event | None = None,
) -> dict[str, TensorDigest]:
    """The digests of a file's weights, by canonical name. Reads them once, in order.

    :param only: the weights of one part alone, under the names that they have without it.
    :param sampled: the start of a few tensors alone: enough to tell that two files differ, at a
        thousandth of the cost, never that they are the same.
    :raises FormatError: its values cannot be compared, or the file is damaged.
    :raises FileUnreadable: it cannot be read, or changed meanwhile.
    :raises Cancelled: `cancel` was set.
    """
    names = canonical_names(header, only)
    chosen = [one for one in stored_tensors(path, header) if one.name in names]
    if sampled:
        chosen = _sample(chosen, names)
    descriptor = open_to_read(path)
    try:
        before = os.fstat(descriptor)
        found = {}
        done = 0
        with ThreadPoolExecutor(len(Level), thread_name_prefix="digest") as pool:
            for one in chosen:
                if cancel is not None and cancel.is_set():
                    raise Cancelled(f"stopped while comparing {path}")
                found[names[one.name]] = _digested(descriptor, one, pool, sampled=sampled)
                done += one.nbytes
                if progress is not None:
                    progress(done)
        after = os.fstat(descriptor)
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error
    except FormatError as error:
        raise error.of(path) from error
    finally:
        os.close(descriptor)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise FileUnreadable(f"{path} changed while it was read", hint="try again when it rests")
    return found


def canonical_names(header: Header, only: Role | None = None) -> dict[str, str]:
    """The names of the weights, each with the name by which it is compared.

    :param only: of one part alone; a file without parts is taken to be all of it.
    """
    places = {
        name: parts_of({name.removeprefix("module."): one})[0]
        for name, one in header.tensors.items()
    }
    bare = all(part.role is Role.BARE for part in places.values())
    prefixes = {
        name: part.prefix
        for name, part in places.items()
        if part.role not in _BESIDE and (only is None or bare or part.role is only)
    }
    shared = set(prefixes.values())
    prefix = shared.pop() if len(shared) == 1 else ""
    found = {}
    for name in prefixes:
        canonical = name.removeprefix("module.").removeprefix(prefix)
        if not canonical.startswith(_LEFT_OUT) and not canonical.endswith("position_ids"):
            found[name] = canonical
    return found


def weight_keys(digests: Mapping[str, TensorDigest]) -> WeightKeys | None:
    """The keys of these weights together; None of none."""
    if not digests:
        return None
    levels = [Level.EXACT]
    types = {one.dtype for one in digests.values()}
    if "BF16" not in types:
        levels.append(Level.FP16)
    levels.append(Level.BF16)
    own = Level.BF16 if "BF16" in types else Level.FP16 if "F16" in types else Level.EXACT
    return WeightKeys(own, {level: _key(digests, level) for level in levels})


def _key(digests: Mapping[str, TensorDigest], level: Level) -> str:
    from blake3 import blake3

    total = blake3()
    for name, one in sorted(digests.items()):
        exact = level is Level.EXACT or one.dtype not in _LEVELS
        shape = list(one.shape)
        while shape and shape[-1] == 1:
            shape.pop()
        line = (name, shape, one.dtype if exact else "", one.at(level).hex())
        total.update(repr(line).encode("utf-8", "surrogatepass"))
    return total.hexdigest(_DIGEST).upper()


def _sample(tensors: list[StoredTensor], names: Mapping[str, str]) -> list[StoredTensor]:
    """A few tensors, the same ones of every file with the same names."""
    ordered = sorted(tensors, key=lambda one: names[one.name])
    telling = [one for one in ordered if prod(one.shape) >= _WORTH_SAMPLING] or ordered
    last = len(telling) - 1
    places = sorted({last * number // (_SAMPLED_TENSORS - 1) for number in range(_SAMPLED_TENSORS)})
    return [telling[place] for place in places] if telling else []


def _digested(
    descriptor: int, tensor: StoredTensor, pool: ThreadPoolExecutor, *, sampled: bool
) -> TensorDigest:
    from blake3 import blake3

    levels = _LEVELS.get(tensor.dtype, (Level.EXACT,))
    sums: dict[Level, blake3] = {level: blake3() for level in levels}

    def take(level: Level, piece: memoryview) -> None:
        sums[level].update(piece if level is levels[0] else rounded(piece, tensor.dtype, level))

    most = _SAMPLED_ELEMENTS * ITEM_SIZES[tensor.dtype] if sampled else None
    for piece in read_values(descriptor, tensor, most):
        if len(piece) < _WORTH_A_THREAD:
            for level in levels:
                take(level, piece)
        else:
            # Rounding and hashing let other threads run meanwhile.
            deque(pool.map(take, levels, repeat(piece)), maxlen=0)
    digests = {level: one.digest(_DIGEST) for level, one in sums.items()}
    return TensorDigest(tensor.dtype, tensor.shape, digests)


def rounded(data: bytes | memoryview, dtype: str, level: Level) -> bytes:
    """Little-endian numbers of a type, brought down to fp16 or bf16 as torch does it.

    :param dtype: ``F64``, ``F32`` or, for bf16 only, ``F16``.
    """
    import numpy as np

    numbers = np.frombuffer(data, dtype=_NUMPY[dtype])
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if level is Level.FP16:
            return numbers.astype("<f2").tobytes()
        wide = numbers.astype("<f4", copy=False)
        bits = wide.view("<u4")
        # To nearest, ties to even: half of the last place that stays, or a bit less if that is 0.
        halves: NDArray[np.uint16]
        halves = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
        is_nan = np.isnan(wide)
    if is_nan.any():
        halves[is_nan] = 0x7FC0
    return halves.tobytes()
