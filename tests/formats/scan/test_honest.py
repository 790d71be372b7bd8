"""What torch, numpy and Python write of honest things is safe, in every form that they have."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.formats.scan import Verdict, scan_file


def _plain() -> list[tuple[str, object]]:
    return list(
        {
            "arguments": argparse.Namespace(lr=1e-4, output=pathlib.Path("out")),
            "bytes that change": bytearray(b"x" * 10),
            "much of them": bytearray(2 << 20),
            "a huge number": 2**9000,
            "a default": collections.defaultdict(list, {1: [2]}),
            "a time": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
            "classes": {"a": str, "b": dict},
            "numbers": np.arange(3.0),
            "numbers the other way round": np.arange(3, dtype=">i4"),
            "text": np.array(["a", "bc"]),
            "bytes": np.array([b"a"]),
            "objects": np.array([{}, 1], dtype=object),
            "days": np.array(["2020-01-01"], dtype="M8[D]"),
            "a structure": np.zeros(2, dtype=[("a", "f4"), ("b", "i8")]),
            "a number": np.float64(3),
            "a random state": np.random.RandomState(1),
            "its numbers": np.random.RandomState(1).get_state(),
        }.items()
    )


@pytest.mark.parametrize(("name", "value"), _plain())
def test_what_python_and_numpy_write_is_safe(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "value.pkl"
    huge = isinstance(value, bytearray) and len(value) > 1 << 20
    for protocol in range(2 if huge else 0, pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(value, protocol))
        report = scan_file(path)
        assert report.verdict is Verdict.SAFE, (protocol, report)


def _of_torch() -> dict[str, Any]:
    import torch
    from torch import nn

    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Conv2d(1, 1, 1))
    optimizer = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    marked = nn.Parameter(torch.ones(2))
    marked.__dict__["tag"] = "marked"
    return {
        "weights": network.state_dict(),
        "training": {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()},
        "network": network,
        "optimizer": optimizer,
        "storage": torch.ones(3).untyped_storage(),
        "parameter": nn.Parameter(torch.ones(2)),
        "parameter with an attribute": marked,
        "buffer": nn.Buffer(torch.ones(2)),
        "quantised": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8),
        "sparse": torch.eye(2).to_sparse(),
        "random state": torch.get_rng_state(),
        "small things": [torch.device("cpu"), torch.float16, torch.Size([1])],
        "bf16": torch.ones(3, dtype=torch.bfloat16),
    }


@pytest.mark.filterwarnings("ignore")
def test_what_torch_writes_is_safe(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "value.pt"
    for name, value in _of_torch().items():
        for by_zip in (True, False):
            torch.save(value, path, _use_new_zipfile_serialization=by_zip)
            report = scan_file(path)
            assert report.verdict is Verdict.SAFE, (name, by_zip, report)
        path.write_bytes(pickle.dumps(value))
        assert scan_file(path).verdict is Verdict.SAFE, name
