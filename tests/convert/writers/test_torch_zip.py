from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from modelhub.convert.planning import Plan
from modelhub.convert.readers import open_source
from modelhub.convert.values import Planned
from modelhub.convert.writers import write_ckpt, write_safetensors
from modelhub.convert.writers.torch_zip import TorchZipLayout
from modelhub.errors import UsageError
from modelhub.formats.tensor_data import ITEM_SIZES
from modelhub.formats.torchfile import open_torch

from .planned import Given, drawn, names, plan_of, source_of

TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
    "C64": "complex64", "C128": "complex128", "U64": "uint64", "U32": "uint32", "U16": "uint16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip


def of_all_types() -> tuple[Planned, ...]:
    """Tensors of each type, in three shapes."""
    tensors = []
    for dtype, size in ((one, ITEM_SIZES[one]) for one in TYPES):
        for shape, count in (((), 1), ((2, 3), 6), ((4, 0, 2), 0)):
            data = bytes(index % 2 for index in range(count * size))
            tensors.append(Planned(f"{dtype} {shape}", Given(dtype, shape, data), dtype))
    return tuple(tensors)


def test_torch_loads_exactly_the_tensors_and_nothing_unsafe(tmp_path: Path) -> None:
    import torch

    tensors = of_all_types()
    written = write_ckpt(Plan(tensors=tensors, metadata={"title": "麦"}), tmp_path / "out.ckpt")
    for mapped in (False, True):
        loaded = torch.load(written.path, weights_only=True, mmap=mapped)
        assert loaded["title"] == "麦"
        assert list(loaded["state_dict"]) == [one.name for one in tensors]
        for one in tensors:
            tensor = loaded["state_dict"][one.name]
            assert tensor.dtype == getattr(torch, TYPES[one.dtype])
            assert tuple(tensor.shape) == one.values.shape
            assert tensor.is_contiguous()
            bits = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
            assert bits == b"".join(bytes(piece) for piece in one.values.pieces())


def test_the_archive_is_like_torch_writes_it(tmp_path: Path) -> None:
    import torch

    with source_of(tmp_path / "in.safetensors", {"a": drawn(5, 7), "b": drawn(3)}) as source:
        written = write_ckpt(plan_of(source, "F16"), tmp_path / "out.ckpt")
    halves = {"a": torch.zeros(5, 7).half(), "b": torch.zeros(3).half()}
    torch.save({"state_dict": halves}, tmp_path / "archive.pt")
    with (
        zipfile.ZipFile(written.path) as ours,
        zipfile.ZipFile(tmp_path / "archive.pt") as theirs,
    ):
        assert ours.testzip() is None
        assert ours.namelist() == theirs.namelist()
        for name in ("version", "byteorder", ".format_version", ".storage_alignment"):
            assert ours.read(f"archive/{name}") == theirs.read(f"archive/{name}")
        assert {one.compress_type for one in ours.infolist()} == {zipfile.ZIP_STORED}
    positions = [one.position for one in open_torch(written.path).tensors.values()]
    assert all(position is not None and position % 64 == 0 for position in positions)


def test_there_and_back_gives_the_same_safetensors_file(tmp_path: Path) -> None:
    arrays = {"a": drawn(900, 700), "ids": np.arange(77)[None], "empty": drawn(0, 3)}
    with source_of(tmp_path / "in.safetensors", arrays) as source:
        first = write_safetensors(plan_of(source, "F16"), tmp_path / "first.safetensors")
    with open_source(first.path) as source:
        write_ckpt(plan_of(source), tmp_path / "middle.ckpt")
    with open_source(tmp_path / "middle.ckpt") as source:
        last = write_safetensors(plan_of(source), tmp_path / "last.safetensors")
    assert last.sha256 == first.sha256


def test_long_metadata_and_names_are_kept_whole(tmp_path: Path) -> None:
    import torch

    metadata = {"k" * 300: "ü" * 300_000, "half": "\ud800"}
    written = write_ckpt(Plan(tensors=(), metadata=metadata), tmp_path / "out.ckpt")
    loaded = torch.load(written.path, weights_only=True)
    assert loaded == {"state_dict": {}, "k" * 300: "ü" * 300_000, "half": "\\ud800"}


def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path: Path) -> None:
    quantised = Plan(tensors=(Planned("a", Given("Q4_K", (0,)), "Q4_K"),))
    clashing = Plan(tensors=(), metadata={"state_dict": "x"})
    for plan in (quantised, clashing):
        with pytest.raises(UsageError):
            write_ckpt(plan, tmp_path / "out.ckpt")
    assert names(tmp_path) == set()


def test_what_is_beyond_four_gib_gets_the_fields_of_zip64(tmp_path: Path) -> None:
    huge = 5 << 30
    layout = TorchZipLayout(
        [Planned("a", Given("U8", (huge,)), "U8"), Planned("b", Given("U8", (3,)), "U8")], {}
    )
    path = tmp_path / "sparse.ckpt"
    with path.open("wb") as file:
        file.truncate(layout.size)
        for position, data in layout.frame({"a": 1, "b": 2}):
            file.seek(position)
            file.write(data)
    opened = open_torch(path)
    assert [one.shape for one in opened.tensors.values()] == [(huge,), (3,)]
    assert [one.position for one in opened.tensors.values()] == [
        one.position for one in layout.regions
    ]
    with zipfile.ZipFile(path) as archive:
        sizes = {one.filename: (one.file_size, one.CRC) for one in archive.infolist()}
        assert archive.read("archive/version") == b"3\n"
    assert sizes["archive/data/0"] == (huge, 1)
    assert sizes["archive/data/1"] == (3, 2)
