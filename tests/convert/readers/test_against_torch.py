"""Every value that comes out of a file of torch is the one that ``torch.load`` gives."""

from __future__ import annotations

import collections
import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.convert.readers import open_source
from modelhub.formats.pickles import scalars
from modelhub.formats.tensors import FileFormat

from .reading import bytes_of, read

if TYPE_CHECKING:
    import torch

FORMS = {"zip": True, "legacy": False}
DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32",
    "uint64": "U64", "bool": "BOOL", "complex32": "C32", "complex64": "C64", "complex128": "C128",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
TYPED = [name for name in DTYPES if not name.startswith(("uint", "float8", "complex32"))]
"""Types with a class of storages of their own."""


@pytest.fixture(scope="module", name="torch")
def _torch() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        # Its first use warns once a process.
        torch.quantize_per_tensor(torch.zeros(1), 0.1, 0, torch.qint8).dequantize()
        torch.zeros(1, dtype=torch.complex32)
        torch.zeros(2, 2).to_sparse()
    return torch


def save(value: object, path: Path, form: str = "zip", **options: Any) -> Path:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # typed storages are deprecated, and still written
        torch.save(value, path, _use_new_zipfile_serialization=FORMS[form], **options)
    return path


def load(path: Path) -> dict[str, torch.Tensor]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return loaded


def plain_bytes(tensor: torch.Tensor) -> bytes:
    """The values of a tensor of torch in the order of its indices."""
    import torch

    if not tensor.numel():
        return b""
    whole = (
        tensor.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
    )
    array: np.ndarray[Any, Any] = (
        torch.as_strided(whole, (whole.numel(),), (1,)).view(torch.uint8).numpy()
    )
    return array.tobytes()


def assert_same(path: Path) -> None:
    """All tensors of a flat state dict come out as torch loads them."""
    loaded = load(path)
    found = read(path)
    assert list(found) == list(loaded)
    for name, tensor in loaded.items():
        dtype, shape, data = found[name]
        assert dtype == DTYPES[str(tensor.dtype).removeprefix("torch.")]
        assert shape == tuple(tensor.shape), name
        assert data == plain_bytes(tensor), name


def some(torch: Any, dtype: Any, *shape: int) -> Any:
    """Any bits of a type; of a bool, 0 and 1 alone."""
    generator = np.random.default_rng(1)
    if dtype is torch.bool:
        return torch.from_numpy(generator.integers(0, 2, shape).astype(bool))
    size = torch.empty(0, dtype=dtype).element_size()
    raw = generator.integers(0, 256, (*shape[:-1], shape[-1] * size), dtype=np.uint8)
    return torch.from_numpy(raw).view(dtype)


def test_every_type_in_a_zip(torch: Any, tmp_path: Path) -> None:
    state = {name: some(torch, getattr(torch, name), 5, 3) for name in DTYPES}
    assert_same(save(state, tmp_path / "a.pt"))


def test_every_type_in_the_legacy_form(torch: Any, tmp_path: Path) -> None:
    state = {name: some(torch, getattr(torch, name), 5, 3) for name in DTYPES}
    found = read(save(state, tmp_path / "a.pt", "legacy"))
    # Types without a storage of their own are written into this form, and torch cannot read them.
    assert {name: one[2] for name, one in found.items()} == {
        name: plain_bytes(one) for name, one in state.items()
    }
    typed = {name: state[name] for name in (*TYPED, "uint8")}
    assert_same(save(typed, tmp_path / "b.pt", "legacy"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex128", "int8"])
def test_views_of_all_sorts(torch: Any, tmp_path: Path, form: str, dtype: str) -> None:
    base = some(torch, getattr(torch, dtype), 6, 8, 10)
    views = {
        "whole": base,
        "transposed": base.transpose(0, 2),
        "permuted": base.permute(1, 2, 0),
        "sliced": base[1:5, ::2, 3:],
        "one column": base[:, :, 4],
        "one row": base[2, 3],
        "one element": base[2, 3, 4],
        "expanded": base[0, 0, :1].expand(3, 4),
        "row expanded": base[0, 0].expand(5, 10),
        "windows": base.reshape(-1).unfold(0, 7, 3),
        "diagonal": torch.diagonal(base, dim1=0, dim2=2),
        "channels last": base.reshape(2, 3, 8, 10).contiguous(memory_format=torch.channels_last),
        "empty": base[:0],
        "empty and transposed": base[:, :0].transpose(0, 1),
        "scalar": torch.tensor(3, dtype=getattr(torch, dtype)),
        "ones": base[:1, :1, :1],
    }
    assert_same(save(views, tmp_path / "a.pt", form))


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """Offset, shape and stride of a view of 400 elements."""
    shape = draw(st.lists(st.integers(0, 6), max_size=4))
    stride = [draw(st.integers(0, 40)) for _ in shape]
    span = sum((n - 1) * step for n, step in zip(shape, stride, strict=True) if n)
    return draw(st.integers(0, max(0, 399 - span))), shape, stride


@given(st.lists(layouts(), min_size=1, max_size=12), st.sampled_from(["F32", "F16", "U8"]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_view_of_a_storage(
    torch: Any, tmp_path: Path, views: list[tuple[int, list[int], list[int]]], dtype: str
) -> None:
    types = {"F32": torch.float32, "F16": torch.float16, "U8": torch.uint8}
    base = some(torch, types[dtype], 400)
    state = {
        str(number): torch.as_strided(base, shape, stride, offset)
        for number, (offset, shape, stride) in enumerate(views)
        if 0 in shape or offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) < 400
    }
    state["last"] = base
    for form in FORMS:
        path = tmp_path / f"{form}.pt"
        path.unlink(missing_ok=True)
        assert_same(save(state, path, form))


def test_tied_weights_are_told_and_read_under_each_name(torch: Any, tmp_path: Path) -> None:
    embedding, other = torch.randn(5, 4), torch.randn(4)
    state = {"in": embedding, "b": other, "out": embedding, "turned": embedding.t(), "c": other[:3]}
    path = save(state, tmp_path / "a.pt")
    assert_same(path)
    with open_source(path) as source:
        assert source.shared == (("in", "out"),)


@pytest.mark.parametrize("form", FORMS)
def test_conjugated_and_negated_views(torch: Any, tmp_path: Path, form: str) -> None:
    numbers = torch.randn(4, 5, dtype=torch.complex64)
    state = {
        "conj": numbers.conj(),
        "turned": numbers.conj().t(),
        "imag of conj": torch.randn(4, 5, dtype=torch.complex128).conj().imag,
        "neg": torch._neg_view(torch.randn(3, dtype=torch.bfloat16)),
        "neg int": torch._neg_view(torch.arange(5)),
        "both": torch._neg_view(numbers.conj()),
    }
    if form == "zip":
        state["half"] = numbers.to(torch.complex32).conj()
    assert state["conj"].is_conj()
    assert state["imag of conj"].is_neg()
    assert_same(save(state, tmp_path / "a.pt", form))


@pytest.mark.parametrize("form", FORMS)
def test_quantised_tensors_are_the_numbers_that_they_stand_for(
    torch: Any, tmp_path: Path, form: str
) -> None:
    numbers = torch.randn(6, 50) * 3
    scales = torch.rand(50, dtype=torch.float64) / 7 + 0.01
    points = torch.randint(-20, 20, (50,))
    state = {
        "qint8": torch.quantize_per_tensor(numbers, 0.137, 11, torch.qint8),
        "quint8": torch.quantize_per_tensor(numbers, 0.073, 130, torch.quint8),
        "qint32": torch.quantize_per_tensor(numbers, 1e-7, -5, torch.qint32),
        "turned": torch.quantize_per_tensor(numbers, 0.137, 11, torch.qint8).t(),
        "channels": torch.quantize_per_channel(numbers, scales, points, 1, torch.qint8),
        "plain": numbers,
    }
    path = save(state, tmp_path / "a.pt", form)
    loaded = load(path)
    found = read(path)
    for name, tensor in loaded.items():
        dense = tensor.dequantize() if tensor.is_quantized else tensor
        assert found[name] == ("F32", tuple(dense.shape), plain_bytes(dense)), name
    with open_source(path) as source:
        assert "5 quantised tensors are read as fp32" in source.header.notices
        assert source.header.tensors["qint8"].dtype == "QINT8"


def test_big_endian_files(torch: Any, tmp_path: Path) -> None:
    state = {name: some(torch, getattr(torch, name), 4, 6) for name in (*TYPED, "uint16")}
    state["turned"] = state["float32"].t()
    little, big = save(state, tmp_path / "little.pt"), tmp_path / "big.pt"
    with zipfile.ZipFile(little) as old, zipfile.ZipFile(big, "w") as new:
        for one in old.namelist():
            data = old.read(one)
            if one.endswith("/byteorder"):
                data = b"big"
            elif "/data/" in one:
                tensor = list(state.values())[int(one.rpartition("/")[2])]
                size = tensor.element_size() // (1 + tensor.is_complex())
                data = np.frombuffer(data, f"u{size}").byteswap().tobytes()
            new.writestr(zipfile.ZipInfo(one), data)
    # Torch does not turn the numbers of a storage without a type, and so loads wrong ones.
    loaded = load(big)
    del loaded["uint16"]
    found = read(big)
    assert {name: found[name][2] for name in loaded} == {
        name: plain_bytes(one) for name, one in loaded.items()
    }
    assert found == read(little)


@pytest.mark.parametrize("protocol", range(6))
def test_tensors_that_pickle_itself_wrote(torch: Any, tmp_path: Path, protocol: int) -> None:
    base = torch.randn(30, 7)
    state = {"w": base, "turned": base.t(), "half": base.half()[3:9]}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(state, protocol))
    for shortest in (1024, 100):  # as text or bytes in memory, and left in the file
        with pytest.MonkeyPatch.context() as patch:
            if protocol > 1:  # older ones have lines, which are never left in the file
                patch.setattr(scalars, "_SHORT", shortest)
                patch.setattr(scalars, "MAX_INLINE", 16 * shortest)
            found = read(path)
        assert {name: one[2] for name, one in found.items()} == {
            name: plain_bytes(one) for name, one in state.items()
        }


def test_parameters_subclasses_and_modules(torch: Any, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    odd = torch.nn.Parameter(torch.randn(2, 3))
    odd.note = "kept"
    state = collections.OrderedDict(
        **model.state_dict(), parameter=torch.nn.Parameter(torch.randn(3)), odd=odd
    )
    assert_same(save(state, tmp_path / "state.pt"))
    whole = read(save(model, tmp_path / "module.pt"))
    assert whole == read(save(model.state_dict(), tmp_path / "model.pt"))
    with open_source(tmp_path / "module.pt") as source:
        assert source.inert_counts["torch.nn.modules.linear.Linear"] == 1


def test_a_subclass_of_the_tensor_is_looked_through(torch: Any, tmp_path: Path) -> None:
    kind = type("Marked", (torch.Tensor,), {"__module__": __name__})
    globals()["Marked"] = kind
    tensor = torch.randn(2, 3)
    path = save({"w": tensor.as_subclass(kind)}, tmp_path / "a.pt")
    assert read(path) == {"w": ("F32", (2, 3), plain_bytes(tensor))}


def test_tensors_of_other_devices_come_out_and_those_without_values_are_told(
    torch: Any, tmp_path: Path
) -> None:
    rebuild = torch._utils._rebuild_device_tensor_from_numpy
    numbers = np.arange(6, dtype="f4").reshape(2, 3)
    state = {"far": _Reduced(rebuild, (numbers, torch.float32, "xla:0", False)),
             "meta": torch.empty(2, 3, device="meta"),
             "sparse": torch.eye(3).to_sparse()}  # fmt: skip
    path = save(state, tmp_path / "a.pt")
    assert read(path) == {"far": ("F32", (2, 3), numbers.tobytes())}
    with open_source(path) as source:
        assert {one.rpartition(" made by ")[2] for one in source.header.notices} == {
            "_rebuild_meta_tensor_no_storage are not read",
            "_rebuild_sparse_tensor are not read",
        }


class _Reduced:
    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self._reduced = function, args

    def __reduce__(self) -> Any:
        return self._reduced


def test_arrays_of_numpy_within_a_checkpoint(torch: Any, tmp_path: Path) -> None:
    tensor = torch.randn(3, 3)
    array = np.arange(12, dtype=">i2").reshape(3, 4)
    path = save({"t": tensor, "a": array, "best": np.float64(2.5), "n": 7}, tmp_path / "a.pt")
    assert read(path) == {
        "t": ("F32", (3, 3), plain_bytes(tensor)),
        "a": ("I16", (3, 4), array.astype("<i2").tobytes()),
    }
    with open_source(path) as source:
        assert source.header.metadata == {"best": "2.5", "n": "7"}
        assert source.inert == ()


def test_torchscript(torch: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        script = torch.jit.script(model)
        torch.jit.save(script, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    expected = {name: plain_bytes(one) for name, one in model.state_dict().items()}
    assert {name: one[2] for name, one in found.items()} == expected


def test_a_training_checkpoint_splits_into_weights_and_what_is_beside(
    torch: Any, tmp_path: Path
) -> None:
    model = torch.nn.Linear(3, 4)
    moments = {
        number: {"step": torch.tensor(1.0), "exp_avg": torch.zeros_like(one)}
        for number, one in enumerate(model.parameters())
    }
    path = save(
        {
            "state_dict": model.state_dict(),
            "optimizer_states": [{"state": moments, "param_groups": [{"lr": 0.1}]}],
            "ema": {"decay": 0.999, "shadow": [one.clone() for one in model.parameters()]},
            "epoch": 3,
        },
        tmp_path / "a.ckpt",
    )
    with open_source(path) as source:
        assert source.format is FileFormat.TORCH_ZIP
        assert {name: bytes_of(one) for name, one in source.tensors.items()} == {
            name: plain_bytes(one) for name, one in model.state_dict().items()
        }
        sizes = {one.name: one.nbytes for one in source.beside}
    assert sizes["ema.shadow.0"] == 48
    assert sizes["optimizer_states.0.state.0.exp_avg"] == 48
    assert len(sizes) == 2 + 4


def test_a_storage_in_memory_is_no_copy_of_the_file(torch: Any, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.arange(100_000.0)}, buffer)
    path = tmp_path / "a.pt"
    path.write_bytes(buffer.getvalue())
    with open_source(path) as source, path.open("rb") as file:
        place = source.tensors["w"].place
        assert place is not None
        file.seek(place.position)
        assert file.read(400_000) == bytes_of(source.tensors["w"])
