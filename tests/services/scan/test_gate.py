"""The gate before loading."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.errors import FileUnreadable, UnsafeFileError
from modelhub.services.scan import pickles_in, require_safe
from tests.services.index.shelf import lora

from .conftest import DANGEROUS, SAFE, SUSPICIOUS


def _put(tmp_path: Path, content: bytes, name: str = "model.ckpt") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_dangerous_file_is_refused_with_what_it_names(tmp_path: Path) -> None:
    path = _put(tmp_path, DANGEROUS)
    with pytest.raises(UnsafeFileError) as refused:
        require_safe(None, path, allow=False)
    assert refused.value.exit_code == 6
    assert str(path) in refused.value.message
    assert "eval" in refused.value.message
    assert "--allow-unsafe" in refused.value.hint


def test_a_dangerous_file_that_is_allowed_is_warned_of(tmp_path: Path) -> None:
    path = _put(tmp_path, DANGEROUS)
    assert "dangerous and allowed" in require_safe(pickles_in(path), path, allow=True)


def test_a_verdict_alone_is_enough(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError):
        require_safe("dangerous", tmp_path / "gone.ckpt", allow=False)
    assert require_safe("safe", tmp_path / "gone.ckpt", allow=False) == ""


def test_a_suspicious_file_passes_with_a_warning(tmp_path: Path) -> None:
    path = _put(tmp_path, SUSPICIOUS)
    warning = require_safe(None, path, allow=False)
    assert "suspicious" in warning
    assert "__torch__" in warning


@pytest.mark.parametrize("content", [SAFE, lora(1)])
def test_a_safe_file_passes_in_silence(tmp_path: Path, content: bytes) -> None:
    assert require_safe(None, _put(tmp_path, content), allow=False) == ""


def test_what_cannot_be_read_does_not_pass(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        require_safe(None, tmp_path, allow=False)


@pytest.mark.parametrize("head", [b"GIF87axxx", b"GGUF\x03\0\0\0\0"])
def test_a_pickle_that_poses_as_another_format_is_seen(tmp_path: Path, head: bytes) -> None:
    evil = head + b"cos\nsystem\n(S'true'\ntR."
    with pytest.raises(UnsafeFileError, match=r"os\.system"):
        require_safe(None, _put(tmp_path, evil), allow=False)


def test_an_image_is_not_scanned(tmp_path: Path) -> None:
    assert pickles_in(_put(tmp_path, b"GIF87a" + bytes(100), "preview.gif")) is None
