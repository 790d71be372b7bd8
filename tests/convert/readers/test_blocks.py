"""Quantised GGUF files, read as the numbers that gguf's own arithmetic makes of them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.convert.readers import open_source
from modelhub.convert.readers.blocks import READABLE, blocks_library
from modelhub.convert.views import Rows
from modelhub.errors import ConversionRefused, FormatError, SourceChanged
from modelhub.formats.gguf_types import BLOCKS, TYPES
from tests.formats.quantised import write_gguf
from tests.formats.written import GgufWriter

from .reading import bytes_of

_NUMBERS = {name: number for number, (name, _, _) in TYPES.items()}
_QUANTISED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def _random(path: Path, kind: str, rows: int, blocks: int) -> bytes:
    """A file with one tensor of bytes at random; gives them."""
    elements, size = BLOCKS[kind]
    data = np.random.default_rng(3).integers(0, 256, rows * blocks * size, "u1").tobytes()
    writer = GgufWriter().tensor("w", (blocks * elements, rows), _NUMBERS[kind], 0)
    path.write_bytes(writer.file() + data)
    return data


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_every_type_gives_the_numbers_that_gguf_gives(kind: str, tmp_path: Path) -> None:
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    elements, _ = BLOCKS[kind]
    # More than one piece, and a last one that is shorter.
    data = _random(tmp_path / "a.gguf", kind, 3, (1 << 17) // elements + 1)
    blocks = np.frombuffer(data, "u1").reshape(3, -1)
    with np.errstate(all="ignore"):
        expected = dequantize(blocks, GGMLQuantizationType[kind])
    with open_source(tmp_path / "a.gguf") as source:
        values = source.tensors["w"]
        assert (values.dtype, values.stored) == ("F32", kind)
        assert bytes_of(values) == expected.astype("<f4").tobytes()
        assert max(len(piece) for piece in values.pieces()) <= 1 << 20
        assert bytes_of(Rows(values, 1, 2)) == expected[1].astype("<f4").tobytes()
        assert Rows(values, 1, 2).stored == kind


@pytest.mark.parametrize("kind", _QUANTISED)
def test_numbers_come_back_as_near_as_their_bits_allow(kind: str, tmp_path: Path) -> None:
    weights = {"w": np.random.default_rng(1).standard_normal((7, 64)).astype(np.float32)}
    told = write_gguf(tmp_path / "a.gguf", weights, kind)
    with open_source(tmp_path / "a.gguf") as source:
        found = np.frombuffer(bytes_of(source.tensors["w"]), np.float32).reshape(7, 64)
        assert source.header.notices == ("1 quantised tensors are read as fp32",)
    assert np.array_equal(found, told["w"])
    steps = 2 ** (int(kind[1]) - 1)
    assert np.abs(found - weights["w"]).max() < 1.1 * np.abs(weights["w"]).max() / steps


def test_rows_within_a_block_are_cut_out_of_what_comes_before(tmp_path: Path) -> None:
    weights = {"w": np.random.default_rng(1).standard_normal((6, 48)).astype(np.float32)}
    told = write_gguf(tmp_path / "a.gguf", weights)
    with open_source(tmp_path / "a.gguf") as source:
        values = source.tensors["w"]
        assert values.shape == (6, 48)
        assert values.rows(1, 3) is None
        assert values.rows(2, 4) is not None
        for start in range(5):
            assert (
                bytes_of(Rows(values, start, start + 2)) == told["w"][start : start + 2].tobytes()
            )


@pytest.mark.parametrize("order", ["<", ">"])
def test_types_that_nobody_publishes_weights_in_are_refused(order: str, tmp_path: Path) -> None:
    kind = "TQ1_0" if order == "<" else "Q8_0"
    elements, size = BLOCKS[kind]
    writer = GgufWriter(order=order).tensor("q.weight", (elements,), _NUMBERS[kind], 0)
    path = tmp_path / "a.gguf"
    path.write_bytes(writer.file(size))
    with pytest.raises(ConversionRefused, match=rf"a\.gguf.*{kind}: q\.weight\)") as refused:
        open_source(path)
    assert "made of" in refused.value.hint


def test_a_file_that_gets_shorter_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    _random(path, "Q4_K", 2, 2)
    with open_source(path) as source:
        with path.open("r+b") as stream:
            stream.truncate(path.stat().st_size - 10)
        with pytest.raises(SourceChanged):
            bytes_of(source.tensors["w"])


@given(
    kind=st.sampled_from(sorted(READABLE)),
    dims=st.lists(st.sampled_from((0, 1, 2, 31, 32, 256, 2**31, 2**33)), max_size=4),
    original=st.lists(st.sampled_from((-1, 0, 1, 2, 16, 32, 256, 2**31 - 1)), max_size=4),
    data=st.binary(max_size=600),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_shapes_are_read_or_refused(
    kind: str, dims: list[int], original: list[int], data: bytes, tmp_path: Path
) -> None:
    writer = GgufWriter().numbers("comfy.gguf.orig_shape.w", "i", original)
    path = tmp_path / "a.gguf"
    path.write_bytes(writer.tensor("w", dims, _NUMBERS[kind], 0).file() + data)
    with suppress(FormatError), open_source(path) as source:
        assert len(bytes_of(source.tensors["w"])) <= len(data) * 64


def test_gguf_is_imported_only_for_quantised_files_and_named_where_it_lacks(tmp_path: Path) -> None:
    write_gguf(tmp_path / "plain.gguf", {"w": np.ones((2, 32), np.float32)}, "F32")
    _random(tmp_path / "packed.gguf", "Q8_0", 1, 1)
    script = """
import sys
from pathlib import Path
sys.modules["gguf"] = None  # as if it were not installed
from modelhub.convert.readers import open_source
from modelhub.errors import MissingExtra
open_source(Path(sys.argv[1]) / "plain.gguf").close()
try:
    open_source(Path(sys.argv[1]) / "packed.gguf")
except MissingExtra as error:
    print(error.hint)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "modelhub[render]" in done.stdout
    assert callable(blocks_library().dequantize)
