from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from modelhub.convert.options import Overflow
from modelhub.convert.writers import Overflowing, Phase, find_overflows, write_safetensors
from modelhub.errors import FP16Overflow

from .planned import drawn, names, plan_of, source_of


def with_overflows() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Seven of nine tensors have values that fp16 does not reach, and one is infinite anyway."""
    arrays = {f"layer.{index}": drawn(40, 30, seed=index) for index in range(7)}
    for index, one in enumerate(arrays.values()):
        one[3, :2] = [65520.0, -(10.0 ** (5 + index))]
    arrays["edge"] = np.array([65519.9, -65504, 6e-8], "<f4")
    arrays["odd"] = np.array([np.inf, np.nan, 1], "<f4")
    return arrays


def test_overflows_are_found_beforehand_with_their_largest_values(tmp_path: Path) -> None:
    told: list[tuple[Phase, int, int]] = []
    with source_of(tmp_path / "in.safetensors", with_overflows()) as source:
        found = find_overflows(
            plan_of(source, "F16").tensors, progress=lambda *event: told.append(event)
        )
        assert find_overflows(plan_of(source).tensors) == ()
    by_name = {one.name: one for one in found}
    assert by_name == {
        f"layer.{index}": Overflowing(f"layer.{index}", float(np.float32(10.0 ** (5 + index))), 2)
        for index in range(7)
    }
    assert told[-1][0] is Phase.SEARCH
    assert told[-1][1] == told[-1][2] > 0


def test_a_conversion_that_would_overflow_stops_and_names_all_layers(tmp_path: Path) -> None:
    with (
        source_of(tmp_path / "in.safetensors", with_overflows()) as source,
        pytest.raises(FP16Overflow, match=r"14 values too large.*65,504.* and 2 more") as caught,
    ):
        write_safetensors(plan_of(source, "F16"), tmp_path / "out.safetensors")
    assert set(caught.value.tensors) == {f"layer.{index}" for index in range(7)}
    assert "overflow fp32" in caught.value.hint
    assert names(tmp_path) == {"in.safetensors"}


@pytest.mark.parametrize(
    ("overflow", "dtype"), [(Overflow.FP32, "float32"), (Overflow.BF16, "bfloat16")]
)
def test_layers_that_overflow_are_kept_wider_on_request(
    tmp_path: Path, overflow: Overflow, dtype: str
) -> None:
    import torch
    from safetensors.torch import load_file as load_torch

    arrays = with_overflows()
    with source_of(tmp_path / "in.safetensors", arrays) as source:
        written = write_safetensors(
            plan_of(source, "F16"), tmp_path / "out.safetensors", overflow=overflow
        )
    assert {one.name for one in written.kept} == {f"layer.{index}" for index in range(7)}
    assert written.not_finite == ("odd",)
    loaded = load_torch(written.path)
    for name, one in arrays.items():
        expected = getattr(torch, dtype) if name.startswith("layer") else torch.float16
        assert loaded[name].dtype == expected
        assert torch.equal(
            loaded[name].nan_to_num(1, 2, 3),
            torch.from_numpy(one).to(expected).nan_to_num(1, 2, 3),
        )


def test_what_was_infinite_before_stays_so_and_is_told(tmp_path: Path) -> None:
    arrays = {"odd": np.array([np.inf, -np.inf, np.nan, 2], "<f4"), "fine": drawn(3)}
    with source_of(tmp_path / "in.safetensors", arrays) as source:
        written = write_safetensors(plan_of(source, "F16"), tmp_path / "out.safetensors")
    assert written.not_finite == ("odd",)
    assert written.kept == ()
    np.testing.assert_array_equal(load_file(written.path)["odd"], arrays["odd"].astype("<f2"))
