from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest

from modelhub.errors import FileUnreadable, FormatError
from modelhub.render.prompts import read_embedding

_CODES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def _write(
    path: Path, tensors: Mapping[str, np.ndarray], dtype: str = "F32", **metadata: str
) -> Path:
    """A safetensors file; BF16 from the upper halves of fp32."""
    header: dict[str, object] = {"__metadata__": metadata}
    data = b""
    for name, values in tensors.items():
        if dtype == "BF16":
            raw = (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        else:
            raw = values.astype(_CODES[dtype]).tobytes()
        span = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": span}
        data += raw
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def _ramp(*shape: int) -> np.ndarray:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("name", ["emb_params", "*", "<toy>", "toy"])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_safetensors_embeddings_are_read_in_any_precision(
    tmp_path: Path, name: str, dtype: str
) -> None:
    found = read_embedding(_write(tmp_path / "my-toy.safetensors", {name: _ramp(3, 768)}, dtype))
    assert (found.name, found.count) == ("my-toy", 3)
    np.testing.assert_allclose(found.vectors[""], _ramp(3, 768), atol=8e-3)


def test_the_trainers_word_and_the_files_name_both_call_it(tmp_path: Path) -> None:
    found = read_embedding(_write(tmp_path / "file.safetensors", {"<cat-toy>": _ramp(768)}))
    assert found.words == ("file", "<cat-toy>")
    assert found.count == 1
    anonymous = read_embedding(_write(tmp_path / "a.safetensors", {"emb_params": _ramp(1, 768)}))
    assert anonymous.words == ("a",)


@pytest.mark.parametrize("names", [("clip_l", "clip_g"), ("emb", "emb2")])
def test_embeddings_of_sdxl_have_vectors_for_both_encoders(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    tensors = {names[1]: _ramp(2, 1280), names[0]: _ramp(2, 768)}
    found = read_embedding(_write(tmp_path / "xl.safetensors", tensors))
    assert {key: one.shape for key, one in found.vectors.items()} == {
        "clip_l": (2, 768),
        "clip_g": (2, 1280),
    }
    assert found.for_encoder("clip_g", 1280).shape == (2, 1280)


def test_what_a1111_trains_is_read_without_executing_its_pickle(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    vectors = torch.from_numpy(_ramp(4, 768))
    path = tmp_path / "trained.pt"
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "Real-Name",
         "step": 1000, "sd_checkpoint": None},
        path,
    )  # fmt: skip
    found = read_embedding(path)
    np.testing.assert_array_equal(found.vectors[""], _ramp(4, 768))
    assert found.words == ("trained", "Real-Name")


def test_what_diffusers_trains_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "learned_embeds.bin"
    torch.save({"<cat-toy>": torch.from_numpy(_ramp(768))}, path)
    assert read_embedding(path).words == ("learned_embeds", "<cat-toy>")


@pytest.mark.parametrize(
    ("tensors", "dtype", "message"),
    [
        ({"a": _ramp(2, 3, 4)}, "F32", "no embedding is in it"),
        ({"emb_params": _ramp(2, 768)}, "I64", "no embedding is in it"),
        ({"emb_params": _ramp(76, 768)}, "F32", "76 vectors, a prompt has room for 75"),
        ({"emb_params": np.full((1, 768), np.nan)}, "F32", "no numbers"),
        ({"emb_params": np.full((1, 768), np.inf)}, "F16", "no numbers"),
        ({"clip_l": _ramp(2, 768), "clip_g": _ramp(3, 1280)}, "F32", "more vectors for one"),
    ],
)
def test_what_is_no_embedding_is_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray], dtype: str, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        read_embedding(_write(tmp_path / "x.safetensors", tensors, dtype))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        read_embedding(tmp_path / "none.safetensors")
