"""Files that torch itself wrote, in all its forms (see ``tests/data/torch/README.md``)."""

from __future__ import annotations

import array
import struct
from pathlib import Path

import pytest

from modelhub.demo.weights.files import system_call, write_torch_zip
from modelhub.demo.weights.tables import Tensor as Row
from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.pickles import scalars
from modelhub.formats.tensors import FileFormat, Header
from modelhub.formats.torchfile import TorchTensor, open_torch, read_torch

DATA = Path(__file__).parents[2] / "data" / "torch"


def header(path: Path) -> Header:
    with path.open("rb") as file:
        return read_torch(file, path.stat().st_size)


def values(path: Path, tensor: TorchTensor) -> list[float]:
    """The numbers of an F32 tensor, by its position, shape and stride alone."""
    data = path.read_bytes()
    assert tensor.position is not None
    indexes = [0]
    for size, step in zip(tensor.shape, tensor.stride, strict=True):
        indexes = [at + n * step for at in indexes for n in range(size)]
    return [struct.unpack_from("<f", data, tensor.position + 4 * at)[0] for at in indexes]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("zip.pt", FileFormat.TORCH_ZIP),
        ("protocol5.pt", FileFormat.TORCH_ZIP),
        ("esrgan.pth", FileFormat.TORCH_ZIP),
        ("legacy.pt", FileFormat.TORCH_LEGACY),
        ("oldest.tar", FileFormat.TORCH_LEGACY),
    ],
)
def test_a_state_dict_is_read_from_every_form(name: str, form: FileFormat) -> None:
    found = header(DATA / name)
    assert found.format is form
    assert list(found.tensors) == ["a.weight", "a.bias"]
    assert found.tensors["a.weight"].shape == (3, 4)
    assert found.tensors["a.weight"].dtype == "F32"
    assert found.size == (DATA / name).stat().st_size
    opened = open_torch(DATA / name)
    assert values(DATA / name, opened.tensors["a.weight"]) == list(range(12))


def test_every_dtype_is_named_as_safetensors_names_it() -> None:
    found = header(DATA / "dtypes.pt").tensors
    assert {name: one.dtype for name, one in found.items()} == {
        "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
        "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8",
        "bool": "BOOL", "complex64": "C64", "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2", "uint16": "U16",
    }  # fmt: skip
    assert found["float64"].data_offsets == (0, 48)
    assert found["float8_e5m2"].data_offsets == (0, 6)


@pytest.mark.parametrize("name", ["views.pt", "views-legacy.pt"])
def test_views_of_one_storage_keep_their_place_in_it(name: str) -> None:
    found = open_torch(DATA / name).tensors
    assert len({found[key].storage_key for key in ("all", "tail", "even")}) == 1
    assert values(DATA / name, found["tail"]) == [4, 5, 6, 7, 8, 9]
    assert values(DATA / name, found["even"]) == [0, 2, 4, 6, 8]
    assert values(DATA / name, found["square"])[:5] == [0, 4, 8, 12, 1]
    assert found["empty"].shape == (0, 3)
    assert found["scalar"].shape == ()


def test_a_training_checkpoint_gives_its_weights_and_names_the_rest() -> None:
    found = header(DATA / "training.ckpt")
    assert list(found.tensors)[:2] == ["0.weight", "0.bias"]
    assert len(found.tensors) == 7
    assert set(found.extras) == {
        "epoch", "global_step", "pytorch-lightning_version", "callbacks", "optimizer_states",
        "lr_schedulers",
    }  # fmt: skip
    assert found.metadata["global_step"] == "1234"
    assert "12 tensors below optimizer_states are not listed" in found.notices


def test_a_module_that_was_pickled_whole_has_the_names_of_its_state_dict() -> None:
    whole = header(DATA / "module.pt").tensors
    assert whole == header(DATA / "training.ckpt").tensors
    assert "torch.nn.modules.linear.Linear" in {
        one.path for one in open_torch(DATA / "module.pt").globals
    }


def test_torchscript_is_read_and_said_to_be_it() -> None:
    found = header(DATA / "script.pt")
    assert {name: one.shape for name, one in found.tensors.items()} == {
        "0.weight": (3, 4),
        "0.bias": (3,),
    }
    assert any("TorchScript" in notice for notice in found.notices)


def test_an_embedding_gives_its_vectors_and_what_stands_beside_them() -> None:
    found = header(DATA / "embedding.pt")
    assert found.tensors["string_to_param.*"].shape == (2, 8)
    assert found.metadata == {
        "name": "style", "step": "500", "sd_checkpoint": "abc12345", "sd_checkpoint_name": "model",
    }  # fmt: skip


def test_a_hypernetwork_is_named_by_its_widths() -> None:
    found = header(DATA / "hypernetwork.pt")
    assert set(found.tensors) == {
        f"{width}.{layer}.linear.{what}"
        for width in (320, 768)
        for layer in (0, 1)
        for what in ("weight", "bias")
    }
    assert found.extras == ("step", "name", "layer_structure")


def test_groups_of_tensors_are_named_with_their_group() -> None:
    found = header(DATA / "ip-adapter.bin")
    assert set(found.tensors) == {"image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"}


def test_a_list_of_tensors_is_named_by_number() -> None:
    assert list(header(DATA / "list.pt").tensors) == ["0", "1"]


def test_wrapped_and_quantised_tensors_are_read_and_sparse_ones_told() -> None:
    found = header(DATA / "special.pt")
    assert found.tensors["w"].dtype == "F32"
    assert found.tensors["q"].dtype == "QINT8"
    assert any("_rebuild_sparse_tensor" in notice for notice in found.notices)


@pytest.mark.parametrize("name", ["pickled2.pkl", "pickled4.pkl"])
def test_tensors_that_pickle_itself_wrote_are_read(name: str) -> None:
    found = open_torch(DATA / name)
    assert found.format is FileFormat.PICKLE
    assert [(one.dtype, one.shape) for one in found.tensors.values()] == [
        ("F32", (3, 4)),
        ("F16", (4,)),
    ]
    assert "torch.FloatStorage" in {one.path for one in found.globals}


def test_long_tensors_that_pickle_itself_wrote_are_found_in_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scalars, "_SHORT", 100)
    monkeypatch.setattr(scalars, "MAX_INLINE", 200)
    path = DATA / "pickled4.pkl"
    assert values(path, open_torch(path).tensors["a.weight"]) == list(range(12))


def test_a_plain_pickle_gives_its_arrays() -> None:
    found = header(DATA / "numpy.pkl")
    assert found.format is FileFormat.PICKLE
    assert found.tensors["w"].shape == (2, 3)
    assert found.tensors["w"].dtype == "F32"
    assert found.metadata == {"n": "3"}


def test_a_file_of_the_demo_hub_is_read_with_its_data(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    table = [Row("a.weight", (5, 7)), Row("a.alpha", ()), Row("ids", (1, 77), "I64")]
    write_torch_zip(path, table, seed=1)
    found = open_torch(path).tensors
    assert {name: one.shape for name, one in found.items()} == {
        row.name: row.shape for row in table
    }
    ids = found["ids"]
    assert ids.position is not None
    numbers = array.array("q", path.read_bytes()[ids.position :][: ids.storage_bytes])
    assert list(numbers) == list(range(77))


def test_a_malicious_prefix_is_named_and_the_tensors_are_read_all_the_same(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "model.ckpt"
    before = system_call(f"touch {canary}")
    write_torch_zip(path, [Row("a.weight", (5, 7))], seed=1, before=before)
    found = open_torch(path)
    assert found.globals[0].path == "posix.system"
    assert found.tensors["a.weight"].shape == (5, 7)
    assert not canary.exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="regular"):
        open_torch(tmp_path)
    with pytest.raises(FileUnreadable):
        open_torch(tmp_path / "missing")


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes((DATA / "zip.pt").read_bytes()[:-30])
    with pytest.raises(FormatError, match=r"broken\.pt"):
        open_torch(path)
