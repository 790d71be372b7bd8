from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned
from modelhub.convert.writers import Phase, write_safetensors
from modelhub.errors import FormatError, NameTaken, UsageError
from modelhub.formats.hashes import hash_file
from modelhub.formats.safetensors import DTYPE_BITS
from modelhub.formats.tensor_data import ITEM_SIZES

from .planned import MIB, Given, drawn, names, plan_of, source_of


def test_a_cast_file_is_byte_for_byte_what_the_reference_writes(tmp_path: Path) -> None:
    arrays = {"b.weight": drawn(70, 33), "a": drawn(5), "z.ids": np.arange(77)[None], "e": drawn(0)}
    with source_of(tmp_path / "in.safetensors", arrays) as source:
        write_safetensors(plan_of(source, "F16", format="pt"), tmp_path / "out.safetensors")
    cast = {name: one.astype("<f2") if one.dtype == "f4" else one for name, one in arrays.items()}
    save_file(cast, tmp_path / "reference.safetensors", {"format": "pt"})
    written = (tmp_path / "out.safetensors").read_bytes()
    assert written == (tmp_path / "reference.safetensors").read_bytes()


def test_all_types_and_odd_names_are_arranged_as_the_reference_does_it(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_torch

    types = {
        "BOOL": "bool", "U8": "uint8", "I8": "int8", "F8_E5M2": "float8_e5m2",
        "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu", "I16": "int16", "U16": "uint16",
        "F16": "float16", "BF16": "bfloat16", "I32": "int32", "U32": "uint32", "F32": "float32",
        "C64": "complex64", "F64": "float64", "I64": "int64", "U64": "uint64",
    }  # fmt: skip
    tensors, reference = [], {}
    for index, (dtype, name) in enumerate(types.items()):
        for label in (f'{index}"\\\n\x01\x7f', f"{20 - index} 麦"):
            data = bytes([index % 2, 1]) * ITEM_SIZES[dtype]
            tensors.append(Planned(label, Given(dtype, (2, 1), data), dtype))
            bits = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            reference[label] = bits.view(getattr(torch, name)).reshape(2, 1)
    write_safetensors(Plan(tensors=tuple(tensors)), tmp_path / "out.safetensors")
    save_torch(reference, tmp_path / "reference.safetensors")
    written = (tmp_path / "out.safetensors").read_bytes()
    assert written == (tmp_path / "reference.safetensors").read_bytes()
    assert set(types) < set(DTYPE_BITS)


def test_metadata_are_sorted_and_the_same_plan_gives_the_same_file(tmp_path: Path) -> None:
    arrays = {"a": drawn(3)}
    with source_of(tmp_path / "in.safetensors", arrays) as source:
        one = write_safetensors(plan_of(source, b="2", a="ü\ud800"), tmp_path / "one")
        two = write_safetensors(plan_of(source, a="ü\ud800", b="2"), tmp_path / "two")
    assert one.sha256 == two.sha256
    content = one.path.read_bytes()
    assert content[8:].startswith('{"__metadata__":{"a":"ü\\\\ud800","b":"2"},'.encode())
    assert struct.unpack("<Q", content[:8])[0] % 8 == 0


def test_all_hashes_are_those_of_the_file(tmp_path: Path) -> None:
    with source_of(tmp_path / "in.safetensors", {"a": drawn(900, 1000)}) as source:
        written = write_safetensors(plan_of(source, "F16"), tmp_path / "out.safetensors")
    assert written.hashes == hash_file(written.path)
    assert written.sha256 == hashlib.sha256(written.path.read_bytes()).hexdigest().upper()
    assert written.nbytes == written.path.stat().st_size


def test_only_the_hashes_that_are_wanted_are_computed(tmp_path: Path) -> None:
    with source_of(tmp_path / "in.safetensors", {"a": drawn(900, 1000)}) as source:
        plan, target = plan_of(source, "F16"), tmp_path / "out.safetensors"
        written = write_safetensors(plan, target, hashes=())
    assert written.hashes == hash_file(written.path, ())
    assert written.seconds_writing > written.seconds_syncing > 0
    assert written.seconds_verifying > 0


def test_values_that_are_made_in_any_pieces_are_written_among_those_of_files(
    tmp_path: Path,
) -> None:
    numbers = drawn(3 * MIB // 4)
    data = numbers.tobytes()
    views = memoryview(data).cast("f")
    cuts = (bytes(data[:4]), b"", data[4:MIB], views[MIB // 4 :].tobytes())
    with source_of(tmp_path / "in.safetensors", {"b": drawn(500, 1000), "d": drawn(9)}) as source:
        made = [Planned(name, Given("F32", numbers.shape, *cuts), "BF16") for name in ("a", "c")]
        plan = Plan(tensors=(*made, *plan_of(source, "F16").tensors))
        written = write_safetensors(plan, tmp_path / "out.safetensors")
    at = written.nbytes - numbers.size * 4 - 500_009 * 2
    halves = np.frombuffer(written.path.read_bytes()[at:], "<u2")
    wide = (halves[: numbers.size].astype("<u4") << 16).view("<f4")
    assert np.abs(wide - numbers).max() < 0.02


@pytest.mark.parametrize("pieces", [(bytes(8),), (bytes(8), bytes(8))])
def test_values_of_another_number_than_the_shape_says_are_refused(
    tmp_path: Path, pieces: tuple[bytes, ...]
) -> None:
    plan = Plan(tensors=(Planned("a", Given("F32", (3,), *pieces), "F32"),))
    with pytest.raises(FormatError, match="not as many"):
        write_safetensors(plan, tmp_path / "out.safetensors")
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    "tensors",
    [
        [("a", "C128")],
        [("a", "F32"), ("a", "F32")],
        [("__metadata__", "F32")],
        [("\udc80", "F32")],
    ],
)
def test_what_the_format_cannot_hold_is_refused_before_a_byte_is_written(
    tmp_path: Path, tensors: list[tuple[str, str]]
) -> None:
    planned = tuple(Planned(name, Given(dtype, (0,)), dtype) for name, dtype in tensors)
    with pytest.raises(UsageError):
        write_safetensors(Plan(tensors=planned), tmp_path / "out.safetensors")
    assert names(tmp_path) == set()


def test_the_same_output_asked_twice_leaves_the_first_as_it_is(tmp_path: Path) -> None:
    with source_of(tmp_path / "in.safetensors", {"a": drawn(4)}) as source:
        first = write_safetensors(plan_of(source), tmp_path / "out.safetensors")
        inode = first.path.stat().st_ino
        with pytest.raises(NameTaken, match=r"out\.safetensors is there already"):
            write_safetensors(plan_of(source, "F16"), first.path)
    assert first.path.stat().st_ino == inode
    assert names(tmp_path) == {"in.safetensors", "out.safetensors"}


def test_a_name_that_is_taken_while_the_file_is_written_stays_whose_it_is(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"

    def take(phase: Phase, done: int, total: int) -> None:
        if phase is Phase.VERIFY:
            target.write_text("mine")

    with (
        source_of(tmp_path / "in.safetensors", {"a": drawn(4)}) as source,
        pytest.raises(NameTaken),
    ):
        write_safetensors(plan_of(source), target, progress=take)
    assert target.read_text() == "mine"
    assert names(tmp_path) == {"in.safetensors", "out.safetensors"}


def test_progress_goes_up_to_all_bytes_of_each_phase(tmp_path: Path) -> None:
    told: list[tuple[Phase, int, int]] = []
    with source_of(tmp_path / "in.safetensors", {"a": drawn(MIB), "b": drawn(MIB)}) as source:
        written = write_safetensors(
            plan_of(source, "F16"),
            tmp_path / "out.safetensors",
            progress=lambda *event: told.append(event),
            cancel=Event(),
        )
    for phase, total in {Phase.WRITE: 4 * MIB, Phase.VERIFY: written.nbytes}.items():
        done = [event[1] for event in told if event[0] is phase]
        assert done == sorted(done)
        assert done[0] == 0
        assert done[-1] == total
    assert load_file(written.path)["b"].dtype == np.float16
