"""Sources of every format: their tensors, what is beside, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import shutil
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.convert.readers import Beside, open_source
from modelhub.demo.weights.files import system_call, write_torch_zip
from modelhub.demo.weights.tables import Tensor as Row
from modelhub.errors import (
    ConversionRefused,
    FileUnreadable,
    FormatError,
    ModelhubError,
    SourceChanged,
)
from modelhub.formats.tensors import FileFormat
from tests.formats.weights import as_fp16, drawn, write_safetensors
from tests.formats.written import GgufWriter
from tests.hostile_files import Hostile, hostile_files

from .reading import bytes_of, member, read, view_pickle, write_views, write_zip

DATA = Path(__file__).parents[2] / "data" / "torch"
STORAGE = np.arange(12, dtype="<f4").tobytes()
WHOLE = ("w", 0, (3, 4), (4, 1))


def test_a_safetensors_file_is_read_where_it_lies(tmp_path: Path) -> None:
    weights = drawn({"b.weight": (300, 1000), "a.bias": (7,), "scalar": (), "none": (0, 3)})
    path = write_safetensors(tmp_path / "a.safetensors", weights, {"title": "x"})
    with open_source(path) as source:
        assert source.format is FileFormat.SAFETENSORS
        assert source.header.metadata == {"title": "x"}
        assert list(source.tensors) == list(source.header.tensors) == list(weights)
        assert (source.inert, source.beside, source.shared) == ((), (), ())
        for name, one in source.tensors.items():
            assert bytes_of(one) == bytes_of(one) == weights[name].tobytes()
            assert one.place is not None
            data = os.pread(one.place.descriptor, one.nbytes, one.place.position)
            assert data == weights[name].tobytes()


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_gguf_file_of_plain_types_is_read(tmp_path: Path, order: str) -> None:
    weights = {"f.weight": drawn({"w": (6, 32)})["w"], **as_fp16(drawn({"h.weight": (64,)}))}
    writer, data = GgufWriter(order=">" if order == "big" else "<"), b""
    for name, one in weights.items():
        writer.tensor(name, one.shape[::-1], 0 if one.itemsize == 4 else 1, len(data))
        data += (one.byteswap() if order == "big" else one).tobytes() + bytes(-one.nbytes % 32)
    path = tmp_path / "a.gguf"
    path.write_bytes(writer.file() + data)
    assert {name: one[2] for name, one in read(path).items()} == {
        name: one.tobytes() for name, one in weights.items()
    }


def test_a_checkpoint_of_the_demo_hub_gives_all_tensors_in_order(tmp_path: Path) -> None:
    table = [Row("z.weight", (5, 7)), Row("a.alpha", ()), Row("ids", (1, 77), "I64")]
    write_torch_zip(tmp_path / "a.ckpt", table, seed=1, before=system_call("exit 1"))
    found = read(tmp_path / "a.ckpt")
    assert list(found) == ["z.weight", "a.alpha", "ids"]
    assert found["ids"][2] == np.arange(77, dtype="<i8").tobytes()
    with open_source(tmp_path / "a.ckpt") as source:
        assert "posix.system" in source.inert


def sharded(folder: Path, suffix: str = "safetensors") -> dict[str, bytes]:
    """A model in two files with their index; gives its tensors."""
    weights = drawn({"a": (3, 4), "b": (5,), "c": (2, 2)})
    names = [f"model-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    halves = [{"c": weights["c"], "a": weights["a"]}, {"b": weights["b"]}]
    for name, half in zip(names, halves, strict=True):
        write_safetensors(folder / name, half)
    where = {"a": names[0], "b": names[1], "c": names[0]}
    (folder / f"model.{suffix}.index.json").write_text(json.dumps({"weight_map": where}))
    return {name: one.tobytes() for name, one in weights.items()}


@pytest.mark.parametrize(
    "given", ["model-00002-of-00002.safetensors", "model.safetensors.index.json"]
)
def test_a_model_in_several_files_is_one_source(tmp_path: Path, given: str) -> None:
    expected = sharded(tmp_path)
    found = read(tmp_path / given)
    assert list(found) == ["c", "a", "b"]
    assert {name: one[2] for name, one in found.items()} == expected
    with open_source(tmp_path / given) as source:
        assert [path.name for path in source.files] == list(source.header.parts)


def test_a_model_that_misses_a_file_is_refused(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ConversionRefused, match=r"1 of 2 files is missing"):
        open_source(tmp_path / "model-00001-of-00002.safetensors")


def diffusers(folder: Path) -> Path:
    """A pipeline: a UNet in two files, a VAE of torch."""
    for name in ("unet", "vae", "scheduler"):
        (folder / name).mkdir(parents=True)
    index = {"_class_name": "P", "unet": ["d", "U"], "vae": ["d", "V"], "scheduler": ["d", "S"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    for number in (1, 2):
        name = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        write_safetensors(folder / "unet" / name, drawn({f"u{number}": (2, number)}))
    write_views(folder / "vae" / "diffusion_pytorch_model.bin", [WHOLE], STORAGE)
    return folder


@pytest.mark.parametrize("given", ["", "model_index.json"])
def test_a_diffusers_folder_names_its_tensors_by_part(tmp_path: Path, given: str) -> None:
    folder = diffusers(tmp_path / "model")
    with open_source(folder / given) as source:
        assert source.format is FileFormat.DIFFUSERS
        assert list(source.tensors) == ["unet/u1", "unet/u2", "vae/w"]
        assert bytes_of(source.tensors["vae/w"]) == STORAGE
        source.check_unchanged()
        (folder / "vae" / "diffusion_pytorch_model.bin").unlink()
        with pytest.raises(SourceChanged, match="diffusion_pytorch_model"):
            source.check_unchanged()


def test_one_part_of_a_pipeline_has_its_own_names(tmp_path: Path) -> None:
    folder = diffusers(tmp_path / "model") / "vae"
    (folder / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    assert list(read(folder)) == ["w"]


def test_training_state_is_beside_the_weights_with_its_sizes() -> None:
    with open_source(DATA / "training.ckpt") as source:
        assert set(source.tensors) == set(source.header.tensors)
        assert len(source.tensors) == 7
        assert Beside("optimizer_states.0.state.0.exp_avg", 48, "F32", (3, 4)) in source.beside
        assert len(source.beside) == 13


def test_objects_that_are_not_built_are_counted_by_class(tmp_path: Path) -> None:
    callback = b"cpytorch_lightning.callbacks\nModelCheckpoint\n)R}X\x01\0\0\0aK\1sb"
    config = b"comegaconf.dictconfig\nDictConfig\n)\x81}X\x01\0\0\0aK\1sb"
    tree = view_pickle([WHOLE], 12)[:-2]
    tree += b"X\x01\0\0\0c](" + callback * 3 + config + b"eX\x01\0\0\0dcjson\nloads\nu."
    write_zip(tmp_path / "a.pt", {"data.pkl": member(tree), "data/0": member(STORAGE)})
    with open_source(tmp_path / "a.pt") as source:
        assert source.inert_counts == {
            "pytorch_lightning.callbacks.ModelCheckpoint": 3,
            "omegaconf.dictconfig.DictConfig": 1,
            "json.loads": 0,
        }
        assert source.inert[0] == "pytorch_lightning.callbacks.ModelCheckpoint"
        assert list(source.tensors) == ["w"]


def test_a_helper_that_keeps_an_ema_copy_is_beside(tmp_path: Path) -> None:
    first = view_pickle([WHOLE], 12)[:-2]
    copy = view_pickle([("shadow", 2, (2, 2), (2, 1))], 12)[2:-1]
    tree = first + b"X\x03\0\0\0avgcema\nHelper\n)\x81" + copy + b"bu."
    write_zip(tmp_path / "a.pt", {"data.pkl": member(tree), "data/0": member(STORAGE)})
    with open_source(tmp_path / "a.pt") as source:
        assert source.beside == (Beside("avg.shadow", 16, "F32", (2, 2)),)
        assert source.inert == ("ema.Helper",)


@pytest.mark.parametrize("name", ["page.html", "a.zip", "a.7z", "empty.pt"])
def test_what_has_no_tensors_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "x")
    elif name == "empty.pt":
        path.write_bytes(pickle.dumps({"epoch": 3}))
    else:
        path.write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(50) if name == "a.7z" else b"<html>" * 9)
    with pytest.raises(ConversionRefused, match="no tensors"):
        open_source(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    for name in ("missing.pt", "pipe.pt"):
        with pytest.raises(FileUnreadable, match=name):
            open_source(tmp_path / name)


# The slow ones are judged with all readers, in tests of the formats.
HOSTILE = [
    one
    for one in hostile_files()
    if one.name not in ("opcodes.ckpt", "bomb.ckpt", "a million tensors.safetensors")
]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_no_hostile_file_is_a_source(tmp_path: Path, case: Hostile) -> None:
    case.write(tmp_path / case.name)
    with pytest.raises(ModelhubError, match=re.escape(case.name)):
        open_source(tmp_path / case.name)


FILES = [path.read_bytes() for path in sorted(DATA.iterdir()) if path.suffix != ".md"]


# Python's list of opcodes warns of what a damaged string escapes.
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.none() | st.floats(0, 1),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_checkpoint_is_read_in_full_or_refused(
    tmp_path: Path, whole: bytes, changes: list[tuple[float, int]], cut: float | None
) -> None:
    data = bytearray(whole)
    for where, byte in changes:
        data[int(where * len(data))] = byte
    path = tmp_path / "a.pt"
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    with contextlib.suppress(ModelhubError):
        read(path)


@pytest.mark.parametrize(
    ("reason", "views", "storage", "numel"),
    [
        ("w: a tensor of shape .* reaches out", [("w", 1, (3, 4), (4, 1))], STORAGE, None),
        ("w: storage 0 has 48 bytes, not 52", [WHOLE], STORAGE, 13),
        ("overlap each other many times", [("w", 0, (1 << 30, 1 << 20), (0, 0))], STORAGE, None),
        (
            "overlap each other many times",
            [(str(n), n % 5, (1000, 1000), (0, 1)) for n in range(900)],
            bytes(4100),
            None,
        ),
    ],
)
def test_damage_is_told_with_file_and_tensor(
    tmp_path: Path,
    reason: str,
    views: list[tuple[str, int, tuple[int, ...], tuple[int, ...]]],
    storage: bytes,
    numel: int | None,
) -> None:
    path = write_views(tmp_path / "a.pt", views, storage, numel)
    with pytest.raises(FormatError, match=rf"a\.pt.*{reason}"):
        open_source(path)


def test_a_missing_storage_is_told_with_file_and_tensor(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.pt", {"data.pkl": member(view_pickle([WHOLE], 12))})
    with pytest.raises(FormatError, match=r"a\.pt: w: storage 0 is not in the file"):
        open_source(tmp_path / "a.pt")


def test_weights_that_are_tied_many_times_are_fine(tmp_path: Path) -> None:
    layers = [(f"layer{number}.weight", 0, (50_000, 40), (40, 1)) for number in range(24)]
    path = write_views(tmp_path / "a.pt", layers, bytes(8_000_000))
    with open_source(path) as source:
        assert source.shared == (tuple(name for name, *_ in layers),)


def test_a_scattered_tensor_is_read_in_little_memory(tmp_path: Path) -> None:
    rows, columns = 3000, 5000
    matrix = np.arange(rows * columns, dtype="<f4").reshape(columns, rows)
    path = write_views(tmp_path / "a.pt", [("w", 0, (rows, columns), (1, rows))], matrix.tobytes())
    expected = np.ascontiguousarray(matrix.T).reshape(-1)
    del matrix
    with open_source(path) as source:
        at = 0
        tracemalloc.start()
        for piece in source.tensors["w"].pieces():
            numbers = np.frombuffer(piece, "<f4")
            assert np.array_equal(numbers, expected[at : at + len(numbers)])
            at += len(numbers)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert at == rows * columns
    assert peak < 64 << 20


def _truncate(path: Path) -> None:
    os.truncate(path, 400)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _rewrite(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data)
    os.utime(path, ns=(0, 1))


def _replace(path: Path) -> None:
    status = path.stat()
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [_truncate, _append, _rewrite, _replace, _remove])
def test_a_source_that_changed_is_told(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", drawn({"w": (100, 100)}))
    with open_source(path) as source:
        source.check_unchanged()
        change(path)
        with pytest.raises(SourceChanged, match=r"a\.safetensors"):
            source.check_unchanged()


@pytest.mark.parametrize("scattered", [False, True])
def test_a_file_that_is_cut_off_while_it_is_read_is_an_error(
    tmp_path: Path, scattered: bool
) -> None:
    views = [("w", 0, (1000, 1000), (1, 1000) if scattered else (1000, 1))]
    path = write_views(tmp_path / "a.pt", views, bytes(4_000_000))
    with open_source(path) as source:
        pieces = source.tensors["w"].pieces()
        assert len(next(pieces)) >= 1 << 20
        os.truncate(path, 2_000_000)
        if scattered:  # all of it was read by then
            pieces = source.tensors["w"].pieces()
        with pytest.raises(SourceChanged, match=r"a\.pt changed"):
            list(pieces)


def test_a_closed_source_reads_nothing(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", drawn({"w": (10,)}))
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
    with open_source(path) as source:
        pass
    with pytest.raises(FileUnreadable):
        list(source.tensors["w"].pieces())
    source.close()
    assert not before or len(list(descriptors.iterdir())) == before


def test_a_file_that_is_refused_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(struct.pack("<Q", 3) + b"{}")
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
    with pytest.raises(ModelhubError):
        open_source(path)
    assert not before or len(list(descriptors.iterdir())) == before


def test_a_checkpoint_of_many_tensors_is_opened_quickly(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    write_torch_zip(path, [Row(f"layer.{n}.weight", (4, 4)) for n in range(2000)], seed=1)
    started = time.process_time()
    with open_source(path) as source:
        assert len(source.tensors) == 2000
    assert time.process_time() - started < 1.5  # a quarter of a second on an idle machine
