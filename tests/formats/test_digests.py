from __future__ import annotations

import os
import struct
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.demo.weights.files import write_safetensors as write_demo_safetensors
from modelhub.demo.weights.files import write_torch_zip
from modelhub.demo.weights.tables import Tensor as Row
from modelhub.errors import Cancelled, FileUnreadable, FormatError
from modelhub.formats.digests import Level, WeightKeys, read_digests, rounded, weight_keys
from modelhub.formats.identify.parts import Role
from modelhub.formats.reading import read_header
from modelhub.formats.tensor_data import PIECE

from .weights import Weights, as_bf16, as_fp16, drawn, write_safetensors
from .written import GgufWriter

SHAPES = {
    "model.diffusion_model.input_blocks.0.0.weight": (64, 4, 3, 3),
    "model.diffusion_model.out.2.weight": (4, 64, 3, 3),
    "first_stage_model.decoder.conv_in.weight": (32, 4, 3, 3),
    "first_stage_model.encoder.conv_in.weight": (32, 3, 3, 3),
}


def keys(path: Path, *, sampled: bool = False, only: Role | None = None) -> WeightKeys:
    found = weight_keys(read_digests(path, read_header(path), sampled=sampled, only=only))
    assert found is not None
    return found


def saved(folder: Path, name: str, weights: Weights) -> WeightKeys:
    return keys(write_safetensors(folder / f"{name}.safetensors", weights))


def test_a_file_and_its_half_precision_copies_agree_at_the_lower_level(tmp_path: Path) -> None:
    weights = drawn(SHAPES)
    full = saved(tmp_path, "full", weights)
    half = saved(tmp_path, "half", as_fp16(weights))
    brain = saved(tmp_path, "brain", as_bf16(weights))
    assert (full.own, half.own, brain.own) == (Level.EXACT, Level.FP16, Level.BF16)
    assert full.same_at(half) is half.same_at(full) is Level.FP16
    assert full.same_at(brain) is brain.same_at(full) is Level.BF16
    assert half.same_at(brain) is None, "each has lost what the other has kept"
    assert Level.FP16 not in brain.keys


def test_bf16_that_was_made_from_fp16_is_known_to_be(tmp_path: Path) -> None:
    half = as_fp16(drawn(SHAPES))
    assert saved(tmp_path, "a", half).same_at(saved(tmp_path, "b", as_bf16(half))) is Level.BF16


def test_two_that_differ_below_half_precision_are_not_the_same(tmp_path: Path) -> None:
    weights = drawn(SHAPES)
    others = {name: np.nextafter(one, np.float32(9)) for name, one in weights.items()}
    one, other = saved(tmp_path, "one", weights), saved(tmp_path, "other", others)
    assert one.same_at(other) is None


def test_one_changed_number_makes_another_file(tmp_path: Path) -> None:
    weights = drawn(SHAPES)
    one = saved(tmp_path, "one", weights)
    weights["model.diffusion_model.out.2.weight"][3, 0, 0, 0] += 1
    assert one.same_at(saved(tmp_path, "other", weights)) is None


def test_some_parts_may_be_rounded_and_others_not(tmp_path: Path) -> None:
    weights = drawn(SHAPES)
    half = as_fp16(weights)
    mixed = {name: half[name] if "diffusion" in name else weights[name] for name in weights}
    full, mixed_keys = saved(tmp_path, "full", weights), saved(tmp_path, "mixed", mixed)
    assert full.same_at(mixed_keys) is Level.FP16
    assert mixed_keys.same_at(saved(tmp_path, "half", half)) is Level.FP16


def test_order_metadata_and_what_tools_drop_do_not_matter(tmp_path: Path) -> None:
    weights = drawn(SHAPES)
    one = saved(tmp_path, "one", weights)
    ema = {f"model_ema.{name.replace('.', '')}": value + 1 for name, value in weights.items()}
    extras = {
        "alphas_cumprod": np.ones(1000, dtype="<f4"),
        "cond_stage_model.transformer.embeddings.position_ids": np.arange(77, dtype="<i8"),
        "first_stage_model.loss.logvar": np.ones(1, dtype="<f4"),
    }
    reordered = {**extras, **dict(reversed(weights.items())), **ema}
    path = write_safetensors(tmp_path / "two.safetensors", reordered, {"title": "other"})
    vae_loss = keys(path, only=Role.VAE)
    assert vae_loss.same_at(keys(tmp_path / "one.safetensors", only=Role.VAE)) is Level.EXACT
    del reordered["first_stage_model.loss.logvar"]
    assert saved(tmp_path, "three", reordered).same_at(one) is Level.EXACT


def test_a_pickle_has_the_keys_of_its_safetensors_copy(tmp_path: Path) -> None:
    for dtype in ("F32", "F16"):
        table = [Row(name, shape, dtype) for name, shape in SHAPES.items()]
        write_torch_zip(tmp_path / f"{dtype}.ckpt", table, seed=1)
        write_demo_safetensors(tmp_path / f"{dtype}.safetensors", table, seed=1, metadata={})
    full = keys(tmp_path / "F32.ckpt")
    assert full.same_at(keys(tmp_path / "F32.safetensors")) is Level.EXACT
    assert full.same_at(keys(tmp_path / "F16.safetensors")) is Level.FP16
    assert keys(tmp_path / "F16.ckpt").same_at(keys(tmp_path / "F16.safetensors")) is Level.EXACT


def _zip(path: Path, pickled: bytes, storage: bytes, byteorder: bytes = b"little") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", byteorder)
        archive.writestr("archive/data/0", storage)
        archive.writestr("archive/version", b"3\n")
    return path


def _pickle(shape: tuple[int, int], stride: tuple[int, int], count: int = 6) -> bytes:
    """A state dict of one tensor `w` that is this view of a FloatStorage."""
    return (
        b"\x80\x02}(X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"
        b"FloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + b"J" + struct.pack("<i", count) + b"tQK\0"
        + b"".join(b"(" + b"".join(b"J" + struct.pack("<i", n) for n in two) + b"t"
                   for two in (shape, stride))
        + b"\x89ccollections\nOrderedDict\n)RtRu."
    )  # fmt: skip


def test_a_transposed_view_and_a_big_endian_file_hold_the_same_numbers(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4").reshape(2, 3)
    plain = saved(tmp_path, "plain", {"w": numbers})
    turned = _zip(tmp_path / "turned.pt", _pickle((2, 3), (1, 2)), numbers.T.tobytes())
    assert keys(turned).same_at(plain) is Level.EXACT
    big = _zip(
        tmp_path / "big.pt", _pickle((2, 3), (3, 1)), numbers.astype(">f4").tobytes(), b"big"
    )
    assert keys(big).same_at(plain) is Level.EXACT


def test_a_view_that_repeats_its_storage_endlessly_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.pt", _pickle((2**30, 2**30), (0, 0), 1), bytes(4))
    with pytest.raises(FormatError, match="overlap"):
        keys(path)


def test_a_gguf_file_without_quantised_tensors_is_compared(tmp_path: Path) -> None:
    weights = drawn({"double_blocks.0.img_mod.lin.weight": (64, 32), "final_layer.bias": (64,)})
    prefixed = {f"model.diffusion_model.{name}": one for name, one in weights.items()}
    full = saved(tmp_path, "full", prefixed)
    assert full.same_at(saved(tmp_path, "bare", weights)) is Level.EXACT
    data, writer = b"", GgufWriter()
    for name, one in as_fp16(weights).items():
        writer.tensor(name, one.shape[::-1], 1, len(data))
        data += one.tobytes() + bytes(-one.nbytes % 32)
    path = tmp_path / "model.gguf"
    path.write_bytes(writer.file() + data)
    assert full.same_at(keys(path)) is Level.FP16


def test_quantised_tensors_are_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(GgufWriter().tensor("w", (32,), 2, 0).file(32))
    with pytest.raises(FormatError, match="type Q4_0 cannot be compared"):
        keys(path)


@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_large_tensors_are_read_in_pieces(tmp_path: Path, dtype: str) -> None:
    count = PIECE // 4 + 1000
    weights = drawn({"lora.weight": (count,)})
    full = saved(tmp_path, "full", weights)
    if dtype == "F16":
        assert full.same_at(saved(tmp_path, "half", as_fp16(weights))) is Level.FP16
    weights["lora.weight"][-1] += 1
    assert full.same_at(saved(tmp_path, "other", weights)) is None


def test_a_sample_reads_little_and_tells_that_files_differ(tmp_path: Path) -> None:
    weights = drawn({f"lora_{number:02}.weight": (64, 64) for number in range(40)})
    path = write_safetensors(tmp_path / "a.safetensors", weights)
    half = write_safetensors(tmp_path / "half.safetensors", as_fp16(weights))
    digests = read_digests(path, read_header(path), sampled=True)
    assert 1 < len(digests) <= 4
    assert keys(path, sampled=True).same_at(keys(half, sampled=True)) is Level.FP16
    other = write_safetensors(tmp_path / "b.safetensors", drawn(
        {f"lora_{number:02}.weight": (64, 64) for number in range(40)}, seed=1
    ))  # fmt: skip
    assert keys(path, sampled=True).same_at(keys(other, sampled=True)) is None


def test_the_vae_of_a_checkpoint_has_the_key_of_the_vae_alone(tmp_path: Path) -> None:
    weights = drawn(SHAPES)
    write_safetensors(tmp_path / "checkpoint.safetensors", weights)
    prefix = "first_stage_model."
    vae = {n.removeprefix(prefix): one for n, one in weights.items() if n.startswith(prefix)}
    alone = write_safetensors(tmp_path / "vae.safetensors", as_fp16(vae))
    baked = keys(tmp_path / "checkpoint.safetensors", only=Role.VAE)
    assert baked.same_at(keys(alone, only=Role.VAE)) is Level.FP16
    assert baked.same_at(keys(alone)) is Level.FP16
    text = write_safetensors(tmp_path / "t.safetensors", drawn({"cond_stage_model.w": (4, 4)}))
    assert read_digests(text, read_header(text), only=Role.VAE) == {}


def test_files_of_other_formats_have_no_keys(tmp_path: Path) -> None:
    page = tmp_path / "page.safetensors"
    page.write_text("<!doctype html><html></html>")
    with pytest.raises(FormatError, match="no tensors that can be compared"):
        read_digests(page, read_header(page))


def test_a_file_that_got_shorter_is_refused_with_the_offset(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", drawn({"w": (100, 100)}))
    header = read_header(path)
    os.truncate(path, 1000)
    with pytest.raises(FormatError, match=r"a\.safetensors.*ends within a tensor.*1,000"):
        read_digests(path, header)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileUnreadable, match="FIFO"):
        read_digests(path, header)


def test_reading_is_stopped_and_tells_how_far_it_is(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", drawn({"v": (10,), "w": (10,)}))
    told: list[int] = []
    read_digests(path, read_header(path), progress=told.append)
    assert told == [40, 80]
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        read_digests(path, read_header(path), cancel=cancel)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bf16_is_the_nearest_number_and_the_even_one_of_two(number: float) -> None:
    data = struct.pack("<f", number)
    bits = int.from_bytes(rounded(data, "F32", Level.BF16), "little")
    below = int.from_bytes(data, "little") >> 16
    assert bits in (below, below + 1)
    with np.errstate(over="ignore"):
        expected = as_bf16({"w": np.array([number], dtype="<f4")})["w"]
    if below & 0x7FFF < 0x7F7F:  # the last one below infinity has no neighbour to compare with
        assert bits == int(expected[0])


@given(st.floats(width=32))
def test_fp16_is_what_the_processor_makes_of_it(number: float) -> None:
    try:
        expected = struct.pack("<e", number)
    except OverflowError:
        expected = struct.pack("<e", float("inf") if number > 0 else float("-inf"))
    if number == number:
        assert rounded(struct.pack("<f", number), "F32", Level.FP16) == expected


def test_what_is_no_number_stays_none() -> None:
    nan = bytes.fromhex("ffffff7f")
    assert rounded(nan, "F32", Level.BF16) == b"\xc0\x7f"
    assert np.isnan(np.frombuffer(rounded(nan, "F32", Level.FP16), "<f2")).all()
