from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelhub.convert.computed import Computed
from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned, Values
from modelhub.convert.writers import Phase, Written, write_ckpt, write_safetensors
from modelhub.convert.writers.safetensors import SafetensorsLayout
from modelhub.errors import SourceChanged, WrittenWrong

from .planned import Given, drawn, names, plan_of, source_of

if TYPE_CHECKING:
    from modelhub.convert.computed import Numbers

Write = Callable[..., Written]


def flipped(monkeypatch: pytest.MonkeyPatch, position: int) -> None:
    """From now on, the disk flips one bit of each file that it is told to keep."""
    sync = os.fsync

    def sync_and_flip(descriptor: int) -> None:
        sync(descriptor)
        if os.fstat(descriptor).st_size > 100_000:
            at = position % os.fstat(descriptor).st_size
            byte = os.pread(descriptor, 1, at)[0]
            os.pwrite(descriptor, bytes([byte ^ 16]), at)

    monkeypatch.setattr(os, "fsync", sync_and_flip)


@pytest.mark.parametrize("position", [3, 12, 100, 1_000_000, -300_000, -1])
@pytest.mark.parametrize("write", [write_safetensors, write_ckpt])
@pytest.mark.parametrize("made", ["", "made", "computed"])
def test_one_flipped_bit_anywhere_is_found_and_the_file_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write, made: str, position: int
) -> None:
    numbers = drawn(700_000)
    with source_of(tmp_path / "in.safetensors", {"a": numbers, "b": drawn(900_000)}) as source:
        plan = plan_of(source, "F16", modelspec="x" * 90)
        if made:
            values: Values = Given("F32", numbers.shape, numbers.tobytes())
            if made == "computed":
                values = Computed(numbers.shape, numbers.copy)
            plan = Plan(tensors=(Planned("a", values, "F16"),))
        flipped(monkeypatch, position)
        with pytest.raises(WrittenWrong, match="read back, is not what was to be written"):
            write(plan, tmp_path / "out")
    assert names(tmp_path) == {"in.safetensors"}


@pytest.mark.parametrize("write", [write_safetensors, write_ckpt])
def test_what_is_computed_is_not_computed_again_to_be_verified(
    tmp_path: Path, write: Write
) -> None:
    numbers = drawn(3, 700_000)
    calls: list[int] = []

    def compute() -> Numbers:
        calls.append(len(calls))
        return numbers.copy()

    empty = Computed((0, 4), lambda: numbers[:0])
    tensors = (Planned("a", Computed(numbers.shape, compute), "F16"), Planned("b", empty, "F32"))
    write(Plan(tensors=tensors), tmp_path / "out")
    assert calls == [0]


def test_a_writer_that_mixes_up_two_tensors_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SafetensorsLayout.__init__

    def mixed_up(self: SafetensorsLayout, *arguments: object) -> None:
        honest(self, *arguments)  # type: ignore[arg-type]
        one, other = self.regions
        self.regions = (
            type(one)(one.tensor, other.position),
            type(one)(other.tensor, one.position),
        )

    monkeypatch.setattr(SafetensorsLayout, "__init__", mixed_up)
    arrays = {"a": drawn(50, seed=1), "b": drawn(50, seed=2)}
    with (
        source_of(tmp_path / "in.safetensors", arrays) as source,
        pytest.raises(WrittenWrong, match="has other values"),
    ):
        write_safetensors(plan_of(source), tmp_path / "out.safetensors")
    assert names(tmp_path) == {"in.safetensors"}


def test_a_source_that_changes_before_it_is_compared_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "in.safetensors"

    def change(phase: Phase, done: int, total: int) -> None:
        if phase is Phase.VERIFY and not done:
            content = bytearray(path.read_bytes())
            content[-5] ^= 64
            path.write_bytes(content)

    with (
        source_of(path, {"a": drawn(50_000)}) as source,
        pytest.raises(SourceChanged),
    ):
        write_safetensors(
            plan_of(source, "F16"),
            tmp_path / "out.safetensors",
            progress=change,
            unchanged=source.check_unchanged,
        )
    assert names(tmp_path) == {"in.safetensors"}


def test_a_source_that_is_cut_off_meanwhile_ends_the_conversion(tmp_path: Path) -> None:
    path = tmp_path / "in.safetensors"
    with source_of(path, {"a": drawn(50_000), "b": drawn(50_000)}) as source:
        plan = plan_of(source, "F16")
        os.truncate(path, 120_000)
        with pytest.raises(SourceChanged, match=r"in\.safetensors became shorter"):
            write_safetensors(plan, tmp_path / "out.safetensors")
    assert names(tmp_path) == {"in.safetensors"}


class Drifting(Values):
    """Values that overflow the first and the third time they are read."""

    dtype = "F32"
    shape = (2,)

    def __init__(self) -> None:
        self._times = 0

    def pieces(self) -> Iterator[bytes | memoryview]:
        self._times += 1
        yield np.array([1, 1e6 if self._times % 2 else 2], "<f4").tobytes()


def test_values_that_are_others_each_time_are_no_reason_to_fail_obscurely(tmp_path: Path) -> None:
    from modelhub.errors import FileUnreadable

    with pytest.raises(FileUnreadable, match="other values each time"):
        write_safetensors(
            Plan(tensors=(Planned("a", Drifting(), "F16"),)), tmp_path / "out.safetensors"
        )
    assert names(tmp_path) == set()
